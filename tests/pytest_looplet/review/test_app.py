"""The interface, driven without a terminal: what each key does and what the screen then shows."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.reviewing import DONE, ESCALATED, LOOK_UP, REFUND, REFUNDED

from pytest_looplet.review.session import Review

textual = pytest.importorskip("textual", reason="the extra looplet[review] is not installed")
from pytest_looplet.review.ui.app import ReviewApp  # noqa: E402  # needs textual
from pytest_looplet.review.ui.dialogs import KEYS, Help, Question  # noqa: E402  # needs textual
from pytest_looplet.review.ui.panes import DiffPane, EntryList, Lines  # noqa: E402  # needs textual

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.support.reviewing import Project

SIZE = (110, 40)


class Screen:
    """What a person would see and do."""

    def __init__(self, app: ReviewApp, pilot: Any) -> None:
        self.app = app
        self.pilot = pilot

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.app.workers.wait_for_complete()
        await self.pilot.pause()

    async def click(self, pane: type[Lines], text: str) -> None:
        """Click on the first line of a pane that holds `text`."""
        line = next(number for number, shown in enumerate(self.lines(pane)) if text in shown)
        await self.pilot.click(pane, offset=(4, line))
        await self.pilot.pause()

    def lines(self, pane: type[Lines]) -> list[str]:
        widget = self.app.query_one(pane)
        return [widget.render_line(y).text.rstrip() for y in range(widget.size.height)]

    @property
    def diff(self) -> str:
        return "\n".join(self.lines(DiffPane))

    @property
    def list(self) -> list[str]:
        return [line for line in self.lines(EntryList) if line]

    @property
    def status(self) -> str:
        return str(self.app.query_one("#status").render())


@asynccontextmanager
async def showing(project: Project, size: tuple[int, int] = SIZE) -> AsyncIterator[Screen]:
    app = ReviewApp(Review(project.root))
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        yield Screen(app, pilot)


def drive(project: Project, script: Callable[[Screen], Awaitable[None]], size: tuple[int, int] = SIZE) -> ReviewApp:
    """Run `script` against the interface, in an event loop of its own."""

    async def run() -> ReviewApp:
        async with showing(project, size) as screen:
            await script(screen)
            return screen.app

    return asyncio.run(run())


def three(project: Project) -> None:
    for case in "abc":
        project.snapshot(case, project.text(REFUNDED), project.text(ESCALATED))


def read(project: Project, case: str) -> str:
    return project.snapshot_path(case).read_text(encoding="utf-8")


def test_the_first_entry_is_shown_with_its_explanation_and_its_changes(project: Project) -> None:
    three(project)

    async def script(screen: Screen) -> None:
        assert "looplet review · 1 of 3 · 3 left" in screen.status
        assert screen.list[:2] == ["   eval_refund[a]", "   snapshot · evals/eval_shop.py"]
        assert screen.lines(DiffPane)[:4] == [
            "evals/eval_shop.py::eval_refund[a]",
            "snapshot evals/__snapshots__/eval_shop/eval_refund[a].trace",
            "",
            "● step 2: tool refund → escalate",
        ]
        assert " ▸ start and 1 step unchanged\n  ~ step 2  refund → escalate\n  [reply 2]" in screen.diff
        assert '- [step 2] refund {"order": 17, "amount": 25}\n+ [step 2] escalate {"order": 17}' in screen.diff

    drive(project, script)


@pytest.mark.parametrize(("down", "up"), [("j", "k"), ("down", "up")])
def test_j_and_k_go_from_entry_to_entry(project: Project, down: str, up: str) -> None:
    three(project)

    async def script(screen: Screen) -> None:
        await screen.press(down)
        assert "2 of 3" in screen.status
        assert "eval_refund[b]" in screen.diff
        await screen.press(down, down, down)
        assert "3 of 3" in screen.status
        await screen.press(up)
        assert "2 of 3" in screen.status

    drive(project, script)


def test_a_accepts_at_once_and_goes_on(project: Project) -> None:
    three(project)

    async def script(screen: Screen) -> None:
        await screen.press("a")
        assert "[step 2] escalate" in read(project, "a")
        assert len(project.pending()) == 2
        assert "2 of 3 · 1 accepted, 2 left" in screen.status
        assert screen.list[0] == " ✓ eval_refund[a]"

    drive(project, script)


def test_r_rejects_and_s_skips(project: Project) -> None:
    three(project)

    async def script(screen: Screen) -> None:
        await screen.press("r", "s")
        assert "[step 2] escalate" not in read(project, "a") + read(project, "b")
        assert [line[:3] for line in screen.list[::2]] == [" ✗ ", " • ", "   "]
        assert "3 of 3 · 1 rejected, 2 left" in screen.status
        await screen.press("a")
        assert "2 of 3 · 1 accepted, 1 rejected, 1 left" in screen.status
        await screen.press("a")
        assert "all decided, q quits" in screen.status
        assert "✓ accepted" in screen.diff

    drive(project, script)
    assert project.pending() == []


def test_keys_on_a_decided_entry_do_nothing(project: Project) -> None:
    three(project)

    async def script(screen: Screen) -> None:
        await screen.press("r", "k", "a", "s")
        assert screen.list[0] == " ✗ eval_refund[a]"
        assert "[step 2] escalate" not in read(project, "a")

    drive(project, script)


def test_a_refusal_stays_in_view(project: Project) -> None:
    project.recording("x", ESCALATED)
    project.snapshot("z", "old\n", "new\n")

    async def script(screen: Screen) -> None:
        await screen.press("j", "a")
        assert "2 of 2 · 2 left" in screen.status
        assert screen.list[2] == " ! recording[agent/x]"
        assert "! cannot be accepted: the agent's behaviour changed" in screen.diff
        assert "--looplet-record" in screen.diff
        await screen.press("r")
        assert "cannot be accepted" not in screen.diff

    drive(project, script)


def test_what_was_written_again_is_shown_before_it_can_be_accepted(project: Project) -> None:
    three(project)

    async def script(screen: Screen) -> None:
        project.snapshot("a", project.text(REFUNDED), project.text((LOOK_UP, REFUND, REFUND, DONE)))
        await screen.press("a")
        assert "1 of 3 · 3 left" in screen.status
        assert "! not done: was written again since you looked; look at it again, then decide" in screen.diff
        assert "step 3" in screen.diff
        assert "escalate" not in screen.diff
        assert len(project.pending()) == 3
        await screen.press("a")
        assert "2 of 3 · 1 accepted, 2 left" in screen.status

    drive(project, script)


def test_what_was_decided_elsewhere_is_marked_and_no_longer_left(project: Project) -> None:
    three(project)

    async def script(screen: Screen) -> None:
        other = Review(project.root)
        other.accept(other.entries[0])
        await screen.press("r")
        assert "1 of 3 · 1 decided elsewhere, 2 left" in screen.status
        assert screen.list[0] == " - eval_refund[a]"
        assert "- decided elsewhere" in screen.diff

    drive(project, script)


def test_accept_all_asks_once_and_leaves_changed_behaviour(project: Project) -> None:
    three(project)
    stale = project.recording("x", ESCALATED)

    async def script(screen: Screen) -> None:
        await screen.press("A")
        assert isinstance(screen.app.screen, Question)
        await screen.press("n")
        assert len(project.pending()) == 4
        await screen.press("A", "enter")
        assert isinstance(screen.app.screen, Question)
        await screen.press("y")
        assert project.pending() == [stale]
        assert "4 of 4 · 3 accepted, 1 left" in screen.status
        assert "behaviour changed" in screen.diff

    drive(project, script)


def test_n_and_p_go_from_change_to_change(project: Project) -> None:
    long = DONE.replace(args={"answer": "\n".join(f"line {number}" for number in range(80))})
    project.snapshot("a", project.text([LOOK_UP, REFUND, DONE]), project.text([REFUND, LOOK_UP, long]))

    async def script(screen: Screen) -> None:
        marked = []
        for key in "nnnpp":
            await screen.press(key)
            marked += [line for line in screen.lines(DiffPane) if line.startswith("▶")]
        assert marked == [marked[0], marked[1], marked[2], marked[1], marked[0]]
        assert len(set(marked)) == 3
        await screen.press("n", "n", "n", "n")
        assert screen.lines(DiffPane)[0].startswith("▶ ~ step 3  done")

    drive(project, script, (100, 14))


def test_f_unfolds_everything_and_folds_it_again(project: Project) -> None:
    three(project)

    async def script(screen: Screen) -> None:
        before = screen.diff
        await screen.press("f")
        assert " ▾ start and 1 step unchanged\n    start\n  steps at most: 15" in screen.diff
        assert '  [step 1] look_up {"order": 17}' in screen.diff
        await screen.press("f")
        assert screen.diff == before

    drive(project, script)


def test_a_click_unfolds_one_place_and_chooses_an_entry(project: Project) -> None:
    three(project)

    async def script(screen: Screen) -> None:
        await screen.click(DiffPane, "1 step and end unchanged")
        assert "▾ 1 step and end unchanged" in screen.diff
        assert "▸ start and 1 step unchanged" in screen.diff
        await screen.click(EntryList, "eval_refund[c]")
        assert "3 of 3" in screen.status

    drive(project, script)


def test_space_and_b_scroll_and_home_and_end_go_there(project: Project) -> None:
    lines = "\n".join(f"  line {number}" for number in range(100))
    project.snapshot("a", "", f"looplet trace\n\n[user]\n{lines}\n")

    async def script(screen: Screen) -> None:
        top = screen.diff
        await screen.press("space")
        assert screen.diff != top
        await screen.press("b")
        assert screen.diff == top
        await screen.press("end")
        assert "line 99" in screen.diff
        await screen.press("home")
        assert screen.diff == top

    drive(project, script, (100, 20))


def test_another_entry_begins_at_its_top(project: Project) -> None:
    lines = "\n".join(f"  line {number}" for number in range(100))
    for case in "ab":
        project.snapshot(case, "", f"looplet trace\n\n[user]\n{lines}\n")

    async def script(screen: Screen) -> None:
        await screen.press("f", "n", "end", "j")
        assert screen.lines(DiffPane)[0].endswith("eval_refund[b]")
        assert "▶" not in screen.diff
        assert "▾" not in screen.diff

    drive(project, script, (100, 20))


def test_v_puts_before_and_after_beside_each_other(project: Project) -> None:
    three(project)

    async def script(screen: Screen) -> None:
        assert "│" not in screen.diff
        await screen.press("v")
        (line,) = [line for line in screen.lines(DiffPane) if "refunded 25" in line]
        assert line.split() == ["-", "refunded", "25", "│+", "told"]
        await screen.press("v")
        assert "│" not in screen.diff

    drive(project, script)


def test_a_wide_terminal_shows_both_sides_by_itself(project: Project) -> None:
    three(project)

    async def script(screen: Screen) -> None:
        assert any("- [step 2] refund" in line and "│+ [step 2] escalate" in line for line in screen.lines(DiffPane))
        await screen.pilot.resize_terminal(80, 40)
        await screen.pilot.pause()
        assert "│" not in screen.diff

    drive(project, script, (190, 40))


def test_sixty_columns_are_enough(project: Project) -> None:
    three(project)

    async def script(screen: Screen) -> None:
        assert screen.list[0] == "   eval_refund[a]"
        assert "+ [step 2] escalate" in screen.diff
        assert screen.app.query_one(EntryList).size.width > 55
        await screen.press("a")
        assert "1 accepted, 2 left" in screen.status

    drive(project, script, (60, 24))


def test_a_long_name_is_cut_where_the_list_ends(project: Project) -> None:
    project.snapshot("x" * 60, "old\n", "new\n")

    async def script(screen: Screen) -> None:
        assert screen.list[0] == f"   eval_refund[{'x' * 16}…"

    drive(project, script)


def test_question_mark_shows_the_keys_and_any_key_closes_them(project: Project) -> None:
    three(project)

    async def script(screen: Screen) -> None:
        await screen.press("question_mark")
        assert isinstance(screen.app.screen, Help)
        await screen.press("a")
        assert not isinstance(screen.app.screen, Help)
        assert len(project.pending()) == 3

    drive(project, script)
    bound = {"a", "r", "s", "A", "n", "p", "j", "k", "f", "v", "b", "q", "space"}
    assert bound <= set(KEYS.split())


@pytest.mark.parametrize("key", ["q", "ctrl+c"])
def test_the_end_keeps_what_was_decided(project: Project, key: str) -> None:
    three(project)

    async def script(screen: Screen) -> None:
        await screen.press("a", key)

    app = drive(project, script)
    assert not app.is_running
    assert (app.return_code, len(project.pending()), app.review.summary()) == (0, 2, "1 accepted, 2 left")


def test_what_a_model_wrote_is_shown_literally(project: Project) -> None:
    odd = "[bold]x[/bold] [link=y] \x1b[31mred\x1b[0m \u202eevil 日本語 \t| \\[ {}"
    project.snapshot("[red]", project.text(), project.text([LOOK_UP, REFUND, DONE.replace(args={"answer": odd})]), odd)

    async def script(screen: Screen) -> None:
        assert r"+   [bold]x[/bold] [link=y] \x1b[31mred\x1b[0m \u202eevil 日本語     | \[ {}" in screen.diff
        assert screen.list[0] == "   eval_refund[[red]]"
        assert "\x1b" not in screen.diff
        assert "\u202e" not in screen.diff

    drive(project, script, (140, 40))


def test_lines_wrap_by_cells_so_that_nothing_is_lost(project: Project) -> None:
    wide = "".join(chr(ord("一") + number) for number in range(200))
    project.snapshot("a", project.text(), project.text([LOOK_UP, REFUND, DONE.replace(args={"answer": wide})]))

    async def script(screen: Screen) -> None:
        shown = "".join(line[2:].strip() for line in screen.lines(DiffPane) if line.startswith(("+ ", "  ")))
        assert wide in shown

    drive(project, script, (80, 60))


def test_a_thousand_entries_read_only_what_is_looked_at(project: Project) -> None:
    for number in range(1000):
        project.snapshot(f"c{number:03}", "old\n", "new\n")

    async def script(screen: Screen) -> None:
        await screen.press("j", "j", "a")
        read_in = [entry for entry in screen.app.review.entries if "rows" in vars(entry)]
        assert len(read_in) == 4
        assert "4 of 1000 · 1 accepted, 999 left" in screen.status

    drive(project, script)


def test_no_color_takes_the_colours_away_and_the_signs_stay(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    three(project)
    monkeypatch.setenv("NO_COLOR", "1")

    async def script(screen: Screen) -> None:
        assert screen.app.no_color
        assert "- [step 2] refund" in screen.diff

    drive(project, script)

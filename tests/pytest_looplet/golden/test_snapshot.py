"""`assert run == trace_snapshot`: what is compared, under which name, and what a difference says."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
from tests.support.plugin_files import SHOP
from tests.support.snapshot_files import WORKERS, session, snapshot_suite, traces

from pytest_looplet.golden import decide, pending
from pytest_looplet.golden.snapshot import safe_name

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("with_syrupy")

FIRST = "eval_shop/eval_trace[refund-17].trace"
FIRST_EVAL = "evals/eval_shop.py::eval_trace[refund-17]"
FOUR_WRITTEN = {"passed": 4}

# TOOL and NOTE change what the agent does, and what it says.
CHANGING = (
    SHOP.replace('ToolCall("lookup", {"order": order})', 'ToolCall(os.environ.get("TOOL", "lookup"), {"order": order})')
    .replace(
        "    def note(text)", "    @tool\n    def find(order: int) -> dict:\n        return {}\n\n    def note(text)"
    )
    .replace("tools=[lookup, done])", "tools=[lookup, find, done], system_prompt=os.environ.get('NOTE', 'Be brief.'))")
)


def _written(pytester: pytest.Pytester, *arguments: str, shop: str = CHANGING) -> dict[str, str]:
    snapshot_suite(pytester, shop=shop)
    session(pytester, "--snapshot-update", *arguments).assert_outcomes(passed=4)
    return traces(pytester)


def _pending(pytester: pytest.Pytester) -> list[pending.Pending]:
    return pending.load_all(pytester.path)


def _evals(pytester: pytest.Pytester, body: str, *, shop: str = SHOP, ini: str = "") -> None:
    """An eval file with one case; `body` is what stands below the mark."""
    head = """
        import pytest
        from shop import agent, script

        CASES = [{"id": "refund-17", "task": "Refund order 17", "script": script(17)}]
        pytestmark = pytest.mark.looplet(agent=agent, cases=CASES)
    """
    snapshot_suite(pytester, head + body, shop=shop, ini=ini)
    (pytester.path / "evals/eval_other.py").unlink()


# --- comparing


def test_a_snapshot_that_is_asked_for_by_name_is_noted_like_any_other(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = """
        import os

        def eval_trace(run, request):
            snapshot = request.getfixturevalue("trace_snapshot")
            return "FORGET" in os.environ or run == snapshot
    """
    _evals(pytester, body)
    session(pytester, "--snapshot-update").assert_outcomes(passed=1)
    monkeypatch.setenv("FORGET", "1")
    said = "trace_snapshot: passed without comparing: evals/eval_shop.py::eval_trace (1 item)"
    assert any(line.startswith(said) for line in session(pytester).outlines)


@WORKERS
def test_a_snapshot_is_written_once_and_then_compared(pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
    written = _written(pytester, *workers)
    assert sorted(written) == [
        "eval_other/eval_other[refund-20].trace",
        *(f"eval_shop/eval_trace[refund-{order}].trace" for order in (17, 18, 19)),
    ]
    assert '[step 1] lookup {"order": 17}' in written[FIRST]
    session(pytester, *workers).assert_outcomes(passed=4)
    assert traces(pytester) == written
    assert _pending(pytester) == []


VOLATILE = """
    import os, time, uuid
    from datetime import datetime
    from pathlib import Path
    from looplet import ToolCall, composable_loop, tool

    @tool
    def look(path: str) -> dict:
        "Look around."
        here = Path(path) / "note.txt"
        here.write_text("x")
        return {"at": str(here), "root": str(Path(__file__).parent), "id": str(uuid.uuid4()), "home": str(Path.home()),
                "now": datetime.now().isoformat(), "object": repr(object()), "ticket": time.time_ns()}

    def agent(task, llm, workdir):
        return composable_loop(llm=llm, task=f"{task} in {workdir}", tools=[look])

    def script(order):
        return [lambda prompt: ToolCall("look", {"path": prompt.messages[0].content.split(" in ")[1]}),
                ToolCall("done", {"answer": "seen"})]

    def note(text):
        pass
"""


def test_a_snapshot_fits_every_session_and_every_checkout(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    snapshot_suite(pytester, shop=VOLATILE, ini="looplet_volatile = ticket\n")
    session(pytester, "--snapshot-update").assert_outcomes(passed=4)
    text = traces(pytester)[FIRST]
    for piece in (
        '"at": "<workdir>/note.txt"',
        '"<rootdir>"',
        '"<uuid>"',
        '"<time>"',
        "<address>",
        '"<ticket>"',
        '"<home>"',
    ):
        assert piece in text
    assert str(pytester.path) not in text
    for workers in ((), ("-n", "2")):
        session(pytester, *workers).assert_outcomes(passed=4)
    elsewhere = tmp_path / "elsewhere" / "checkout"
    shutil.copytree(pytester.path, elsewhere, ignore=shutil.ignore_patterns(".looplet", ".pytest_cache", "__pycache__"))
    monkeypatch.chdir(elsewhere)
    monkeypatch.setenv("HOME", str(tmp_path / "elsewhere"))
    pytester.runpytest_subprocess().assert_outcomes(passed=4)


def test_paths_of_ordinary_tests_are_those_of_every_session(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        from looplet import MockLLMBackend, ToolCall, composable_loop

        def test_paths(tmp_path, tmp_path_factory, trace_snapshot):
            shared = tmp_path_factory.getbasetemp() / "shared"
            llm = MockLLMBackend([ToolCall("done", {"answer": f"{tmp_path}/x and {shared}"})])
            run = composable_loop(llm=llm, task="Look.", tools=[])
            list(run)
            assert run == trace_snapshot
        """
    )
    session(pytester, "--snapshot-update").assert_outcomes(passed=1)
    (path,) = pytester.path.glob("__snapshots__/*/test_paths.trace")
    assert '"<tmp_path>/x and <basetemp>/shared"' in path.read_text()
    session(pytester).assert_outcomes(passed=1)
    session(pytester, "-n", "2").assert_outcomes(passed=1)


# --- what a difference says


def test_a_difference_is_said_in_the_first_lines(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    _written(pytester)
    monkeypatch.setenv("TOOL", "find")
    result = session(pytester, "-k", "refund-17")
    result.assert_outcomes(failed=1, deselected=3)
    result.stdout.fnmatch_lines(
        [
            "E       assert run == eval_trace?refund-17?.trace: step 1: tool lookup → find",
            "E         accept or reject it: looplet review (or pytest evals/eval_shop.py --snapshot-update)",
            "E         ",
            "E         @@ [[]step 1] lookup *",
            "E*truncated*use '-vv' to show",
            "waiting for a decision: 1; decide with: looplet review",
            "FAIL evals/eval_shop.py::eval_trace?refund-17?: *tool lookup → find",
        ]
    )


def test_a_difference_is_shown_section_by_section(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    _written(pytester)
    monkeypatch.setenv("TOOL", "find")
    result = session(pytester, "-vv", "-k", "refund-17")
    result.stdout.fnmatch_lines(
        [
            "E         @@ [[]step 1] lookup *",
            'E         - [[]step 1] lookup {"order": 17}',
            'E         + [[]step 1] find {"order": 17}',
            "E           result:",
            'E         -   {"order": 17, "amount": 25}',
            "E         +   {}",
        ],
        consecutive=False,
    )


def test_only_the_words_are_shown_when_no_diff_is_wanted(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    _written(pytester)
    monkeypatch.setenv("NOTE", "Be kind.")
    result = session(pytester, "-vv", "-k", "refund-17", "--snapshot-diff-mode=disabled")
    result.stdout.fnmatch_lines(["E *assert run == eval_trace?refund-17?.trace: system prompt changed at char 3: *"])
    assert "@@" not in result.stdout.str()


def test_a_missing_snapshot_says_how_to_make_it(pytester: pytest.Pytester) -> None:
    snapshot_suite(pytester)
    result = session(pytester, "-k", "refund-17")
    result.assert_outcomes(failed=1, deselected=3)
    result.stdout.fnmatch_lines(
        [
            "E       assert run == eval_trace?refund-17?.trace: there is no such snapshot yet",
            "E         accept or reject it: looplet review (or pytest evals/eval_shop.py --snapshot-update)",
            "E         + looplet trace",
        ]
    )
    assert traces(pytester) == {}


def test_a_snapshot_with_merge_conflicts_is_a_difference(pytester: pytest.Pytester) -> None:
    _written(pytester)
    path = pytester.path / "evals/__snapshots__" / FIRST
    path.write_text(f"<<<<<<< ours\n{path.read_text()}=======\n{path.read_text()}>>>>>>> theirs\n")
    session(pytester, "-k", "refund-17").assert_outcomes(failed=1, deselected=3)


def test_a_snapshot_cannot_control_the_terminal(pytester: pytest.Pytester) -> None:
    _written(pytester)
    path = pytester.path / "evals/__snapshots__" / FIRST
    path.write_text(path.read_text().replace("looplet trace", "looplet trace\n  \x1b[2J"))
    result = session(pytester, "-vv", "-k", "refund-17")
    result.assert_outcomes(failed=1, deselected=3)
    assert "-   \\x1b[2J" in result.stdout.str()
    assert "\x1b" not in result.stdout.str()


def test_a_snapshot_that_cannot_be_read_is_a_failure(pytester: pytest.Pytester) -> None:
    _written(pytester)
    (pytester.path / "evals/__snapshots__" / FIRST).write_bytes(b"\xff\xfe")
    result = session(pytester, "-k", "refund-17")
    result.assert_outcomes(failed=1, deselected=3)
    result.stdout.fnmatch_lines(["E       assert run == eval_trace?refund-17?.trace", "*UnicodeDecodeError*"])
    assert _pending(pytester) == []


# --- what is pending


@WORKERS
def test_a_difference_waits_for_a_decision_until_it_is_gone(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, workers: tuple[str, ...]
) -> None:
    written = _written(pytester)
    monkeypatch.setenv("TOOL", "find")
    session(pytester, *workers).assert_outcomes(failed=4)
    assert "waiting for a decision: 4; decide with: looplet review" in session(pytester, *workers).outlines
    assert len(_pending(pytester)) == 4
    entry = next(each for each in _pending(pytester) if each.id == FIRST_EVAL)
    assert entry.target == pytester.path / "evals/__snapshots__" / FIRST
    assert entry.why == "step 1: tool lookup → find"
    assert '[step 1] find {"order": 17}' in entry.new.read_text()
    monkeypatch.delenv("TOOL")
    session(pytester, *workers).assert_outcomes(passed=4)
    assert _pending(pytester) == []
    assert traces(pytester) == written


def test_a_missing_snapshot_is_accepted_by_review(pytester: pytest.Pytester) -> None:
    snapshot_suite(pytester)
    session(pytester).assert_outcomes(failed=4)
    for entry in _pending(pytester):
        decide.accept(entry)
    session(pytester).assert_outcomes(passed=4)


def test_an_update_decides(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    _written(pytester)
    monkeypatch.setenv("TOOL", "find")
    session(pytester).assert_outcomes(failed=4)
    session(pytester, "--snapshot-update").assert_outcomes(passed=4)
    assert _pending(pytester) == []
    assert '[step 1] find {"order": 17}' in traces(pytester)[FIRST]


def test_new_snapshots_alone_can_be_written(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    _written(pytester)
    (pytester.path / "evals/__snapshots__" / FIRST).unlink()
    monkeypatch.setenv("TOOL", "find")
    session(pytester, "--snapshot-update-new-only").assert_outcomes(passed=1, failed=3)
    assert FIRST in traces(pytester)


@WORKERS
@pytest.mark.parametrize("update", [(), ("--snapshot-update",), ("--snapshot-update-new-only",)])
def test_ci_writes_nothing(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, workers: tuple[str, ...], update: tuple[str, ...]
) -> None:
    written = _written(pytester)
    (pytester.path / "evals/__snapshots__" / FIRST).unlink()
    del written[FIRST]
    monkeypatch.setenv("TOOL", "find")
    monkeypatch.setenv("CI", "true")
    result = session(pytester, *update, *workers)
    result.assert_outcomes(failed=4)
    said = "CI is set, so nothing is written; run it on your machine, then: looplet review"
    assert said in result.stdout.str()
    assert traces(pytester) == written
    assert not (pytester.path / ".looplet/pending").exists()


# --- live backends


@WORKERS
def test_a_live_run_is_not_compared(pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
    written = _written(pytester)
    (pytester.path / "evals/__snapshots__" / FIRST).write_text("of another run\n")
    result = session(pytester, "--looplet-backend=live", *workers)
    result.assert_outcomes(passed=4)
    notes = [line for line in result.outlines if line.startswith("trace_snapshot: ")]
    assert notes == [
        "trace_snapshot: not compared on a live backend: evals/eval_other.py::eval_other (1 item)",
        "trace_snapshot: not compared on a live backend: evals/eval_shop.py::eval_trace (3 items)",
    ]
    assert "snapshots passed" not in result.stdout.str()
    assert _pending(pytester) == []
    assert traces(pytester) == written | {FIRST: "of another run\n"}


@WORKERS
def test_a_live_run_writes_no_snapshot(pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
    snapshot_suite(pytester)
    result = session(pytester, "--looplet-backend=live", "--snapshot-update", *workers)
    result.assert_outcomes(passed=4)
    said = "evals/eval_shop.py::eval_trace (3 items); no snapshot is written from one"
    assert f"trace_snapshot: not compared on a live backend: {said}" in result.outlines
    assert traces(pytester) == {}


def test_an_ordinary_test_with_a_live_model_is_not_compared(pytester: pytest.Pytester) -> None:
    snapshot_suite(pytester)
    pytester.makepyfile(
        test_live="""
        from shop import agent

        def test_live(llm, trace_snapshot):
            run = agent("Refund order 17", llm)
            list(run)
            assert run == trace_snapshot
        """
    )
    result = session(pytester, "--looplet-backend=live", "test_live.py")
    result.assert_outcomes(passed=1)
    assert "trace_snapshot: not compared on a live backend: test_live.py::test_live (1 item)" in result.outlines


# --- names


def test_every_comparison_has_its_file(pytester: pytest.Pytester) -> None:
    _evals(
        pytester,
        """
        def eval_two(run, trace_snapshot):
            assert run == trace_snapshot
            assert run == trace_snapshot
            assert run == trace_snapshot(name="third")
            assert run == trace_snapshot

        @pytest.mark.parametrize("colour", ["red", "a/b", "a:b"])
        def eval_colours(run, colour, trace_snapshot):
            assert run == trace_snapshot

        class EvalOne:
            def eval_two(self, run, trace_snapshot):
                assert run == trace_snapshot

        class EvalTwo:
            class EvalInner:
                def eval_two(self, run, trace_snapshot):
                    assert run == trace_snapshot
        """,
    )
    session(pytester, "--snapshot-update").assert_outcomes(passed=6)
    names = sorted(traces(pytester))
    assert [name for name in names if "~" not in name] == [
        "eval_shop/EvalOne.eval_two[refund-17].trace",
        "eval_shop/EvalTwo.EvalInner.eval_two[refund-17].trace",
        "eval_shop/eval_colours[refund-17-red].trace",
        "eval_shop/eval_two[refund-17].1.trace",
        "eval_shop/eval_two[refund-17].3.trace",
        "eval_shop/eval_two[refund-17].trace",
        "eval_shop/eval_two[refund-17][third].trace",
    ]
    assert [name[:37] for name in names if "~" in name] == ["eval_shop/eval_colours[refund-17-a-b]"] * 2
    result = session(pytester, "--snapshot-update")
    result.assert_outcomes(passed=6)
    assert sorted(traces(pytester)) == names
    assert "unused" not in result.stdout.str()


def test_backends_share_a_snapshot(pytester: pytest.Pytester) -> None:
    written = _written(pytester)
    result = session(pytester, "--looplet-backend=mock,replay")
    result.assert_outcomes(passed=8)
    assert result.ret == 0
    session(pytester, "--looplet-backend=mock,replay", "--snapshot-update").assert_outcomes(passed=8)
    assert traces(pytester) == written


def test_two_texts_for_one_snapshot_are_an_error(pytester: pytest.Pytester) -> None:
    _evals(
        pytester,
        """
        def eval_two(run, trace_snapshot):
            assert run == trace_snapshot(name="x")
            assert run.replace(trace_dir=None) == trace_snapshot(name="x")
        """,
    )
    result = session(pytester, "--snapshot-update")
    result.assert_outcomes(failed=1)
    assert "eval_two[refund-17][x].trace was written twice with different texts, by " in result.stdout.str()


@pytest.mark.parametrize("name", ["1", "''", "None"])
def test_a_name_is_a_text(pytester: pytest.Pytester, name: str) -> None:
    _evals(pytester, f"    def eval_x(run, trace_snapshot):\n            assert run == trace_snapshot(name={name})\n")
    result = session(pytester)
    assert f"TypeError: trace_snapshot(name={name}): give a name of at least one character" in result.stdout.str()


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("eval_x[refund-1]", "eval_x[refund-1]"),
        ("eval_x[größe]", "eval_x[größe]"),
        ("eval_x[a/b]", "eval_x[a-b]~"),
        ('eval_x[<a>|"b"?*\\:]', "eval_x[-a---b-----]~"),
        ("eval_x[\x00\n\u202e]", "eval_x[---]~"),
        (f"eval_x[{'y' * 300}]", f"eval_x[{'y' * 193}~"),
        (f"eval_x[{'ü' * 300}]", f"eval_x[{'ü' * 96}~"),
    ],
)
def test_file_names_are_safe(name: str, safe: str) -> None:
    made = safe_name(name)
    assert made.partition("~")[0] + "~" * ("~" in made) == safe
    assert len(made.encode()) < 240


def test_names_that_become_alike_stay_apart() -> None:
    names = ["a/b", "a-b", "a:b", "a" * 300, "a" * 301]
    assert len({safe_name(name) for name in names}) == len(names)


# --- what can be compared


def test_a_run_comes_in_several_forms(pytester: pytest.Pytester) -> None:
    _evals(
        pytester,
        """
        from pathlib import Path
        from looplet import MockLLMBackend
        from looplet.trace.read import read_journal

        def eval_forms(run, trace_snapshot):
            assert run == trace_snapshot(name="one")
            assert Path(run.trace_dir) == trace_snapshot(name="one")
            assert read_journal(run.trace_dir) == trace_snapshot(name="one")

        def eval_without_trace(run, trace_snapshot):
            live = agent("Refund order 17", MockLLMBackend(script(17)))
            list(live)
            assert live == trace_snapshot(name="two")
            assert live.result == trace_snapshot(name="two")
            assert run.replace(trace_dir=None) == trace_snapshot(name="two")

        async def eval_async(run, trace_snapshot):
            from looplet import async_composable_loop
            from shop import done, lookup
            live = async_composable_loop(llm=MockLLMBackend(script(17)), task="Refund order 17", tools=[lookup, done])
            async for _ in live:
                pass
            assert live == trace_snapshot(name="three")
        """,
    )
    session(pytester, "--snapshot-update").assert_outcomes(passed=3)
    found = traces(pytester)
    assert len(found) == 3
    assert "[reply 1]" in found["eval_shop/eval_forms[refund-17][one].trace"]
    assert '[step 1] lookup {"order": 17}' in found["eval_shop/eval_async[refund-17][three].trace"]


SEVERAL = SHOP.replace(
    "        return composable_loop(llm=llm, task=task, tools=[lookup, done])",
    "        for part in ('first', 'second'):\n"
    "            list(composable_loop(llm=llm, task=f'{task} {part}', tools=[lookup, done]))",
).replace("return [ToolCall", "return 2 * [ToolCall")


def test_several_loops_stand_in_one_file(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = SEVERAL.replace("f'{task} {part}'", "f'{task} {part}' + os.environ.get('MORE', '')")
    body = "    def eval_all(run, trace_snapshot):\n            assert run == trace_snapshot\n"
    _evals(pytester, body, shop=shop)
    session(pytester, "--snapshot-update").assert_outcomes(passed=1)
    (text,) = traces(pytester).values()
    assert text.count("looplet trace\n") == 2
    assert text.index("Refund order 17 first") < text.index("Refund order 17 second")
    monkeypatch.setenv("MORE", "!")
    assert "run 1, user message before step 1 changed" in session(pytester).stdout.str()


@pytest.mark.parametrize("value", ["3", "'traces/run_1'", "[]", "None", "run.steps"])
def test_what_is_no_run_is_an_error_that_says_so(pytester: pytest.Pytester, value: str) -> None:
    _evals(pytester, f"    def eval_x(run, trace_snapshot):\n            assert {value} == trace_snapshot\n")
    result = session(pytester)
    assert (
        "TypeError: trace_snapshot compares a run: a RunResult, the Run itself, a Trace, or the Path of a trace; not"
        in (result.stdout.str())
    )
    assert traces(pytester) == {}


def test_a_path_that_is_no_trace_says_so(pytester: pytest.Pytester) -> None:
    body = "    def eval_x(run, trace_snapshot, tmp_path):\n            assert tmp_path == trace_snapshot\n"
    _evals(pytester, body)
    assert "is not a trace: it has no journal.jsonl" in session(pytester).stdout.str()


def test_an_agent_that_is_not_looplets_is_compared_by_its_messages(pytester: pytest.Pytester) -> None:
    _evals(
        pytester,
        """
        def messages(task):
            return [{"role": "user", "content": task}, {"role": "assistant", "content": "Refunded."}]

        @pytest.mark.looplet(agent=messages)
        def eval_messages(run, trace_snapshot):
            assert run == trace_snapshot
        """,
    )
    session(pytester, "--snapshot-update").assert_outcomes(passed=1)
    (text,) = traces(pytester).values()
    assert "Refund order 17" in text
    session(pytester).assert_outcomes(passed=1)


KEY = "sk-" + "a1B2" * 8


def test_no_secret_is_written_down(pytester: pytest.Pytester) -> None:
    """Neither from a result without a trace nor from a checkpoint, which is not redacted."""
    nested = json.dumps({"key": KEY})
    shop = SHOP.replace('return {"order": order,', f'return {{"key": "{KEY}", "nested": {nested!r},')
    _evals(
        pytester,
        """
        from pathlib import Path
        from looplet import CheckpointHook, MockLLMBackend, composable_loop
        from shop import done, lookup

        def eval_secrets(run, trace_snapshot, tmp_path):
            live = composable_loop(llm=MockLLMBackend(script(17)), task="Refund order 17", tools=[lookup, done],
                                   hooks=[CheckpointHook(tmp_path / "saved")])
            list(live)
            assert "sk-" in (tmp_path / "saved/journal.jsonl").read_text()
            assert tmp_path / "saved" == trace_snapshot(name="checkpoint")
            assert live.result.replace(trace_dir=None) == trace_snapshot(name="result")
            assert run == trace_snapshot(name="run")
        """,
        shop=shop,
    )
    session(pytester).assert_outcomes(failed=1)  # the first is pending
    session(pytester, "--snapshot-update").assert_outcomes(passed=1)
    assert len(traces(pytester)) == 3
    for text in (*traces(pytester).values(), *(each.new.read_text() for each in _pending(pytester))):
        assert "[redacted]" in text
        assert KEY[3:] not in text


# --- without syrupy


def test_without_syrupy_the_fixture_names_the_extra(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot_suite(pytester)
    result = session(pytester, "-p", "no:syrupy")
    result.assert_outcomes(errors=4)
    said = "trace_snapshot needs the pytest plugin syrupy, which is not loaded; install looplet[pytest]"
    assert said in result.stdout.str()

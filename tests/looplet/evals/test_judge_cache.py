"""Verdicts that are kept: paid once, found by their content, dropped where they were of no use."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

import pytest

from looplet import MockLLMBackend, Prompt, Reply, Usage
from looplet.errors import JudgeError, MalformedReply, RateLimited
from looplet.evals.judge import Judge
from looplet.evals.judge_cache import CachedModel, VerdictCache

if TYPE_CHECKING:
    from pathlib import Path

GOOD = '{"reason": "ok", "score": 9}'


def judged(folder: Path, llm: MockLLMBackend, rubric: str = "Good?", text: str = "x", **options: int) -> float | None:
    return Judge(CachedModel(llm, VerdictCache(folder))).score(rubric, text, **options).score  # type: ignore[arg-type]  # repeat


def test_a_second_session_pays_nothing(tmp_path: Path) -> None:
    llm = MockLLMBackend([GOOD])
    assert judged(tmp_path, llm) == judged(tmp_path, llm) == 0.9
    assert len(llm.prompts) == 1


@pytest.mark.parametrize("other", [{"rubric": "Polite?"}, {"text": "y"}])
def test_another_question_is_another_verdict(tmp_path: Path, other: dict[str, str]) -> None:
    llm = MockLLMBackend([GOOD], cycle=True)
    judged(tmp_path, llm)
    judged(tmp_path, llm, **other)  # type: ignore[arg-type]  # names of texts
    assert len(llm.prompts) == 2


def test_another_judge_is_another_verdict(tmp_path: Path) -> None:
    first, second = MockLLMBackend([GOOD], name="a"), MockLLMBackend([GOOD], name="b")
    judged(tmp_path, first)
    judged(tmp_path, second)
    assert len(second.prompts) == 1


def test_a_model_of_the_same_name_on_another_server_is_another_judge(tmp_path: Path) -> None:
    llm, cache = MockLLMBackend([GOOD], cycle=True), VerdictCache(tmp_path)
    for server in ("http://a", "http://b", "http://a"):
        Judge(CachedModel(llm, cache, server=server)).score("Good?", "x")
    assert len(llm.prompts) == 2


@pytest.mark.parametrize("useless", ["Hm.", MalformedReply("broken", text="Hm.")])
def test_what_came_to_nothing_ahead_is_paid_once_and_said_where_it_counts(
    tmp_path: Path, useless: str | MalformedReply
) -> None:
    llm, cache = MockLLMBackend([useless, useless]), VerdictCache(tmp_path)
    for ahead in (True, True, False):
        with pytest.raises(JudgeError, match=r"gave no verdict, also when asked again: .* It wrote: 'Hm.'"):
            Judge(CachedModel(llm, cache, ahead=ahead)).score("Good?", "x")
    assert len(llm.prompts) == 2
    assert not list(tmp_path.glob("*.json"))
    again = MockLLMBackend([GOOD])  # an eval that is run again asks again
    assert Judge(CachedModel(again, cache)).score("Good?", "x").score == 0.9


def test_a_verdict_given_at_the_second_attempt_ahead_is_paid_once(tmp_path: Path) -> None:
    llm, cache = MockLLMBackend(["Hm.", GOOD]), VerdictCache(tmp_path)
    for ahead in (True, False):
        judge = Judge(CachedModel(llm, cache, ahead=ahead))
        assert (judge.score("Good?", "x").score, judge.calls) == (0.9, 2)
    assert len(llm.prompts) == 2


def test_repeats_are_kept_one_by_one(tmp_path: Path) -> None:
    llm = MockLLMBackend([f'{{"score": {n}}}' for n in (2, 4, 6)])
    assert judged(tmp_path, llm, repeat=2) == pytest.approx(0.3)
    assert judged(tmp_path, llm, repeat=3) == pytest.approx(0.4)
    assert len(llm.prompts) == 3


def test_what_is_no_verdict_is_not_kept(tmp_path: Path) -> None:
    with pytest.raises(JudgeError):
        judged(tmp_path, MockLLMBackend(["Hm.", "Well."]))
    assert judged(tmp_path, MockLLMBackend([GOOD])) == 0.9


def test_a_failed_attempt_does_not_count_as_an_answer(tmp_path: Path) -> None:
    judged(tmp_path, MockLLMBackend([RateLimited("wait"), GOOD]))
    assert judged(tmp_path, MockLLMBackend([])) == 0.9


def test_a_file_that_cannot_be_read_is_asked_for_again(tmp_path: Path) -> None:
    judged(tmp_path, MockLLMBackend([GOOD]))
    (kept,) = tmp_path.glob("*.json")
    replies = [{"text": 5}, {"text": None}, {"usage": {"input_tokens": "x"}}, {"usage": {"cost": float("nan")}}]
    replies += [{"usage": {"output_tokens": -1}}, {"model": 1}, {"calls": [{"name": 1, "arguments": {}}]}]
    damages = [b"", b"\xff", b"[]", b'{"schema": 2, "reply": {}}', b'{"schema": 1, "reply": 3}']
    for damage in (*damages, *(json.dumps({"schema": 1, "reply": reply}).encode() for reply in replies)):
        kept.write_bytes(damage)
        llm = MockLLMBackend([GOOD])
        assert judged(tmp_path, llm) == 0.9
        assert len(llm.prompts) == 1, damage


def test_a_folder_that_cannot_be_written_costs_money_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert judged(tmp_path / "file" / "cache", MockLLMBackend([GOOD])) == 0.9


def test_what_was_paid_is_told_apart_from_what_was_found(tmp_path: Path) -> None:
    reply = Reply(text=GOOD, usage=Usage(100, 10))
    for paid in (Usage(100, 10), Usage()):
        model = CachedModel(MockLLMBackend([reply]), VerdictCache(tmp_path))
        judge = Judge(model)
        judge.score("Good?", "x")
        assert model.paid == paid
        assert judge.usage == Usage(100, 10)


def test_two_who_ask_the_same_at_once_pay_once(tmp_path: Path) -> None:
    arrived, both = list[str](), threading.Event()

    class Counting(VerdictCache):
        def holder(self, key: str) -> threading.Lock:
            arrived.append(key)
            if len(arrived) == 2:
                both.set()
            return super().holder(key)

    def policy(prompt: Prompt) -> str:
        assert both.wait(10)
        return GOOD

    llm, cache = MockLLMBackend(policy), Counting(tmp_path)
    scores: list[float | None] = []
    threads = [
        threading.Thread(target=lambda: scores.append(Judge(CachedModel(llm, cache)).score("Good?", "x").score))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert scores == [0.9, 0.9]
    assert len(llm.prompts) == 1

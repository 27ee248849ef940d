"""A decision that says nothing is refused where it is made: it would pass for no decision at all."""

from __future__ import annotations

from typing import Any

import pytest

from looplet import Allow, Deny, InjectContext, MockLLMBackend, Stop, ToolCall, composable_loop


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Stop(""), ValueError, r"Stop\(reason\) is blank"),
        (lambda: Stop(5), TypeError, r"Stop\(reason\) is 5: give a str"),  # type: ignore[arg-type]
        (lambda: Stop("done"), ValueError, "only an accepted call of the done tool completes a run"),
        (lambda: Deny(None), TypeError, r"Deny\(reason\) is None"),  # type: ignore[arg-type]
        (lambda: Deny(" "), ValueError, r"Deny\(reason\) is blank: say why"),
        (lambda: InjectContext({"a": 1}), TypeError, "give a str"),  # type: ignore[arg-type]
        (lambda: Allow(["x"]), TypeError, "give a dict of all arguments"),  # type: ignore[arg-type]
    ],
)
def test_empty_and_mistyped_decisions_are_refused(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_a_mistyped_denial_in_a_hook_stops_the_run_and_executes_nothing() -> None:
    ran: list[str] = []

    def act() -> None:
        """Act."""
        ran.append("act")

    class Gate:
        def pre_dispatch(self, state: Any, log: Any, call: Any, step: int) -> Deny:
            return Deny(None)  # type: ignore[arg-type]

    with pytest.raises(TypeError) as caught:
        list(composable_loop(llm=MockLLMBackend([ToolCall("act")]), tools=[act], task="go", hooks=[Gate()]))
    assert caught.value.__notes__ == ["raised by the hook Gate.pre_dispatch() at step 1"]
    assert ran == []


def test_decisions_can_be_matched() -> None:
    match Deny("no", retry=True):
        case Deny(reason, retry):
            assert (reason, retry) == ("no", True)

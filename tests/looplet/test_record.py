"""Value classes: frozen, compared by value, copied with replace, picklable."""

from __future__ import annotations

import copy
import math
import pickle
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from looplet import Step, ToolCall, ToolResult, Usage
from looplet._record import Record, compile_inits


def test_a_record_is_frozen_and_says_how_to_change_a_copy() -> None:
    call = ToolCall("search")
    with pytest.raises(AttributeError, match=r"ToolCall is frozen; make a changed copy with \.replace\(tool=\.\.\.\)"):
        call.tool = "other"  # type: ignore[misc]
    assert call.replace(tool="other").tool == "other"
    with pytest.raises(TypeError, match="unexpected keyword argument 'nope'"):
        call.replace(nope=1)


def test_mutable_defaults_are_not_shared() -> None:
    first, second = ToolCall("a"), ToolCall("b")
    first.args["x"] = 1
    assert second.args == {}
    assert ToolCall("c").args == {}


def test_equality_is_by_type_and_value() -> None:
    assert ToolCall("a", {"x": 1}) == ToolCall("a", {"x": 1})
    assert ToolCall("a") != ToolCall("b")
    assert Usage() != ToolCall("a")


def test_records_survive_pickle_and_copy() -> None:
    step = Step(1, ToolCall("a", {"x": [1]}), ToolResult("a", {"y": 2}), usage=Usage(3, 4, 0, 0.5))
    assert pickle.loads(pickle.dumps(step)) == step
    assert copy.deepcopy(step) == step


def test_a_deep_copy_shares_nothing_that_can_change() -> None:
    step = Step(1, ToolCall("a", {"x": [1]}), ToolResult("a", {"y": 2}), usage=Usage(3, 4))
    copied = copy.deepcopy([step, step])
    assert copied[0] is copied[1]
    assert copied[0].usage is step.usage
    copied[0].tool_call.args["x"].append(2)
    assert step.tool_call.args == {"x": [1]}


def test_a_step_survives_its_dict() -> None:
    step = Step(1, ToolCall("a", {"x": [1]}, "why", "c1"), ToolResult("a", error="no", warnings=("w",)), usage=Usage(1))
    assert Step.from_dict(step.to_dict()) == step


def test_unknown_cost_is_unknown_and_never_zero() -> None:
    assert (Usage(1, 2) + Usage(3, 4)).cost is None
    assert (Usage(cost=0.5) + Usage()).cost == 0.5
    assert (Usage() + Usage(1, 2, cost=0.5)).cost == 0.5
    assert (Usage(1, 2) + Usage(3, 4, cost=0.5)).cost is None, "a partial sum reads like the whole"
    assert (Usage(3, 4, cost=0.5) + Usage(0, 0, 7)).cost is None


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (Decimal("0.5"), 0.5),
        (Fraction(1, 4), 0.25),
        (2, 2.0),
        (math.nan, None),
        (math.inf, None),
        (-0.1, None),
        pytest.param(10**400, None, id="beyond any float"),
    ],
)
def test_a_cost_is_an_amount_or_unknown(given: Any, kept: float | None) -> None:
    cost = Usage(1, 1, cost=given).cost
    assert cost == kept
    assert cost is None or type(cost) is float


def test_constructors_may_be_compiled_ahead() -> None:
    class Above(Record):
        name: str
        counts: dict[str, int] = {}

    class Below(Above):
        number: int = 3

    first = Below.__init__
    assert list(compile_inits())
    assert Below.__init__ is not first
    compiled = Below.__init__
    assert list(compile_inits()) == []
    assert Below("a") == Below("a", {}, 3)
    assert Below.__init__ is compiled, "once"

"""`tools_match`: compare the tools a run called with those it should have called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from looplet._compare import changes
from looplet._pretty import pretty_call
from looplet._record import Record
from looplet.evals.case import check_names
from looplet.evals.pairing import pair_any, pair_in_order, pair_places
from looplet.evals.score import EvalResult
from looplet.trace.jsonable import jsonable
from looplet.types import ToolCall

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from looplet.evals.pairing import Matches, Pairs
    from looplet.result import RunResult

    Order = Literal["exact", "in_order", "any"]
    Calls = Literal["equal", "subset", "superset"]
    ArgsMode = Literal["exact", "ignore", "subset", "superset"]
    ArgsRule = ArgsMode | Callable[[dict[str, Any], dict[str, Any]], bool]

_PAIRINGS: dict[str, Callable[[int, int, Matches], Pairs]] = {
    "exact": pair_places,
    "in_order": pair_in_order,
    "any": pair_any,
}
_CALLS = ("equal", "subset", "superset")
_ARGS = ("exact", "ignore", "subset", "superset")


class _Wanted(Record):
    """A call that was expected; `args` is None where nothing was said of them."""

    tool: str
    args: dict[str, Any] | None = None

    def __str__(self) -> str:
        return pretty_call(self.tool, self.args) if self.args is not None else self.tool


def tools_match(
    run: RunResult,
    expected: Sequence[str | ToolCall | tuple[str, dict[str, Any]] | dict[str, Any]],
    *,
    order: Order = "exact",
    calls: Calls = "equal",
    args: ArgsMode | Mapping[str, ArgsRule] = "exact",
    ignore: Sequence[str] = ("done",),
) -> EvalResult:
    """Score from 0 to 1 how the calls of `run` match `expected`; `reason` names the first mismatch.

    expected  names, (name, args) pairs, ToolCalls or {"tool": ..., "args": ...}; a name alone leaves the arguments open
    order     exact: the first expected call is the first call, and so on; in_order: the order counts, not the place;
              any: neither does
    calls     equal: these calls and no others; superset: others may be added; subset: some may be missing
    args      exact: these arguments; superset: others may be added; subset: some may be missing; ignore; or for each
              tool one of these or a function of (expected args, actual args) that answers whether they match
    ignore    tools that do not count unless `expected` names them

    The score is the number of calls that match, divided by the number of calls expected (superset), of calls made
    (subset), or the larger of both (equal). Where there is nothing to divide by, nothing is wrong: 1.0.
    """
    wanted = _read(expected)
    rules = _rules(order, calls, args)
    named = {call.tool for call in wanted}
    if isinstance(ignore, str):  # a name would be looked for inside the text
        raise TypeError(f"tools_match(ignore={ignore!r}): give a list of names, such as [{ignore!r}]")
    made = [step.tool_call for step in run.steps if step.tool_call.tool in named or step.tool_call.tool not in ignore]
    actual = [_Wanted(call.tool, jsonable(call.args)) for call in made]
    fits = [[_fits(want, call, rules) for call in actual] for want in wanted]
    pairs = _PAIRINGS[order](len(wanted), len(actual), lambda want, call: fits[want][call])
    counted = {"superset": len(wanted), "subset": len(actual), "equal": max(len(wanted), len(actual))}[calls]
    return EvalResult(
        score=len(pairs) / counted if counted else 1.0,
        metrics={"matched": len(pairs), "expected": len(wanted), "called": len(actual)},
        reason=_explain(wanted, actual, fits, pairs, order, calls),
    )


def _read(expected: Any) -> list[_Wanted]:
    if isinstance(expected, (str, Mapping)) or not hasattr(expected, "__iter__"):
        raise TypeError(f"expected={expected!r}: give a list of the calls, for example ['search', ('refund', {{...}})]")
    return [_read_call(entry, number) for number, entry in enumerate(expected, 1)]


def _read_call(entry: Any, number: int) -> _Wanted:
    where = f"expected call {number}"
    if isinstance(entry, str):
        return _Wanted(entry)
    if isinstance(entry, ToolCall):
        return _Wanted(entry.tool, jsonable(entry.args))
    if isinstance(entry, Mapping):
        check_names(f"{where} has", entry, ToolCall._fields)
        tool, args = entry.get("tool"), entry.get("args")
    elif isinstance(entry, (tuple, list)) and len(entry) == 2:
        tool, args = entry
    else:
        tool, args = None, None
    if not isinstance(tool, str) or not (args is None or isinstance(args, Mapping)):
        raise TypeError(
            f"{where} is {entry!r}; give a name, a (name, args) pair, a ToolCall or {{'tool': ..., 'args': {{...}}}}"
        )
    return _Wanted(tool, None if args is None else jsonable(dict(args)))


def _rules(order: str, calls: str, args: Any) -> Mapping[str, Any]:
    """The rule for each tool; "" holds the one for all others."""
    for name, value, known in (("order", order, tuple(_PAIRINGS)), ("calls", calls, _CALLS)):
        if value not in known:
            raise ValueError(f"tools_match({name}={value!r}): give one of {', '.join(known)}")
    rules = {"": "exact", **args} if isinstance(args, Mapping) else {"": args}
    for tool, rule in rules.items():
        if not callable(rule) and rule not in _ARGS:
            given = f"{{{tool!r}: {rule!r}}}" if tool else repr(rule)
            raise ValueError(
                f"tools_match(args={given}): give one of {', '.join(_ARGS)}, "
                "or for a tool a function of (expected, actual) arguments"
            )
    return rules


def _fits(want: _Wanted, call: _Wanted, rules: Mapping[str, Any]) -> bool:
    if want.tool != call.tool:
        return False
    rule, actual = rules.get(want.tool, rules[""]), call.args or {}
    if callable(rule):
        return bool(rule(want.args or {}, actual))
    if want.args is None or rule == "ignore":
        return True
    if rule == "superset":
        actual = {name: value for name, value in actual.items() if name in want.args}
    expected = want.args
    if rule == "subset":
        expected = {name: value for name, value in expected.items() if name in actual}
    return _same(expected, actual)


def _same(one: Any, other: Any) -> bool:
    """Equal as JSON: 1 and 1.0 are one number, and true is none."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _explain(
    wanted: list[_Wanted], actual: list[_Wanted], fits: list[list[bool]], pairs: Pairs, order: str, calls: str
) -> str:
    missing = [at for at in range(len(wanted)) if at not in pairs]
    extra = [at for at in range(len(actual)) if at not in pairs.values()]
    if calls == "subset":
        missing = [at for at in missing if order == "exact" and at < len(actual)]  # there, another call stands instead
    elif calls == "superset":
        extra = [at for at in extra if missing]  # what came instead of the missing ones
    if missing and order == "exact":
        return _in_place(wanted[missing[0]], missing[0], actual)
    if missing:
        return _elsewhere(wanted[missing[0]], fits[missing[0]], actual, extra)
    if extra:
        return f"call {extra[0] + 1}, {actual[extra[0]]}, was not expected"
    return f"{len(pairs)} of {len(wanted)} expected calls match"


def _in_place(want: _Wanted, place: int, actual: list[_Wanted]) -> str:
    got = _got(want, actual[place]) if place < len(actual) else "no further call"
    return f"expected {want} as call {place + 1}, got {got}"


def _elsewhere(want: _Wanted, fits: list[bool], actual: list[_Wanted], extra: list[int]) -> str:
    """Name what came instead of `want`: the call itself at another time, or another call of that tool."""
    for at in extra:
        if fits[at]:
            return f"call {at + 1}, {actual[at]}, is out of order"
    for at in extra:
        if actual[at].tool == want.tool:
            return f"expected {want}, got {_got(want, actual[at])} as call {at + 1}"
    return f"expected {want}, which was not called"


def _got(want: _Wanted, call: _Wanted) -> str:
    """Long arguments are shortened, and may then look alike."""
    if str(want) != str(call) or want.args is None:
        return str(call)
    return f"{call} ({changes(want.args, call.args)})"

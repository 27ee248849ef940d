"""What a judge is shown: the parts of a run as text without times or tokens, and the fence around it."""

from __future__ import annotations

import hashlib
import sys
from typing import TYPE_CHECKING, Literal, get_args

from looplet._core.to_text import to_text
from looplet.result import RunResult
from looplet.trace.jsonable import jsonable
from looplet.types import ToolResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

Part = Literal["task", "steps", "output"]
PARTS: tuple[Part, ...] = get_args(Part)

_CODE_CHARS = 12


def material(judged: object, show: Sequence[Part], limit: int, clean: Callable[[str], str]) -> str:
    """`judged` as at most `limit` characters: the parts `show` of a run, any other value as it is.

    The same run gives the same text in every session: that is how a verdict is found again. `clean` (a redaction) comes
    before anything is cut, because it does not know half a secret.
    """
    if not isinstance(judged, RunResult):
        return to_text(_whole(judged, clean), limit)
    parts = {"task": lambda: _task(judged, clean), "steps": lambda: _steps(judged, limit, clean)}
    shown = [parts[part]() for part in PARTS if part in show and part in parts]
    shown += [_ending(judged, clean)] * ("output" in show)
    return to_text("\n\n".join(shown), limit)


def check_show(show: Sequence[str]) -> None:
    if isinstance(show, str) or not show or not set(show) <= set(PARTS):
        raise ValueError(f"show={show!r}: give one or more of {', '.join(map(repr, PARTS))} in a tuple")


def fenced(text: str) -> str:
    """`text` between two lines with a code that does not occur in it, so that nothing in it can end the fence."""
    code = free_code(text, _codes(text))
    return f"BEGIN {code}\n{text}\nEND {code}"


def free_code(text: str, codes: Iterable[str]) -> str:
    return next(code for code in codes if code not in text)


def _codes(text: str) -> Iterator[str]:
    """Made of the text itself: random ones would make every request a new one."""
    seed = text.encode("utf-8", "surrogatepass")
    while True:
        code = hashlib.sha256(seed).hexdigest()
        yield code[:_CODE_CHARS]
        seed = code.encode() + seed


def _whole(value: object, clean: Callable[[str], str]) -> str:
    return clean(to_text(jsonable(value), sys.maxsize))  # a run and its trace are the same to a judge


def _task(run: RunResult, clean: Callable[[str], str]) -> str:
    return f"Task:\n{_whole(run.task, clean)}"


def _steps(run: RunResult, limit: int, clean: Callable[[str], str]) -> str:
    """Each call and its result. A long result must not push the others out: each has a share of the room."""
    share = max(limit // 4, limit // (len(run.steps) or 1))
    lines = ["Steps:"]
    for step in run.steps:
        call = step.tool_call
        lines.append(f"{step.number}. {call.tool} {to_text(_whole(call.args, clean), share)}")
        lines.append(f"result: {to_text(_whole(_said(step.tool_result), clean), share)}")
    return "\n".join(lines if run.steps else ["Steps: none"])


def _said(result: ToolResult) -> object:
    return result.data if result.error is None else f"ERROR: {result.error}"


def _ending(run: RunResult, clean: Callable[[str], str]) -> str:
    if run.status == "completed":
        return f"Output:\n{_whole(run.output, clean)}"
    errors = "".join(f"\n{_whole(error, clean)}" for error in run.errors[-1:])
    output = "" if run.output is None else f"\nOutput:\n{_whole(run.output, clean)}"
    return f"The run did not complete: {clean(run.stop_reason)}{errors}{output}"

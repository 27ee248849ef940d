"""What a step is made of: the call, its result, what it cost, and how it prints."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

from looplet._compare import StepFacts, compare_steps
from looplet._pretty import pretty_step
from looplet._record import Record

if TYPE_CHECKING:
    from looplet.messages import Prompt


class ErrorKind(StrEnum):
    """Why a call failed; `ToolResult.error_kind`."""

    PERMISSION_DENIED = "permission_denied"
    TIMEOUT = "timeout"
    VALIDATION = "validation"
    EXECUTION = "execution"
    PARSE = "parse"
    CONTEXT_OVERFLOW = "context_overflow"
    RATE_LIMIT = "rate_limit"
    NETWORK = "network"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


class ToolCall(Record):
    """One call the model asked for. In `Step.tool_call`, `args` are the arguments that ran."""

    tool: str
    args: dict[str, Any] = {}
    reasoning: str = ""
    call_id: str = ""

    def to_dict(self) -> dict[str, Any]:
        return {"tool": self.tool, "args": self.args, "reasoning": self.reasoning, "call_id": self.call_id}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ToolCall:
        return cls(**{field: data[field] for field in cls._fields if field in data})


class ToolResult(Record):
    """What came back: `data` uncut, or `error` (a text for the model) with its kind.

    `duration_ms` is wall time in milliseconds, 0 when nothing ran. `warnings` are notes for the model beside the data.
    """

    tool: str
    data: Any = None
    error: str | None = None
    error_kind: ErrorKind | None = None
    error_retriable: bool = False
    duration_ms: float = 0.0
    warnings: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return self.error is None

    def to_dict(self) -> dict[str, Any]:
        return {field: getattr(self, field) for field in self._fields} | {
            "error_kind": self.error_kind and str(self.error_kind),
            "warnings": list(self.warnings),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ToolResult:
        known = {field: data[field] for field in cls._fields if field in data}
        if known.get("error_kind"):
            known["error_kind"] = ErrorKind(known["error_kind"])
        known["warnings"] = tuple(known.get("warnings", ()))
        return cls(**known)


_INFINITE = float("inf")


def _amount(cost: Any) -> Any:
    """`cost` as a float, None for a number that is no amount. What is no number is left to those who check types."""
    if isinstance(cost, (str, bytes, bool)):
        return cost
    try:
        number = float(cost)
    except (TypeError, ValueError):
        return cost
    except OverflowError:
        return None
    return number if 0 <= number < _INFINITE else None


def _is_unpriced(usage: Usage) -> bool:
    """Tokens were spent, and nobody knows what they cost."""
    return usage.cost is None and any((usage.input_tokens, usage.output_tokens, usage.cached_tokens))


class Usage(Record):
    """Tokens spent. `cost` is in the price table's currency, None (never 0) while no price is known.

    A cost of another number type (Decimal) becomes a float; one that is no amount (NaN, below 0) is unknown.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cost: float | None = None

    def __post_init__(self) -> None:
        cost: Any = self.cost
        if cost is not None and not (type(cost) is float and 0 <= cost < _INFINITE):
            object.__setattr__(self, "cost", _amount(cost))

    @property
    def total_tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    def __add__(self, other: Usage) -> Usage:
        """The sum of both. Its cost is unknown if one's is that spent tokens: a partial sum reads like the whole."""
        costs = [cost for cost in (self.cost, other.cost) if cost is not None]
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_tokens + other.cached_tokens,
            sum(costs) if costs and not (_is_unpriced(self) or _is_unpriced(other)) else None,
        )

    def to_dict(self) -> dict[str, Any]:
        return {field: getattr(self, field) for field in self._fields}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Usage:
        return cls(**{field: data[field] for field in cls._fields if field in data})


class Step(Record):
    """One tool call and its result, as the loop yields it.

    `prompt` is what the model was shown before it made this call; None on a step that was read without its prompt.
    `usage` is everything spent since the previous step.
    """

    number: int
    tool_call: ToolCall
    tool_result: ToolResult
    prompt: Prompt | None = None
    usage: Usage = Usage()

    def pretty(self) -> str:
        """One line: `#1 ✓ search(query='…') → 12 items [182ms]`. Control characters are made visible."""
        return pretty_step(self)

    def diff(self, other: Step) -> list[str]:
        """What `other` did differently, one line each: `arguments: amount 10 → 20`. Times and tokens do not count."""
        return [text for _, text in compare_steps(self._facts(), other._facts())]

    def _facts(self) -> StepFacts:
        call, result = self.tool_call, self.tool_result
        kind = result.error_kind and str(result.error_kind)
        return StepFacts(call.tool, call.args, result.data, result.error, kind, result.warnings)

    def to_dict(self) -> dict[str, Any]:
        """JSON-shaped, without the prompt (the trace holds each message once, not once a step)."""
        return {
            "number": self.number,
            "tool_call": self.tool_call.to_dict(),
            "tool_result": self.tool_result.to_dict(),
            "usage": self.usage.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Step:
        return cls(
            number=data["number"],
            tool_call=ToolCall.from_dict(data["tool_call"]),
            tool_result=ToolResult.from_dict(data["tool_result"]),
            usage=Usage.from_dict(data.get("usage", {})),
        )

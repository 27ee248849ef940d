"""`LoopConfig`: how a run behaves. Nonsense is refused when it is constructed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

from looplet._record import Record

if TYPE_CHECKING:
    from looplet.cancel import CancelToken

ToolMode = Literal["auto", "native", "text"]

DEFAULT_MAX_STEPS = 15


class LoopConfig(Record):
    """Settings of one run; every field has a default, `replace()` makes a changed copy.

    max_steps       tool calls the run may make (None: the state's value, else 15)
    system_prompt   put before everything else
    temperature, max_tokens, llm_timeout_s, extra
                    sent with every request; None leaves it to the backend, seconds for the timeout
    done_tool       name of the tool whose accepted call completes the run
    tool_mode       "native" tool calls, "text" protocol, or "auto": what the backend can do
    retries         further attempts after a transient provider error, per turn
    repairs         further attempts after a reply without a usable call, per turn
    result_chars    a tool result longer than this is shown to the model as its head and tail
    stream          show replies to watchers as they are generated (`ModelChunk` events)
    max_parallel_calls   calls of one turn that may run side by side, when their tools are `concurrent_safe`
    tool_timeout_s  a call that takes longer is abandoned and told to the model; ToolSpec(timeout_s=) goes first
    context_window  size of the model's window in tokens, when the backend does not know it
    cancel_token    a CancelToken: ends the run, or one call, from outside
    output_schema   JSON Schema of the output: the supplied done tool takes an answer of this form, checked like any
                    arguments; an object schema becomes the tool's parameters
    final_answer    at the step cap, ask once more, without tools, for the best answer so far
    """

    max_steps: int | None = None
    system_prompt: str = ""
    temperature: float | None = None
    max_tokens: int | None = None
    done_tool: str = "done"
    tool_mode: ToolMode = "auto"
    llm_timeout_s: float | None = None
    retries: int = 3
    repairs: int = 2
    result_chars: int = 20_000
    final_answer: bool = False
    extra: dict[str, Any] = {}
    stream: bool = False
    max_parallel_calls: int = 4
    tool_timeout_s: float | None = None
    context_window: int | None = None
    cancel_token: CancelToken | None = None
    output_schema: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        """Refuse values that cannot work, with ValueError or TypeError."""
        whole("LoopConfig(max_steps=...)", self.max_steps, least=1, optional=True)
        whole("LoopConfig(max_tokens=...)", self.max_tokens, least=1, optional=True)
        whole("LoopConfig(retries=...)", self.retries, least=0)
        whole("LoopConfig(repairs=...)", self.repairs, least=0)
        whole("LoopConfig(result_chars=...)", self.result_chars, least=100)
        if self.tool_mode not in get_args(ToolMode):
            raise ValueError(
                f"LoopConfig(tool_mode={self.tool_mode!r}): use one of {', '.join(map(repr, get_args(ToolMode)))}"
            )
        if not isinstance(self.done_tool, str) or not self.done_tool.replace("_", "a").replace("-", "a").isalnum():
            raise ValueError(f"LoopConfig(done_tool={self.done_tool!r}): give a tool name of letters, digits, _ and -")
        if not isinstance(self.extra, dict):
            raise TypeError(f"LoopConfig(extra=...) is a dict of request parameters, not {type(self.extra).__name__}")
        for name, value in (("final_answer", self.final_answer), ("stream", self.stream)):
            if not isinstance(value, bool):
                raise TypeError(f"LoopConfig({name}={value!r}): use True or False")
        if not isinstance(self.system_prompt, str):
            raise TypeError(f"LoopConfig(system_prompt=...) is a str, not {type(self.system_prompt).__name__}")
        _number("temperature", self.temperature, zero=True)
        whole("LoopConfig(max_parallel_calls=...)", self.max_parallel_calls, least=1)
        whole("LoopConfig(context_window=...)", self.context_window, least=1, optional=True)
        if self.cancel_token is not None and not hasattr(self.cancel_token, "covers"):
            raise TypeError(f"LoopConfig(cancel_token={self.cancel_token!r}): give a CancelToken()")
        if self.output_schema is not None and not isinstance(self.output_schema, dict):
            raise TypeError(f"LoopConfig(output_schema=...) is a JSON Schema, not {type(self.output_schema).__name__}")
        _number("tool_timeout_s", self.tool_timeout_s, zero=False)
        _number("llm_timeout_s", self.llm_timeout_s, zero=False)


def whole(what: str, value: object, *, least: int, optional: bool = False) -> None:
    """Refuse anything but a whole number of at least `least` (or None where that is allowed)."""
    if optional and value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        none = ", or None for the default" if optional else ""
        raise ValueError(f"{what} is {value!r}: use a whole number of at least {least}{none}")


def _number(name: str, value: object, *, zero: bool) -> None:
    """Refuse anything but a finite number above 0 (or 0 itself, where that means something) and None."""
    if value is None:
        return
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not 0 <= float(value) < float("inf") or (value == 0 and not zero):  # type: ignore[arg-type]  # a number
        raise ValueError(f"LoopConfig({name}={value!r}): use a number {'of at least' if zero else 'above'} 0, or None")

"""The small interfaces between the layers. A class conforms by shape; nothing is subclassed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from looplet.events import Event
    from looplet.messages import Capabilities, Message, Prompt, Reply, ToolSchema
    from looplet.types import Step


class Model(Protocol):
    """A backend as the loop sees it; `looplet.backends.adapter.adapt` makes one of anything usable.

    `chat` raises `BackendError`s for what the provider does wrong; anything else it raises is a programming error.
    `name` is the model's name. `capabilities` may change between calls (a server that turns out to ignore tools).
    Two attributes are optional: `is_async = True` says that `chat` must be awaited, `no_sleep = True` that a run need
    not really wait before it tries a failed request again (a script or a recording).
    """

    @property
    def name(self) -> str: ...

    @property
    def capabilities(self) -> Capabilities: ...

    def chat(self, prompt: Prompt) -> Reply: ...


class Tool(Protocol):
    """What the core needs to know of a tool (`looplet.tools.ToolSpec` is the implementation)."""

    @property
    def schema(self) -> ToolSchema: ...

    @property
    def free(self) -> bool: ...

    @property
    def concurrent_safe(self) -> bool: ...

    @property
    def timeout_s(self) -> float | None: ...

    @property
    def needs_approval(self) -> bool: ...

    @property
    def idempotent(self) -> bool: ...


class Journal(Protocol):
    """A hook that keeps the run on disk (`ProvenanceSink`). Unlike a watcher it is told first and may fail the run.

    `filter_prompt` is the last thing that sees a request before the model does (redaction); it must be cheap for
    messages it has seen. `write` gets every event in order; `RunStarted` opens the trace, `RunFinished` completes it.
    `close` is called once after the last write, also when the run never started or broke.
    """

    def filter_prompt(self, prompt: Prompt) -> Prompt: ...

    def write(self, event: Event) -> None: ...

    def close(self) -> None: ...


class CompactStrategy(Protocol):
    """Shortens a conversation. The first message (the task) must stay, and calls must keep their results.

    It returns the new messages; returning them unchanged means that it cannot do more. As a generator it may yield
    Prompts for the run's model (a summary, say) and is sent a Reply for each.
    """

    def __call__(
        self, messages: Sequence[Message], /
    ) -> Sequence[Message] | Generator[Prompt, Reply, Sequence[Message]]: ...


class AgentState(Protocol):
    """What a state class of your own needs: a `max_steps` (or None) and a list the loop appends each step to."""

    @property
    def max_steps(self) -> int | None: ...

    @property
    def steps(self) -> list[Step]: ...


class LoopHook(Protocol):
    """Any object with at least one of the methods below; this Protocol only names them for type checkers."""


class PrePromptHook(LoopHook, Protocol):
    def pre_prompt(self, state: Any, log: Any, ctx: Prompt, step: int) -> Any: ...


class PreDispatchHook(LoopHook, Protocol):
    def pre_dispatch(self, state: Any, log: Any, tool_call: Any, step: int) -> Any: ...


class PostDispatchHook(LoopHook, Protocol):
    def post_dispatch(self, state: Any, log: Any, tool_call: Any, tool_result: Any, step: int) -> Any: ...


class CheckDoneHook(LoopHook, Protocol):
    def check_done(self, state: Any, log: Any, ctx: Any, step: int) -> Any: ...

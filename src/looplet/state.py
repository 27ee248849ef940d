"""The mutable home of a run. `RunState` belongs to the core; `DefaultState` is the window hooks see it through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

from looplet.config import LoopConfig, whole
from looplet.messages import Capabilities
from looplet.types import Step, Usage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from looplet.messages import Message, Prompt, ToolSchema
    from looplet.protocols import AgentState, Tool
    from looplet.types import ToolCall


class RunState:
    """Everything one run knows. Only the core writes here, and steps only through `commit`."""

    __slots__ = (
        "attempts",
        "budget",
        "call_ids",
        "call_number",
        "capabilities",
        "committed",
        "config",
        "context",
        "conversation",
        "errors",
        "executed",
        "finishing",
        "free_steps",
        "hooks",
        "id_count",
        "labels",
        "last_prompt",
        "log",
        "model_name",
        "output",
        "overflowed",
        "pending_approval",
        "restored",
        "run_id",
        "spent",
        "steps",
        "stop",
        "task",
        "text_mode",
        "tool_schemas",
        "tools",
        "tools_off",
        "tools_refused",
        "turn",
        "unanswered",
        "unsent",
        "usage",
        "view",
    )

    def __init__(
        self,
        *,
        run_id: str,
        task: Any,
        context: Any,
        config: LoopConfig,
        budget: int,
        tools: Mapping[str, Tool],
        hooks: Any,  # _core.hook_table.HookTable; the vocabulary does not know the core
        model_name: str,
        view: AgentState,
        labels: dict[str, Any],
    ) -> None:
        self.run_id = run_id
        self.task = task
        self.context = context
        self.config = config
        self.budget = budget
        self.tools = tools
        self.tool_schemas: tuple[ToolSchema, ...] = tuple(tool.schema for tool in tools.values())
        self.hooks = hooks
        self.capabilities = Capabilities()  # the driver keeps it up to date: asking may mean a request
        self.model_name = model_name
        self.view: AgentState | None = view
        self.labels = labels
        self.log = StepLog(view.steps)
        self.steps: list[Step] = view.steps
        self.conversation: list[Message] = []
        self.unsent = 0  # messages from here on were in no request yet
        self.last_prompt: Prompt | None = None  # as it was sent
        self.unanswered: list[Any] = []  # calls of this turn that have no result in the conversation yet
        self.text_mode = False
        self.tools_refused = False  # the model turned out to take no native tools
        self.tools_off = False  # the last question of a run is asked without tools
        self.overflowed = False
        self.usage = Usage()
        self.spent = Usage()  # since the previous step
        self.committed = 0  # steps that are final; a later one is still being looked at by hooks
        self.executed = False  # whether the latest step ran its tool
        self.errors: list[str] = []
        self.call_number = 0
        self.turn = 0
        self.id_count = 0
        self.call_ids: set[str] = set()  # some servers begin at the same id in every reply
        self.free_steps = 0
        self.finishing = False
        self.output: Any = None
        self.pending_approval: ToolCall | None = None
        self.attempts: Any = None  # _core.retry.Attempts of the turn, None between turns
        self.restored: Any = None  # _core.save.Restored, for a run that goes on from a checkpoint
        self.stop: str | None = None

    @property
    def steps_left(self) -> int:
        return self.budget - self.counted_steps

    @property
    def counted_steps(self) -> int:
        return len(self.steps) - self.free_steps

    @property
    def cancelled(self) -> bool:
        token = self.config.cancel_token
        return token is not None and token.cancelled

    def next_call_id(self) -> str:
        """A call id that is unique in this run, for calls the model gave none."""
        self.id_count += 1
        return f"looplet_{self.id_count}"

    def release(self) -> None:
        """Let go of the window at the end: the two refer to each other, and a run is freed without a collector."""
        self.view = None

    def end(self, reason: str, error: str | None = None) -> None:
        """Stop the run; the first reason stands."""
        if self.stop is None:
            self.stop = reason
        if error is not None:
            self.errors.append(error)

    def spend(self, usage: Usage | None) -> None:
        if usage is not None:
            self.spent += usage
            self.usage += usage


class StepLog:
    """The read-only list of steps so far that hooks receive as `log`."""

    __slots__ = ("_steps",)

    def __init__(self, steps: list[Step]) -> None:
        self._steps = steps

    def __len__(self) -> int:
        return len(self._steps)

    @overload
    def __getitem__(self, index: int) -> Step: ...

    @overload
    def __getitem__(self, index: slice) -> list[Step]: ...

    def __getitem__(self, index: int | slice) -> Step | list[Step]:
        return self._steps[index]

    def __iter__(self) -> Iterator[Step]:
        return iter(self._steps)

    def render(self) -> str:
        """One line a step, as `Step.pretty()` prints it."""
        return "\n".join(step.pretty() for step in self._steps)


class DefaultState:
    """The state hooks see, and the place for yours: `metadata` is a dict nobody else touches.

    A state belongs to one run. Everything but `max_steps` and `metadata` is read from that run.
    """

    def __init__(self, max_steps: int | None = None, metadata: dict[str, Any] | None = None) -> None:
        whole("DefaultState(max_steps=...)", max_steps, least=1, optional=True)
        self.max_steps = max_steps
        self.metadata: dict[str, Any] = metadata if metadata is not None else {}
        self.steps: list[Step] = []
        self._run: RunState | None = None

    def bind(self, run: RunState) -> None:
        """Called once by the loop."""
        if self._run is not None:
            raise ValueError("this DefaultState already belongs to a run; give every run a new one")
        self._run = run

    @property
    def step_count(self) -> int:
        return len(self.steps)

    @property
    def budget_remaining(self) -> int | None:
        """Steps left; before the run starts, `max_steps`."""
        return self.max_steps if self._run is None else self._run.steps_left

    @property
    def last_error(self) -> str | None:
        """Error of the latest step, if that step executed and failed; None after a success or a refusal."""
        return self.steps[-1].tool_result.error if self._run is not None and self._run.executed else None

    @property
    def task(self) -> Any:
        return self._run and self._run.task

    @property
    def conversation(self) -> tuple[Message, ...]:
        return tuple(self._run.conversation) if self._run else ()

    @property
    def usage(self) -> Usage:
        return self._run.usage if self._run else Usage()

    @property
    def finishing(self) -> bool:
        """True while `check_done` looks at a step in which the model asked to finish."""
        return self._run is not None and self._run.finishing

    @property
    def stop_reason(self) -> str | None:
        return self._run.stop if self._run else None

    @property
    def pending_approval(self) -> ToolCall | None:
        return self._run.pending_approval if self._run else None

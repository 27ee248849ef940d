"""Look every hook up once, at loop start, so that the hot path walks tuples and mistakes are told early."""

from __future__ import annotations

from contextlib import suppress
from types import MethodType
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from looplet._record import Record
from looplet.decisions import Stop
from looplet.effects import await_hook, emit
from looplet.errors import HookError
from looplet.events import HookDecided

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from looplet.effects import Flow
    from looplet.messages import Prompt
    from looplet.protocols import Journal
    from looplet.state import RunState

METHODS = {
    "pre_prompt": "state, log, ctx, step",
    "pre_dispatch": "state, log, tool_call, step",
    "post_dispatch": "state, log, tool_call, tool_result, step",
    "check_done": "state, log, ctx, step",
    "on_event": "event",
}
_JOURNAL = ("filter_prompt", "write", "close")
_SIMILAR = 0.9  # of 1.0, without case and underscores: two letters of a dozen


# What was found right, as long as it lives: looking takes longer than a short run.
_SPELT: WeakSet[type] = WeakSet()
_FITTING: dict[str, WeakSet[Any]] = {phase: WeakSet() for phase in METHODS}


class BoundHook(Record):
    """One method of one hook. `gate` hooks are asked last in `pre_dispatch`."""

    name: str
    method: Callable[..., Any]
    gate: bool = False


class HookTable(Record):
    """The hooks of a run by phase, in the order they were given.

    `checkpoints`: a journal keeps the run so that it can be resumed. `approves`: a hook asks a person about
    calls; `pauses`: it ends the run to wait for the answer.
    """

    pre_prompt: tuple[BoundHook, ...] = ()
    pre_dispatch: tuple[BoundHook, ...] = ()
    post_dispatch: tuple[BoundHook, ...] = ()
    check_done: tuple[BoundHook, ...] = ()
    on_event: tuple[BoundHook, ...] = ()
    journals: tuple[Journal, ...] = ()
    checkpoints: bool = False
    approves: bool = False
    pauses: bool = False

    def filter_prompt(self, prompt: Prompt) -> Prompt:
        """What leaves the process: the prompt after every journal's redaction."""
        for journal in self.journals:
            prompt = journal.filter_prompt(prompt)
        return prompt


def bind_hooks(hooks: Sequence[object], *, allow_async: bool) -> HookTable:
    """Check and sort `hooks`. Misspelt, mis-shaped, empty and (in a sync run) async hooks are HookErrors."""
    phases: dict[str, list[BoundHook]] = {method: [] for method in METHODS}
    journals = []
    for hook in hooks:
        _check_is_hook(hook)
        if _is_journal(hook):
            journals.append(hook)
        for phase in METHODS:
            method = getattr(hook, phase, None)
            if method is not None:
                _check_method(hook, phase, method, allow_async)
                phases[phase].append(BoundHook(type(hook).__name__, method, bool(getattr(hook, "gate", False))))
    phases["pre_dispatch"].sort(key=lambda bound: bound.gate)  # stable: list order within each group
    return HookTable(
        **{phase: tuple(bound) for phase, bound in phases.items()},
        journals=tuple(journals),  # type: ignore[arg-type]  # _is_journal checked the shape
        checkpoints=any(getattr(journal, "checkpoints", False) for journal in journals),
        approves=any(getattr(hook, "approves", False) for hook in hooks),
        pauses=any(getattr(hook, "pauses", False) for hook in hooks),
    )


def _is_journal(hook: object) -> bool:
    return all(callable(getattr(hook, method, None)) for method in _JOURNAL)


def _check_is_hook(hook: object) -> None:
    name = hook.__name__ if isinstance(hook, type) else type(hook).__name__
    if isinstance(hook, type):
        raise HookError(f"hooks=[{name}] is a class; pass an instance: hooks=[{name}()]")
    _check_spelling(type(hook))
    if not _is_journal(hook) and not any(hasattr(hook, phase) for phase in METHODS):
        raise HookError(f"{name} has no hook method; give it at least one of {', '.join(METHODS)}")


def _check_spelling(kind: type) -> None:
    """Refuse a method that was surely meant to be a hook method; silence would be worse than a wrong guess."""
    if _is_known(kind, _SPELT):
        return
    import difflib  # only needed for hooks with further methods

    plain = {method.replace("_", ""): method for method in METHODS}
    for attribute in dir(kind):
        if attribute.startswith("_") or attribute in METHODS or not callable(getattr(kind, attribute, None)):
            continue
        close = difflib.get_close_matches(attribute.replace("_", "").lower(), plain, n=1, cutoff=_SIMILAR)
        if close:
            raise HookError(f"{kind.__name__}.{attribute}() is no hook method; did you mean {plain[close[0]]}()?")
    _remember(kind, _SPELT)


def _check_method(hook: object, phase: str, method: object, allow_async: bool) -> None:
    import inspect  # 3 ms that a run without hooks does not pay

    function = method.__func__ if isinstance(method, MethodType) else None
    where = f"{type(hook).__name__}.{phase}"
    if not callable(method):
        raise HookError(f"{where} is {method!r}; it must be a method {phase}({METHODS[phase]})")
    try:
        if not _is_known(function, _FITTING[phase]):
            inspect.signature(method).bind(*METHODS[phase].split(", "))
            _remember(function, _FITTING[phase])
    except TypeError as error:
        raise HookError(
            f"{where}{inspect.signature(method)} cannot be called as {phase}({METHODS[phase]}): {error}"
        ) from None
    if inspect.iscoroutinefunction(method) and (not allow_async or phase == "on_event"):
        fix = "make it a plain function" if phase == "on_event" else "use async_composable_loop or a plain function"
        raise HookError(f"{where}() is async; {fix}")


def _is_known(thing: Any, found: WeakSet[Any]) -> bool:
    try:
        return thing in found
    except TypeError:  # a class whose metaclass takes its hash away
        return False


def _remember(thing: Any, found: WeakSet[Any]) -> None:
    with suppress(TypeError):
        found.add(thing)


def ask(state: RunState, phase: str, hook: BoundHook, *about: object, step: int | None = None) -> Flow[Any]:
    """Ask one hook about `about`; a Stop is carried out here, and still returned.

    What a hook raises leaves the run with a note that names hook, phase and step.
    """
    step = step or step_number(state, phase)
    try:
        answer = hook.method(state.view, state.log, *about, step)
        if hasattr(answer, "__await__"):
            answer = yield from await_hook(answer)
    except (StopIteration, StopAsyncIteration) as error:  # would end a generator, or an `async for`, silently
        raise HookError(f"{hook.name}.{phase}() raised {type(error).__name__} at step {step}") from error
    except Exception as error:
        error.add_note(f"raised by the hook {hook.name}.{phase}() at step {step}")
        raise
    if isinstance(answer, Stop):
        state.end(answer.reason)
        yield from emit(HookDecided(hook.name, phase, f"stop: {answer.reason}"))
    return answer


def step_number(state: RunState, phase: str) -> int:
    """The step a phase is about: the one to come, or the one that was just made. (Calls of a wave know their own.)"""
    return len(state.steps) + (phase in ("pre_prompt", "pre_dispatch"))


def impossible(state: RunState, phase: str, hook: BoundHook, answer: object, allowed: str) -> HookError:
    """The error for an answer this phase does not understand."""
    shown = "a str" if isinstance(answer, str) else repr(answer) if isinstance(answer, bool) else type(answer).__name__
    where = f"{hook.name}.{phase}() at step {step_number(state, phase)}"
    return HookError(f"{where} answered {shown}; it may answer {allowed}, or None")

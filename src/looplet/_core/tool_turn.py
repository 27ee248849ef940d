"""One wave of tool calls: decide about each, let the hooks look back, settle whether the run is done, commit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from looplet._core.arguments import own_copy
from looplet._core.hook_table import ask, impossible
from looplet._core.prompt import say
from looplet._core.save import checkpoint, recovered, save
from looplet._core.to_text import result_text
from looplet._core.validate import validate
from looplet.decisions import Allow, Deny, InjectContext, Stop
from looplet.effects import Decided, emit, run_tools
from looplet.events import CallStarted, HookDecided, StepFinished
from looplet.messages import Message
from looplet.types import ErrorKind, Step, ToolCall, ToolResult, Usage

WAITING = "waiting_for_approval"
_NO_APPROVAL = "{tool} needs approval, and nobody can give it: this run has no ApprovalHook"

if TYPE_CHECKING:
    from collections.abc import Sequence

    from looplet._core.parse import ParsedCall
    from looplet.effects import Flow
    from looplet.state import RunState


def is_concurrent_safe(state: RunState, parsed: ParsedCall) -> bool:
    tool = state.tools.get(parsed.call.tool)
    return tool is not None and tool.concurrent_safe


def decide(state: RunState, parsed: ParsedCall, step: int) -> Flow[Decided | None]:
    """Validate the call and ask `pre_dispatch`; None when a hook stopped the run."""
    tool = state.tools.get(parsed.call.tool)
    timeout_s = (tool and tool.timeout_s) or state.config.tool_timeout_s
    asked = Decided(parsed.call, parsed.call, native=parsed.native, step=step, timeout_s=timeout_s)
    decision = recovered(state, asked)
    if decision is not None:
        return decision
    if parsed.problem is not None:
        return refused(asked, ErrorKind.PARSE, parsed.problem, retry=True)
    if tool is not None and tool.needs_approval and not state.hooks.approves:
        return refused(asked, ErrorKind.PERMISSION_DENIED, _NO_APPROVAL.format(tool=parsed.call.tool), retry=False)
    decision = checked(state, asked)
    if decision.result is not None or not state.hooks.pre_dispatch:
        return decision
    # a copy for the hooks: one that changes arguments in place must change neither the model's call nor go unchecked
    final = yield from ask_pre_dispatch(state, decision.replace(call=with_own_args(decision.call)))
    if final is not None and final.result is None and final.call.args != decision.call.args:
        return checked(state, final)
    return final


def wait_for_approval(state: RunState, call: ToolCall) -> Flow[None]:
    """Remember, durably, the call a hook paused the run for."""
    if state.stop == WAITING:
        state.pending_approval = call
        yield from save(state)


def is_waiting(state: RunState, decision: Decided) -> bool:
    """Whether this very call is the one the run waits with."""
    pending = state.pending_approval
    return state.stop == WAITING and pending is not None and pending.call_id == decision.call.call_id


def with_own_args(call: ToolCall) -> ToolCall:
    return call.replace(args=own_copy(call.args))


def ask_pre_dispatch(state: RunState, decision: Decided) -> Flow[Decided | None]:
    """Rewrites chain, the first Deny or Stop wins, and gates are asked even about a cached result."""
    for hook in state.hooks.pre_dispatch:
        if decision.result is not None and not (hook.gate and decision.result.ok):
            continue
        answer = yield from ask(state, "pre_dispatch", hook, decision.call, step=decision.step)
        if isinstance(answer, Stop):
            yield from wait_for_approval(state, decision.call)
            return None
        if isinstance(answer, Deny):
            yield from emit(HookDecided(hook.name, "pre_dispatch", f"deny {decision.call.tool}: {answer.reason}"))
            return refused(decision, ErrorKind.PERMISSION_DENIED, answer.reason, retry=answer.retry)
        if isinstance(answer, ToolResult):
            decision = decision.replace(result=answer)
        elif isinstance(answer, Allow):
            decision = rewritten(state, decision, answer)
        elif answer is not None:
            raise impossible(state, "pre_dispatch", hook, answer, "Deny, Allow, a ToolResult or Stop")
    return decision


def rewritten(state: RunState, decision: Decided, answer: Allow) -> Decided:
    """Rewritten arguments are validated like the model's own."""
    decision = decision.replace(approved=decision.approved or answer.approved)
    if answer.args is None:
        return decision
    return checked(state, decision.replace(call=decision.call.replace(args=answer.args), result=None))


def checked(state: RunState, decision: Decided) -> Decided:
    """The call with its arguments as they will run, or with the refusal the model gets."""
    valid = validate(decision.call, state.tools)
    if isinstance(valid, ToolResult):
        return decision.replace(result=valid)
    call, notes = valid
    return decision.replace(call=call, notes=notes)


def refused(decision: Decided, kind: ErrorKind, reason: str, *, retry: bool) -> Decided:
    return decision.replace(result=ToolResult(decision.call.tool, error=reason, error_kind=kind, error_retriable=retry))


def start(decided: Sequence[Decided]) -> Flow[None]:
    """Announce what is about to execute; refused calls never start."""
    for decision in decided:
        if decision.result is None:
            yield from emit(CallStarted(decision.step, decision.call, decision.asked, decision.approved))


def open_step(state: RunState, decision: Decided, result: ToolResult) -> Step:
    """Make the step and put it where hooks find it: `state.steps[-1]`."""
    if decision.notes:
        result = result.replace(warnings=(*decision.notes, *result.warnings))
    step = Step(decision.step, decision.call, result, state.last_prompt, state.spent)
    state.spent = Usage()
    state.executed = decision.result is None or decision.known
    state.steps.append(step)
    return step


def close_step(state: RunState, decision: Decided, step: Step) -> Flow[None]:
    """Let the hooks look at the step, then commit it. A hook that raises does not undo what the tool has done."""
    notes: list[str] = []
    try:
        step = yield from look_back(state, decision, step, notes)
        if is_waiting(state, decision):
            state.steps.pop()  # it has not happened yet: the call stays open until it is approved
            return
        step = yield from ask_done(state, step)
    except Exception:
        yield from commit(state, decision, state.steps[-1], notes)
        raise
    yield from commit(state, decision, step, notes)


def look_back(state: RunState, decision: Decided, step: Step, notes: list[str]) -> Flow[Step]:
    """Ask `post_dispatch`: texts for the model are added to `notes`, replaced results chain, the first Stop wins."""
    for hook in state.hooks.post_dispatch:
        answer = yield from ask(state, "post_dispatch", hook, step.tool_call, step.tool_result)
        if isinstance(answer, Stop):
            yield from wait_for_approval(state, step.tool_call)
            break
        if isinstance(answer, Allow) and answer.approved:
            if not decision.approved:  # a tool that asked by itself; one that asks again has had its answer
                step = yield from run_approved(state, decision, step, answer)
                state.steps[-1] = step
        elif isinstance(answer, (str, InjectContext)):
            text = answer if isinstance(answer, str) else answer.text
            notes += [text] if text.strip() else []
        elif isinstance(answer, ToolResult):
            step = step.replace(tool_result=answer)
            state.steps[-1] = step
        elif answer is not None:
            raise impossible(state, "post_dispatch", hook, answer, "a str, InjectContext, a ToolResult, Allow or Stop")
    return step


def run_approved(state: RunState, decision: Decided, step: Step, answer: Allow) -> Flow[Step]:
    """Run a call again whose tool asked for approval, with the arguments a person may have edited."""
    decision = rewritten(state, decision.replace(result=None), answer)
    yield from start([decision])
    result = (yield from run_tools([decision]))[0]
    if decision.notes:
        result = result.replace(warnings=(*decision.notes, *result.warnings))
    return step.replace(tool_call=decision.call, tool_result=result)


def ask_done(state: RunState, step: Step) -> Flow[Step]:
    """The DONE? point of every step: `check_done`, then the done tool, then the budget."""
    state.finishing = step.tool_call.tool == state.config.done_tool and step.tool_result.ok
    rejection = yield from ask_check_done(state)
    if rejection is not None:
        step = step.replace(
            tool_result=step.tool_result.replace(
                data=None, error=f"not accepted: {rejection}", error_kind=ErrorKind.VALIDATION, error_retriable=True
            )
        )
    elif state.finishing and state.stop is None:
        state.output = step.tool_result.data
        state.end("done")
    state.finishing = False
    count(state, step)
    return step


def ask_check_done(state: RunState) -> Flow[str | None]:
    """Return why the completion is rejected. A rejection while the model did not ask to finish means nothing."""
    for hook in state.hooks.check_done:
        answer = yield from ask(state, "check_done", hook, state.context)
        if isinstance(answer, Stop):
            return None
        if isinstance(answer, (str, Deny)):
            reason = answer if isinstance(answer, str) else answer.reason
            if state.finishing and reason.strip():
                yield from emit(HookDecided(hook.name, "check_done", f"deny: {reason}"))
                return reason
        elif answer is not None:
            allowed = "Stop(reason) to end the run, Deny(reason) to reject a done"
            raise impossible(state, "check_done", hook, answer, allowed)
    return None


def count(state: RunState, step: Step) -> None:
    """Charge the step to the budget; the cap, or a cancellation, ends the run after what ran was recorded."""
    tool = state.tools.get(step.tool_call.tool)
    if tool is not None and tool.free:
        state.free_steps += 1
    if state.cancelled:
        state.end("cancelled")
    if state.steps_left <= 0:
        state.end("max_steps")


def commit(state: RunState, decision: Decided, step: Step, notes: Sequence[str]) -> Flow[None]:
    """Make the step part of the run: the only writer of steps, and of results in the conversation."""
    state.steps[-1] = step
    state.committed = len(state.steps)
    if step.tool_result.error is not None:
        state.errors.append(f"{step.tool_call.tool}: {step.tool_result.error}")
    state.unanswered.pop(0)
    content = "\n\n".join([result_text(step.tool_result, state.config.result_chars), *notes])
    answer(state, decision.asked, content, native=decision.native)
    yield from emit(StepFinished(step, decision.asked, state.call_number, checkpoint(state)))


def answer(state: RunState, call: ToolCall, content: str, *, native: bool) -> None:
    """Give the model the result of its call, in the form in which it made the call."""
    if native:
        state.conversation.append(Message("tool", content, call_id=call.call_id))
    else:
        say(state, f"Result of {call.tool}:\n{content}")

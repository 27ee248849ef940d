"""One request to the model and its reply, with its events: the only place a prompt leaves the core."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from looplet._core.save import checkpoint
from looplet.effects import call_model, emit
from looplet.errors import BackendError, BackendTimeout, Cancelled, ConnectionFailed, MalformedReply
from looplet.events import ModelCalled, ModelFailed, ModelReplied
from looplet.messages import Reply

if TYPE_CHECKING:
    from looplet.effects import Flow
    from looplet.messages import Prompt
    from looplet.state import RunState


def exchange(state: RunState, prompt: Prompt, purpose: str = "") -> Flow[Reply]:
    """Send `prompt`, count what it cost, return the reply. Provider failures are BackendErrors, and not yet events."""
    state.call_number += 1
    sent = state.hooks.filter_prompt(prompt)
    state.last_prompt = sent
    state.unsent = len(state.conversation)
    yield from emit(ModelCalled(state.call_number, sent))
    try:
        reply, duration_ms = yield from call_model(sent, state.call_number)
        if not isinstance(reply, Reply):
            raise TypeError(f"chat() returned {type(reply).__name__}; a backend answers with a looplet Reply")
    except Exception as error:
        if isinstance(error, Cancelled):
            raise
        failure = as_backend_error(error)
        if failure is not None:
            raise failure from None
        error.add_note(f"raised by the model {state.model_name!r} at call {state.call_number}; it was not retried")
        raise
    state.spend(reply.usage)
    yield from emit(ModelReplied(state.call_number, sent, reply, duration_ms, purpose))
    return reply


def as_backend_error(error: Exception) -> BackendError | None:
    """The failure as looplet's own error; None for a programming error, which is nobody's to retry."""
    if isinstance(error, BackendError):
        return error
    text = f"{type(error).__name__}: {error}"  # of a backend of the user's own, in Python's words
    if isinstance(error, TimeoutError):
        return BackendTimeout(text)
    if isinstance(error, ConnectionError) or type(error).__name__ == "gaierror":
        return ConnectionFailed(text)
    return None


def failed(state: RunState, error: BackendError, retry_in: float | None) -> ModelFailed:
    """The event of a failed request. What was done about it is in its checkpoint."""
    assert state.last_prompt is not None, "a request failed, so one was sent"  # noqa: S101  # for the type checker
    return ModelFailed(
        call=state.call_number,
        prompt=state.last_prompt,
        kind=type(error).__name__,
        error=str(error),
        retry_in=retry_in,
        details=details_of(error),
        checkpoint=checkpoint(state),
    )


def details_of(error: BackendError) -> dict[str, Any]:
    """What a replay needs to raise this error again."""
    details: dict[str, Any] = {
        "status": error.status,
        "retry_after": error.retry_after,
        "request_id": error.request_id,
        "retriable": error.retriable,
    }
    return details | {"text": error.text} if isinstance(error, MalformedReply) else details

"""Every exception looplet raises of its own, and whose fault it is.

    LoopletError
    ├── HookError                 yours: a hook is misspelt, mis-shaped, or answered something impossible
    ├── ToolValidationError       the model's: raise it in a tool to say "you called me wrongly"
    ├── ScriptError               yours: a scripted model ran dry or was not used up
    ├── Cancelled                 yours: the run's CancelToken was cancelled; ends the run, never seen outside
    ├── BackendError              the provider's, with `status`, `retriable`, `retry_after`, `request_id`
    │   ├── AuthError             wrong or missing key
    │   ├── QuotaError            out of credit; waiting does not help
    │   ├── RateLimited           wait and try again
    │   ├── UnknownModel          the server does not serve this model
    │   ├── ContextOverflow       the request is longer than the context window
    │   ├── ContentFiltered       the provider refused the content
    │   ├── ToolsUnsupported      this model takes no tools: the loop goes on in text mode
    │   ├── MalformedReply        the model's reply could not be read; it is asked again
    │   ├── BackendTimeout        no answer in time
    │   ├── ConnectionFailed      no connection
    │   └── ServerError           5xx
    ├── JudgeError                the judge's: its provider failed, or what it answers is no verdict
    └── TraceError                a trace cannot be read or written
        └── ReplayMismatch        a request has no recorded reply

Wrong arguments to looplet's own functions are plain TypeError and ValueError.
"""

from __future__ import annotations


class LoopletError(Exception):
    """Base of all looplet errors."""


class HookError(LoopletError):
    """A hook cannot be used as it is, or answered what its phase does not understand."""


class ToolValidationError(LoopletError):
    """Raise in a tool when the caller's arguments are wrong: the model is told, with error kind `validation`."""


class ScriptError(LoopletError):
    """A scripted model ran out of responses, or was left with some."""


class Cancelled(LoopletError):
    """The run was cancelled while a request or call was in flight."""


class BackendError(LoopletError):
    """The provider failed. `retriable` says whether the same request may succeed later.

    `status` is the HTTP status where there was one, `retry_after` seconds the server asked to wait.
    """

    retriable = False

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        request_id: str = "",
        retriable: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after
        self.request_id = request_id
        if retriable is not None:
            self.retriable = retriable


class AuthError(BackendError):
    """The key is missing or wrong."""


class QuotaError(BackendError):
    """The account is out of credit; waiting does not help."""


class RateLimited(BackendError):
    """Too many requests; wait `retry_after` seconds where the server says so."""

    retriable = True


class UnknownModel(BackendError):
    """The server does not serve this model."""


class ContextOverflow(BackendError):
    """The request is longer than the model's context window."""


class ContentFiltered(BackendError):
    """The provider refused to answer this content."""


class ToolsUnsupported(BackendError):
    """This model or server takes no native tools; text mode works."""


class MalformedReply(BackendError):
    """The model's reply could not be read (broken call, truncated stream). `text` is what it wrote, as far as known."""

    def __init__(self, message: str, *, text: str = "", status: int | None = None, request_id: str = "") -> None:
        super().__init__(message, status=status, request_id=request_id)
        self.text = text


class BackendTimeout(BackendError):
    """No answer in time."""

    retriable = True


class ConnectionFailed(BackendError):
    """No connection to the server."""

    retriable = True


class ServerError(BackendError):
    """The server failed (5xx)."""

    retriable = True


class JudgeError(LoopletError):
    """A judge gave no verdict. Never a low score: nothing is known of what was judged."""


class TraceError(LoopletError):
    """A trace cannot be read or written as asked."""


class ReplayMismatch(TraceError):
    """A request has no recorded reply; the message names the nearest recording and the first difference."""

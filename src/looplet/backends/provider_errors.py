"""What went wrong, from status and body alone: every transport and every provider's words end in one error tree."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any

from looplet._pretty import shorten, visible
from looplet._record import Record
from looplet.errors import (
    AuthError,
    BackendError,
    BackendTimeout,
    ContentFiltered,
    ContextOverflow,
    MalformedReply,
    QuotaError,
    RateLimited,
    ServerError,
    ToolsUnsupported,
    UnknownModel,
)

if TYPE_CHECKING:
    from looplet.backends.http import HttpAnswer

_SHOWN_MODELS = 10
_SHOWN = 500  # characters of a server's message; some answer with whole pages


class Asked(Record):
    """Who was asked: `model` at the URL `where`; `key` names the variable for its key, `hint` is about a wrong URL."""

    where: str
    model: str
    key: str = "OPENAI_API_KEY"
    hint: str = "does the base URL end in /v1?"


class Complaint(Record):
    """A provider's error body, read: `code` holds its code and type, lower case; integer codes among them."""

    status: int
    message: str
    code: str = ""
    param: str = ""
    failed_generation: str = ""


# Told apart by code or wording, because statuses differ: overflow is 400, 413, 422, 429 or 500 depending on the server.
# The order matters: a quota error calls itself a rate limit too, and an overflow may be called an invalid request.
_KINDS: tuple[tuple[type[BackendError], re.Pattern[str]], ...] = (
    (MalformedReply, re.compile(r"tool_use_failed|failed to parse tool call|failed to parse input at pos")),
    (
        ContextOverflow,
        re.compile(
            r"exceed_context_size|context_length_exceeded|context_too_long|request too large|string_above_max_length"
            r"|(maximum|available|exceeds?\b.{0,60}) context"
            r"|context (length|window|size).{0,40}(exceed|limit|small|over)"
            r"|(prompt|input|request) (is |was )?too (long|large)|too many (input |prompt )?tokens|reduce the length"
        ),
    ),
    (QuotaError, re.compile(r"insufficient_quota|exceeded your current quota|insufficient (balance|credits)|billing")),
    (
        ToolsUnsupported,
        re.compile(
            r"(does not|doesn't|do not|not) support(ed)? .{0,20}\b(tools?|tool use|tool calling|function calling)\b"
            r"|\b(tools?|tool use|tool calling|function calling)\b (is|are) not (supported|available|enabled)"
            r"|endpoints found that support tool|tool choice requires --|tools param requires --jinja"
        ),
    ),
    (
        ContentFiltered,
        re.compile(r"content_filter|content_policy|content management policy|responsibleaipolicy|moderation"),
    ),
    (
        UnknownModel,
        re.compile(
            r"model_not_found|unknown_model|model .{0,200}(not found|does not exist|not exist)|not_found_error model:"
        ),
    ),
)
_BY_STATUS: dict[int, type[BackendError]] = {
    401: AuthError,
    402: QuotaError,
    403: AuthError,
    408: BackendTimeout,
    413: ContextOverflow,
    429: RateLimited,
}
_ADVICE: dict[type[BackendError], str] = {
    QuotaError: "the account has no credit left; waiting does not help",
    ContextOverflow: "shorten the conversation, or give the model a larger context window",
    ToolsUnsupported: "looplet goes on with the text protocol",
}


def read_complaint(answer: HttpAnswer) -> Complaint | None:
    """Return the error an answer carries: by its status, or as an `error` object inside a 200."""
    data = parse_json(answer.body)
    error = data.get("error", data) if isinstance(data, dict) else data
    if answer.status < 400 and not (isinstance(data, dict) and data.get("error")):
        return None
    if not isinstance(error, dict):
        text = error if isinstance(error, str) else _page_text(answer.body)
        return Complaint(answer.status if answer.status >= 400 else 500, text or "(empty body)")
    message = error.get("message") or error.get("detail") or error.get("error") or json.dumps(error)
    code = error.get("code")
    status = code if answer.status < 400 and isinstance(code, int) and 400 <= code < 600 else answer.status
    return Complaint(
        status if status >= 400 else 500,
        message if isinstance(message, str) else json.dumps(message),
        f"{code or ''} {error.get('type') or ''}".lower(),
        str(error.get("param") or ""),
        _as_text(error.get("failed_generation")),
    )


def as_error(complaint: Complaint, answer: HttpAnswer, asked: Asked) -> BackendError:
    """The typed error for a complaint about a request."""
    kind = _kind(complaint)
    said = shorten(visible(complaint.message.strip()), _SHOWN)
    text = f"{asked.where} answered {complaint.status} for model {asked.model!r}: {said}"
    if advice := _advice(kind, complaint, asked):
        text += f" ({advice})"
    request_id = request_id_of(answer)
    if kind is MalformedReply:
        return MalformedReply(text, text=complaint.failed_generation, status=complaint.status, request_id=request_id)
    return kind(
        text,
        status=complaint.status,
        retry_after=retry_after(answer.headers),
        request_id=request_id,
        retriable=True if complaint.status == 409 else None,
    )


def with_served(error: BackendError, served: list[str]) -> UnknownModel:
    """The error for an unknown model, naming those the server has, if it says."""
    more = " ..." if len(served) > _SHOWN_MODELS else ""
    text = f"{error}; it serves: {', '.join(served[:_SHOWN_MODELS])}{more}" if served else str(error)
    return UnknownModel(text, status=error.status, request_id=error.request_id)


def unreadable(answer: HttpAnswer, asked: Asked) -> BackendError:
    """The error for a 200 whose body is no reply."""
    where = asked.where
    if not answer.body.strip():
        return ServerError(f"{where} answered {answer.status} with an empty body", status=answer.status)
    text = _page_text(answer.body)
    if answer.body.lstrip()[:1] == b"<":
        return BackendError(
            f"{where} answered with a web page ({shorten(text, 80)!r}); {asked.hint}",
            status=answer.status,
        )
    return ServerError(f"{where} answered without a usable choice: {shorten(text, 200)}", status=answer.status)


def request_id_of(answer: HttpAnswer) -> str:
    return answer.headers.get("x-request-id") or answer.headers.get("request-id", "")


def retry_after(headers: dict[str, str]) -> float | None:
    """Seconds the server asked to wait: a number, milliseconds in OpenAI's own header, or an HTTP date."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            return max(0.0, float(headers.get(name, "")) * unit)
        except ValueError:
            continue
    return _seconds_until(headers.get("retry-after", ""))


def parse_json(body: bytes) -> Any:
    """The body as JSON, or None when it is anything else."""
    try:
        return json.loads(body)
    except ValueError:
        return None


def _kind(complaint: Complaint) -> type[BackendError]:
    words = f"{complaint.code} {complaint.message}".lower()
    for kind, pattern in _KINDS:
        if pattern.search(words) and not (kind is UnknownModel and complaint.status >= 500):  # one still loading
            return kind
    if complaint.status >= 500:
        return ServerError
    return _BY_STATUS.get(complaint.status, BackendError)


def _advice(kind: type[BackendError], complaint: Complaint, asked: Asked) -> str:
    if kind is UnknownModel and "pulling" in complaint.message:
        return "with Ollama: `ollama pull` it"
    if kind is BackendError and complaint.status in (404, 405):
        return asked.hint
    if kind is AuthError:
        return f"check {asked.key} (or the api_key argument)"
    return _ADVICE.get(kind, "")


def _page_text(body: bytes) -> str:
    """The words of a body that is not JSON: a page's tags and scripts say nothing."""
    text = body.decode("utf-8", "replace")
    text = re.sub(r"<(style|script)\b.*?</\1>|<[^>]*>", " ", text, flags=re.DOTALL | re.IGNORECASE)
    return shorten(visible(" ".join(text.split())), _SHOWN)


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value) if value else ""


def _seconds_until(date: str) -> float | None:
    from email.utils import parsedate_to_datetime  # rarely needed, and loads half of `email`

    try:
        return max(0.0, parsedate_to_datetime(date).timestamp() - time.time())
    except ValueError:
        return None

from __future__ import annotations

import time
from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.fake_openai import as_json

from looplet.backends.http import HttpAnswer
from looplet.backends.provider_errors import Asked, as_error, read_complaint, retry_after, unreadable
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


def error_for(status: int, message: str, **fields: Any) -> BackendError:
    scripted = as_json({"error": {"message": message, **fields}}, status)
    answer = HttpAnswer(status, {}, scripted.body)
    complaint = read_complaint(answer)
    assert complaint is not None
    return as_error(complaint, answer, Asked("http://host/v1", "m"))


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (400, "This model's maximum context length is 4096 tokens. However, you requested 5000", ContextOverflow),
        (400, "the request exceeds the available context size, try increasing it", ContextOverflow),
        (500, "Requested tokens (5000) exceed context window of 2048", ContextOverflow),
        (400, "prompt is too long: 210000 tokens > 200000 maximum", ContextOverflow),
        (429, "Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 40000", ContextOverflow),
        (429, "Rate limit reached for requests per min", RateLimited),
        (429, "Insufficient credits", QuotaError),
        (400, "m does not support tools", ToolsUnsupported),
        (400, "Function calling is not supported by this model", ToolsUnsupported),
        (400, "`tool use` is not enabled", BackendError),
        (500, "tools param requires --jinja flag", ToolsUnsupported),
        (404, "The model `m` does not exist or you do not have access to it", UnknownModel),
        (400, "model 'm' not found", UnknownModel),
        (503, "model 'm' not found yet, it is loading", ServerError),
        (400, "The response was filtered due to the prompt triggering content management policy", ContentFiltered),
        (500, "Failed to parse tool call arguments as JSON", MalformedReply),
        (400, "something else", BackendError),
        (401, "no", AuthError),
        (402, "no", QuotaError),
        (403, "no", AuthError),
        (408, "no", BackendTimeout),
        (413, "no", ContextOverflow),
        (429, "no", RateLimited),
        (500, "no", ServerError),
        (529, "no", ServerError),
    ],
)
def test_servers_say_the_same_thing_in_many_words(status: int, message: str, kind: type[BackendError]) -> None:
    error = error_for(status, message)
    assert type(error) is kind
    assert message in str(error)


def test_a_long_page_and_control_characters_stay_out_of_the_message() -> None:
    error = error_for(500, "\x1b[31m" + "x" * 9000)
    assert "\x1b" not in str(error)
    assert len(str(error)) < 700


def test_a_web_page_is_shown_as_its_words() -> None:
    answer = HttpAnswer(200, {}, b"<html><style>p {color: red}</style><p>Welcome to <b>nginx</b></p></html>")
    assert "Welcome to nginx" in str(unreadable(answer, Asked("http://host", "m")))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0.0),
    ],
)
def test_retry_after_is_read_in_every_form(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


def test_retry_after_as_a_date_is_counted_from_now() -> None:
    seconds = retry_after({"retry-after": formatdate(time.time() + 3600, usegmt=True)})
    assert seconds is not None
    assert 3000 < seconds <= 3600


def test_a_good_answer_is_no_complaint() -> None:
    assert read_complaint(HttpAnswer(200, {}, b'{"choices": [], "error": null}')) is None


@given(status=st.integers(400, 599), body=st.binary() | st.text().map(str.encode))
def test_any_bytes_become_one_typed_error(status: int, body: bytes) -> None:
    answer = HttpAnswer(status, {}, body)
    complaint = read_complaint(answer)
    assert complaint is not None
    error = as_error(complaint, answer, Asked("http://host/v1", "m"))
    assert isinstance(error, BackendError)
    assert error.status == status


@given(
    error=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["error", "message", "code", "type", "param", "detail"]), inner, max_size=4
            )
        ),
    )
)
def test_any_json_becomes_one_typed_error(error: Any) -> None:
    answer = HttpAnswer(400, {}, as_json(error).body)
    complaint = read_complaint(answer)
    assert complaint is not None
    assert isinstance(as_error(complaint, answer, Asked("http://host/v1", "m")), BackendError)

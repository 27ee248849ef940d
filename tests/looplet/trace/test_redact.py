from __future__ import annotations

import json
import re
import weakref
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.collecting import without_collector
from tests.support.secrets import KEYS, escaped
from tests.support.traces import Script, json_values, write_trace

from looplet.errors import TraceError
from looplet.events import Compacted, HookDecided, ModelFailed, ModelReplied, Noticed, RunStarted
from looplet.messages import Message, Prompt, RawCall, Reply, Settings, ToolSchema
from looplet.trace.redact import (
    _BEARER,
    _EMAIL,
    _PATTERNS,
    _SHORTEST,
    _SHORTEST_EMAIL,
    REDACTED,
    Redaction,
    Redactor,
    redaction,
    redaction_for,
    redactor_id,
)
from looplet.types import ErrorKind, ToolCall, ToolResult

if TYPE_CHECKING:
    from pathlib import Path

    from looplet.events import Event

SECRET = KEYS["openai"]


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_the_built_in_patterns_find(key: str) -> None:
    redact = Redactor()
    assert redact(f"see ({key}), please") == f"see ({REDACTED}), please"
    assert redact(redact(key)) == redact(key)


@pytest.mark.parametrize(
    "text", ["risk-assessment-of-everything", "the bearer of news", "sk-8", "AKIA", "a@b.com", "task_sk-1", "eyJ.a.b"]
)
def test_the_built_in_patterns_leave_alone(text: str) -> None:
    assert Redactor()(text) == text


def test_emails_are_redacted_when_asked() -> None:
    assert Redactor(emails=True)("write to ann.b+c@mail.example.org.") == f"write to {REDACTED}."


def test_texts_that_are_not_looked_at_are_too_short_for_any_secret() -> None:
    def shortest_match(pattern: str) -> int:
        return int(re._parser.parse(pattern).getwidth()[0])  # type: ignore[attr-defined]  # of `re` itself

    kinds = [pattern for _, pattern in (*_PATTERNS, _BEARER)]
    assert min(map(shortest_match, kinds)) == _SHORTEST
    assert min(map(shortest_match, [*kinds, _EMAIL[1]])) == _SHORTEST_EMAIL
    shortest = "sk-0123456789"
    assert len(shortest) == _SHORTEST
    assert Redactor()(shortest) == REDACTED
    assert Redactor(emails=True)("a@b.c") == REDACTED


def test_a_key_without_an_end_is_redacted_as_far_as_it_looks_like_one() -> None:
    text = '{"key": "-----BEGIN PRIVATE KEY-----\\nMIIEabc\\nZZ", "next": 1}'
    assert json.loads(Redactor()(text)) == {"key": REDACTED, "next": 1}


@given(json_values, st.sampled_from(sorted(KEYS)), st.booleans())
def test_json_in_a_text_stays_json_and_loses_the_secret(value: Any, kind: str, ascii_only: bool) -> None:
    document = json.dumps([value, f"x {KEYS[kind]} y", {KEYS[kind]: json.dumps([KEYS[kind]])}], ensure_ascii=ascii_only)
    clean = Redaction(Redactor()).text(document)
    assert KEYS[kind] not in str(json.loads(clean))
    assert json.loads(clean)[0] == value or REDACTED in clean


PASSWORD = 'pa"ss\\zq\nrd ü'


def hide_password(text: str) -> str:
    return text.replace(PASSWORD, "[pw]")


@pytest.mark.parametrize("nesting", [0, 1, 2, 3])
def test_a_secret_that_json_escapes_is_found(nesting: int) -> None:
    text = PASSWORD
    for _ in range(nesting):
        text = json.dumps({"password": text}, ensure_ascii=nesting == 2)
    clean = Redaction(hide_password).text(f"he said: {text}!")
    assert "[pw]" in clean
    assert "zq" not in clean


@pytest.mark.parametrize(
    "text",
    [
        '{"key": "%s"}',
        'half a reply: {"key": "%s',
        '%s", "the": "rest"}',
        '5" disks hold {"key": "%s"} and "\\d" is no JSON',
        '{"key": "%s\\u00',
        '{"key": "%s\\',
        "%s",
    ],
)
def test_a_secret_behind_escapes_is_found_in_half_a_document_too(text: str) -> None:
    clean = Redaction(Redactor()).text(text % escaped(SECRET))
    assert REDACTED in clean
    assert SECRET[4:] not in clean
    assert clean.replace(REDACTED, escaped(SECRET)) == text % escaped(SECRET)


@given(st.sampled_from(sorted(KEYS)), st.data(), st.integers(1, 2))
def test_a_secret_with_an_escape_inside_is_taken_out_whole(kind: str, data: st.DataObject, nesting: int) -> None:
    """As PHP writes `\\/` and .NET `\\u002B`: what stands before the escape may look like a whole secret already."""
    key = KEYS[kind]
    at = data.draw(st.integers(1, len(key) - 1))
    text = f"{json.dumps(key[:at])[1:-1]}\\u{ord(key[at]):04x}{json.dumps(key[at + 1 :])[1:-1]}"
    document = f'{{"a": 1, "key": "{text}"}}'
    for _ in range(nesting - 1):
        document = json.dumps([document])
    clean = Redaction(Redactor()).text(document)
    for _ in range(nesting - 1):
        (clean,) = json.loads(clean)
    assert json.loads(clean)["key"].startswith(REDACTED)
    assert not any(key[i : i + 6] in clean for i in range(len(key) - 5))


@pytest.mark.parametrize(
    "text",
    [
        r"-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg\/LEAKLEAK99\/def\n-----END PRIVATE KEY-----\n",
        r"Bearer abcdefgh12\/LEAKLEAK99\/zzz",
        r"sk-live-0123456789\u0041LEAKLEAK99",
    ],
)
def test_a_secret_as_php_and_dotnet_escape_it_is_taken_out_whole(text: str) -> None:
    clean = Redaction(Redactor()).text(f'{{"key": "{text}", "next": 1}}')
    assert json.loads(clean)["key"].strip() == REDACTED
    assert json.loads(clean)["next"] == 1


def test_backslashes_that_hide_nothing_stay_as_they_are() -> None:
    for text in (r"C:\new\table", r'say "\alpha" and \beta', "\\", '"\\"', r'{"a": "\u00e4\n"}', "\\u12"):
        assert Redaction(Redactor()).text(text) == text


def test_raw_arguments_stay_json_and_untouched_ones_stay_as_written() -> None:
    redact = Redaction(hide_password)
    assert json.loads(redact.arguments(json.dumps({"p": PASSWORD}))) == {"p": "[pw]"}
    assert redact.arguments('{ "p" :  1 }') == '{ "p" :  1 }'
    assert redact.arguments('{"p": "' + PASSWORD) == '{"p": "[pw]'


def test_a_prompt_is_redacted_everywhere_the_model_reads() -> None:
    schema = ToolSchema("t", f"uses {SECRET}", {"description": SECRET, "enum": [SECRET]})
    call = ToolCall("t", {SECRET: [SECRET]}, reasoning=SECRET, call_id="c1")
    messages = (Message("user", SECRET), Message("assistant", SECRET, (call,)), Message("tool", SECRET, call_id="c1"))
    clean = Redaction(Redactor()).prompt(Prompt(SECRET, messages, (schema,)))
    assert SECRET not in repr(clean)
    assert [message.role for message in clean.messages] == ["user", "assistant", "tool"]


def test_a_message_is_redacted_once_and_an_unchanged_one_stays_the_same_object() -> None:
    asked: list[str] = []

    def record(text: str) -> str:
        asked.append(text)
        return text.replace("secret", "x")

    redact = Redaction(record)
    first, second, third = Message("user", "one"), Message("user", "my secret"), Message("user", "three")
    redact.prompt(Prompt("", (first, second)))
    clean = redact.prompt(Prompt("", (first, second, third)))
    assert asked.count("my secret") == 1
    assert clean.messages[0] is first
    assert clean.messages[1].content == "my x"


def test_a_redaction_that_raises_says_so_and_lets_nothing_through() -> None:
    def broken(text: str) -> str:
        raise KeyError("vault")

    with pytest.raises(TraceError, match=r"broken.* raised KeyError: 'vault'; nothing was sent or written"):
        Redaction(broken).text("x")


def test_a_redaction_that_returns_no_text_is_an_error() -> None:
    with pytest.raises(TraceError, match="answered NoneType; it has to return the text as a str"):
        Redaction(lambda _: None).text("x")  # type: ignore[arg-type, return-value]  # the mistake under test


def test_redact_takes_true_a_function_or_nothing() -> None:
    assert redaction(None) is redaction(False) is None
    assert isinstance(redaction(True), Redaction)
    with pytest.raises(TypeError, match="give True, a function from str to str, or None"):
        redaction("secret")  # type: ignore[arg-type]  # the mistake under test


def test_a_trace_names_its_redactor_and_a_replay_finds_the_built_in_ones() -> None:
    assert redactor_id(hide_password).endswith(":hide_password")
    for built_in in (Redactor(), Redactor(emails=True)):
        found = redaction_for(built_in.id)
        assert found is not None
        assert found.id == built_in.id
    assert redaction_for("my:own") is None
    assert redaction_for(None) is None


def leaky_run(secret: str) -> list[Event]:
    """A run with the secret in every field a user, a model, a tool or a provider can fill."""
    script = Script({"note": secret}, system=secret, model=f"m {secret}", labels={secret: secret}, run_id=secret)
    script.events[0] = script.events[0].replace(
        tools=(ToolSchema("t", secret, {"default": secret, secret: 1}),), settings={"extra": {"k": secret}}
    )
    script.settings = Settings(extra={"h": secret}, reply_schema={"const": secret})
    script.fail(error=secret, request_id=secret)
    raw = (
        RawCall("search", json.dumps({secret: secret}), "c1"),
        RawCall(secret, {"query": [secret]}, secret),
        RawCall("search", '{"broken": "' + secret, "c3"),
    )
    script.calls += 1
    reply = Reply(secret, raw, None, secret, secret, secret, secret)
    script.events.append(ModelReplied(script.calls, script.prompt(Message("user", secret)), reply))
    call = ToolCall("search", {secret: secret, "b": secret.encode()}, secret, "c1")
    script.conversation.append(Message("assistant", secret, (call,)))
    data = {secret: {secret}, "text": secret, "bytes": secret.encode(), "error": ValueError(secret)}
    script.step(call, ToolResult("search", data, warnings=(secret,)), asked=call.replace(args={"q": secret}))
    script.step(call, ToolResult(secret, error=secret, error_kind=ErrorKind.EXECUTION), started=False, note=secret)
    script.step(
        call, ToolResult("search", json.dumps({"nested": json.dumps(secret)})), final=ToolResult("search", secret)
    )
    script.events += [Compacted(3, 2, (secret,)), HookDecided(secret, "check_done", secret), Noticed(secret)]
    script.events.append(ModelFailed(9, script.prompt(), "BackendError", secret, None, {"text": secret}))
    return script.finish(secret, {"answer": [secret]}, (secret,))


@pytest.mark.parametrize("secret", [SECRET, KEYS["pem"]], ids=["key", "pem"])
def test_no_planted_secret_reaches_the_directory(tmp_path: Path, secret: str) -> None:
    trace = write_trace(tmp_path / "t", leaky_run(secret), redaction=redaction(True))
    parts = [secret, json.dumps(secret)[1:-1], json.dumps(json.dumps(secret))[3:-3], *secret.split("\n")[1:-1]]
    for file in trace.iterdir():
        text = file.read_text()
        assert [part for part in parts if part in text] == [], file
        assert file.name != "trace.txt" or REDACTED in text
    for line in (trace / "journal.jsonl").read_text().splitlines():
        assert isinstance(json.loads(line), dict)


def test_no_secret_of_a_redaction_of_your_own_reaches_the_directory(tmp_path: Path) -> None:
    trace = write_trace(tmp_path / "t", leaky_run(PASSWORD), redaction=redaction(hide_password))
    for file in trace.iterdir():
        assert "zq" not in file.read_text(), file.name


def test_without_redaction_the_same_run_keeps_everything(tmp_path: Path) -> None:
    trace = write_trace(tmp_path / "t", leaky_run(SECRET))
    assert (trace / "journal.jsonl").read_text().count(SECRET) > 20


def test_the_header_names_the_redactor(tmp_path: Path) -> None:
    events: list[Event] = [Script().events[0]]
    assert isinstance(events[0], RunStarted)
    trace = write_trace(tmp_path / "t", events, redaction=redaction(True))
    assert json.loads((trace / "journal.jsonl").read_text())["redactor"] == "looplet:1"


def test_a_redaction_is_freed_with_its_run() -> None:
    redaction_ = Redaction(Redactor())
    redaction_.prompt(Prompt("", (Message("user", SECRET),)))
    seen = weakref.ref(redaction_)
    with without_collector():
        del redaction_
        assert seen() is None

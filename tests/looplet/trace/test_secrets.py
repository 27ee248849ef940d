"""Secrets of every kind, wherever a task, a model, a tool, a hook or a provider can put them: none reaches the disk."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.clients import connected
from tests.support.drive import run_async, run_sync
from tests.support.fake_openai import FakeOpenAI, Stream, as_json, as_stream, chunk, completion, events
from tests.support.secrets import KEYS, escaped, hits_in

from looplet import (
    Deny,
    InjectContext,
    LoopConfig,
    MockLLMBackend,
    Prompt,
    ProvenanceSink,
    Reply,
    ToolCall,
    ToolResult,
    ToolSpec,
    load_trace,
    replay_loop,
)
from looplet.backends import OpenAIBackend
from looplet.cli import main
from looplet.errors import MalformedReply, ServerError, ToolValidationError
from looplet.messages import RawCall, ToolSchema
from looplet.trace.blobs import LINE_LIMIT
from looplet.trace.read import read_journal
from looplet.trace.redact import _PATTERNS, REDACTED, Redactor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def in_json(secret: str) -> str:
    """A document that hides the secret behind escapes, and again in the JSON that is in it."""
    once = f'{{"key": "{escaped(secret)}"}}'
    return json.dumps({"inner": once, "deeper": json.dumps({"inner": once})})


def script(secret: str) -> list[Any]:
    """What the model says: calls of every form, broken ones, reasoning, and what the provider says of them."""
    document = json.dumps({"note": secret, secret: [secret]})
    return [
        ServerError(f"no access with {secret}", request_id=secret),
        MalformedReply(f"cannot read {secret}", text=f"half a call {secret}"),
        Reply(
            f"thinking of {secret}",
            (RawCall("nested", document, "c1"), RawCall("raw", {secret: secret}, "c2")),
            reasoning=f"it is {secret}",
            model=secret,
            request_id=secret,
        ),
        Reply("", (RawCall("nested", f'{{"note": "{escaped(secret)}"}}', "c3"),)),
        Reply("", (RawCall("nested", f'{{"note": "{escaped(secret)}', "c4"),), finish_reason="length"),
        ToolCall("text", {"note": in_json(secret)}),
        ToolCall("crash", {}),
        ToolCall("invalid", {}),
        ToolCall("denied", {}),
        ToolCall("large", {}),
        ToolCall("nonsense", {secret: secret}),
        ToolCall("done", {"answer": f"it is {secret}"}),
    ]


class Stranger:
    def __init__(self, secret: str) -> None:
        self.secret = secret

    def __str__(self) -> str:
        return f"stranger with {self.secret}"


def tools(secret: str) -> list[ToolSpec]:
    def nested(**_: Any) -> Any:
        return {
            "list": [secret, {secret: (secret, {secret})}],
            "bytes": secret.encode(),
            "error": ValueError(secret),
            "stranger": Stranger(secret),
        }

    def crash(**_: Any) -> None:
        raise ValueError(f"login failed with {secret}")

    def invalid(**_: Any) -> None:
        raise ToolValidationError(f"not {secret}")

    def large(**_: Any) -> list[str]:
        return ["filler " * 20] * (LINE_LIMIT // 100) + [secret, in_json(secret)]

    parameters = {
        "type": "object",
        "properties": {"note": {"description": f"like {secret}", "default": secret, "examples": [secret]}},
    }
    functions: dict[str, Callable[..., Any]] = {
        "nested": nested,
        "raw": lambda **_: ToolResult("raw", secret, warnings=(f"careful with {secret}",)),
        "text": lambda **_: in_json(secret),
        "crash": crash,
        "invalid": invalid,
        "denied": lambda **_: "never",
        "large": large,
    }
    return [ToolSpec(name, f"Uses {secret}.", parameters, execute) for name, execute in functions.items()]


class Talkative:
    """Hooks that say the secret wherever a hook may say something."""

    def __init__(self, secret: str) -> None:
        self.secret = secret

    def pre_prompt(self, state: Any, log: Any, ctx: Prompt, step: int) -> InjectContext:
        return InjectContext(f"remember {self.secret}")

    def pre_dispatch(self, state: Any, log: Any, tool_call: ToolCall, step: int) -> Deny | None:
        return Deny(f"not with {self.secret}") if tool_call.tool == "denied" else None

    def post_dispatch(self, state: Any, log: Any, tool_call: Any, tool_result: Any, step: int) -> str:
        return f"noted {self.secret}"


class Streaming:
    """Gives every reply in pieces of three characters, so that no piece holds a secret."""

    name = "streaming"
    no_sleep = True

    def __init__(self, replies: list[Any]) -> None:
        self._mock = MockLLMBackend(replies)
        self.capabilities = self._mock.capabilities
        self.pieces: list[str] = []

    def chat(self, prompt: Prompt) -> Reply:
        return self._mock.chat(prompt)

    def stream(self, prompt: Prompt, on_chunk: Callable[..., None]) -> Reply:
        reply = self.chat(prompt)
        for text, reasoning in ((reply.reasoning, True), (reply.text, False)):
            for start in range(0, len(text), 3):
                self.pieces.append(text[start : start + 3])
                on_chunk(text[start : start + 3], reasoning)
        return reply


def run(how: str, secret: str, path: Path) -> Any:
    llm = Streaming(script(secret))
    drive = run_async if how == "async" else run_sync
    result = drive(
        llm,
        task={"log in": secret, secret: [1]},
        tools=tools(secret),
        hooks=[Talkative(secret), ProvenanceSink(path, redact=True)],
        config=LoopConfig(
            system_prompt=f"You know {secret}.",
            stream=how == "streamed",
            extra={"user": secret},
            repairs=5,
            max_steps=20,
        ),
    )
    assert bool(llm.pieces) is (how == "streamed")
    return result


@pytest.mark.parametrize("how", ["sync", "async", "streamed"])
@pytest.mark.parametrize("kind", KEYS)
def test_no_secret_of_any_kind_reaches_the_directory(
    tmp_path: Path, kind: str, how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    secret, trace = KEYS[kind], tmp_path / "t"
    result = run(how, secret, trace)
    assert result.stop_reason == "done"
    assert len(result.steps) >= 9
    assert result.output == f"it is {secret}"  # the program itself sees what really happened
    assert hits_in(trace, secret) == []
    assert list((trace / "blobs").iterdir())
    for options in (
        [],
        ["--json"],
        ["--step", "1"],
        ["--step", "1", "--json"],
        ["--call", "5"],
        ["--call", "5", "--json"],
    ):
        assert main(["show", str(trace), *options]) == 0
    (tmp_path / "shown").mkdir()
    (tmp_path / "shown" / "output").write_text(capsys.readouterr().out)
    assert hits_in(tmp_path / "shown", secret) == []


def char_by_char(secret: str) -> list[Any]:
    """What a server streams: reasoning, text and arguments, a character of the secret at a time."""
    arguments = [*'{"note": "', *escaped(secret), *'"}']
    call = {"index": 0, "id": "c1", "type": "function", "function": {"name": "text", "arguments": ""}}
    deltas: list[dict[str, Any]] = [{"reasoning_content": char} for char in secret]
    deltas += [{"content": char} for char in f"I use {secret} now"]
    deltas.append({"tool_calls": [call]})
    deltas += [{"tool_calls": [{"index": 0, "function": {"arguments": char}}]} for char in arguments]
    whole = Stream(events(*map(chunk, deltas), chunk({}, "tool_calls"), "[DONE]"))
    cut = Stream(events(*map(chunk, deltas[: len(secret) + len(secret) + 8])), cut=True)
    refused = as_json({"error": {"message": f"Incorrect API key provided: {secret}", "type": "server_error"}}, 500)
    return [refused, cut, whole, as_stream(completion({"content": f"done with {secret}"}))]


@pytest.mark.parametrize("way", ["sdk", "http"])
@pytest.mark.parametrize("kind", ["openai", "jwt", "pem"])
def test_a_secret_that_a_server_streams_in_single_characters_is_found(tmp_path: Path, kind: str, way: str) -> None:
    secret = KEYS[kind]
    with FakeOpenAI(*char_by_char(secret)) as server, connected(OpenAIBackend, server, way) as backend:
        backend.no_sleep = True  # type: ignore[attr-defined]  # its failures need not be waited for
        result = run_sync(
            backend,
            task="log in",
            tools=tools("nothing"),
            hooks=[ProvenanceSink(tmp_path / "t", redact=True)],
            config=LoopConfig(stream=True, retries=5),
        )
    assert result.output == f"done with {secret}"
    assert hits_in(tmp_path / "t", secret) == []
    failures = [type(event).__name__ for event in read_journal(tmp_path / "t").exchanges]
    assert failures == ["ModelFailed", "ModelFailed", "ModelReplied", "ModelReplied"]


def test_the_same_run_unredacted_shows_the_secret_everywhere(tmp_path: Path) -> None:
    """So that the test above is one of redaction, and not of a run that says nothing."""
    secret = KEYS["openai"]
    run_sync(
        Streaming(script(secret)),
        task={"log in": secret},
        tools=tools(secret),
        hooks=[Talkative(secret), ProvenanceSink(tmp_path / "t")],
        config=LoopConfig(system_prompt=f"You know {secret}.", extra={"user": secret}, repairs=5, max_steps=20),
    )
    found = "\n".join(hits_in(tmp_path / "t", secret))
    events = ("run_started", "model_failed", "model_replied", "call_finished", "step_finished", "run_finished")
    for event in (*events, "hook_decided"):
        assert f'journal.jsonl: {{"event":"{event}"' in found, event
    assert ".json: [" in found  # the blob
    assert "trace.txt: " in found


def test_every_built_in_pattern_has_a_planted_secret() -> None:
    for literal, pattern in _PATTERNS:
        assert any(literal in key and Redactor()(key) == REDACTED for key in KEYS.values()), pattern


def test_a_redacted_trace_is_whole_otherwise(tmp_path: Path) -> None:
    result = run("sync", KEYS["github"], tmp_path / "t")
    loaded = load_trace(tmp_path / "t")
    assert loaded.tool_sequence == [tool.replace(KEYS["github"], REDACTED) for tool in result.tool_sequence]
    assert loaded.output == f"it is {REDACTED}"
    header = read_journal(tmp_path / "t").header
    assert header["task"] == {"log in": REDACTED, REDACTED: [1]}
    assert header["redactor"] == "looplet:1"


def test_a_redacted_trace_replays(tmp_path: Path) -> None:
    secret = KEYS["google"]
    for folder, source in (("t", None), ("again", tmp_path / "t")):
        sink = ProvenanceSink(tmp_path / folder, redact=True)
        calls = [ToolCall("text", {"note": secret}), ToolCall("done", {"answer": secret})]
        if source is None:
            run_sync(MockLLMBackend(calls), task=f"use {secret}", tools=tools(secret), hooks=[sink])
        else:
            for _ in replay_loop(source, tools=tools(secret), hooks=[sink]):
                pass
        assert hits_in(tmp_path / folder, secret) == []
    assert load_trace(tmp_path / "again").tool_sequence == ["text", "done"]


def test_what_straddles_two_texts_is_not_seen_as_one(tmp_path: Path) -> None:
    """Stated in docs/provenance.md: each text is looked at by itself."""
    first, second = KEYS["openai"][:9], KEYS["openai"][9:]
    sink = ProvenanceSink(tmp_path / "t", redact=True)
    run_sync(MockLLMBackend([ToolCall("done", {"answer": second})]), task=f"say {first}", hooks=[sink])
    assert second in (tmp_path / "t" / "journal.jsonl").read_text()


def test_schemas_keep_the_names_that_calls_refer_to(tmp_path: Path) -> None:
    sink = ProvenanceSink(tmp_path / "t", redact=True)
    clean = sink.filter_prompt(Prompt("", (), (ToolSchema("raw", KEYS["aws"], {"default": KEYS["aws"]}),)))
    assert clean.tools == (ToolSchema("raw", REDACTED, {"default": REDACTED}),)

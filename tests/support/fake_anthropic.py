"""A scripted Messages API on loopback that checks every request by the API's rules, and its own stricter ones."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from tests.support.fake_openai import FakeOpenAI, Stream, as_json

if TYPE_CHECKING:
    from tests.support.fake_openai import Answer, Seen

_FIELDS = {"model", "max_tokens", "messages", "system", "tools", "tool_choice", "temperature", "stream", "metadata"}
_ID = re.compile(r"[a-zA-Z0-9_-]+")
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_MOST_MARKERS = 4


class FakeAnthropic(FakeOpenAI):
    @property
    def base_url(self) -> str:
        return super().base_url.removesuffix("/v1")

    def check(self, request: Seen) -> list[str]:
        faults = [] if key_of(request) else ["there is no key"]
        faults += [] if "anthropic-version" in request.headers else ["there is no anthropic-version"]
        return faults + faults_of(request.body)


def key_of(request: Seen) -> str:
    """The key a request carries: in the API's own header, or as newer SDKs send it."""
    return request.headers.get("x-api-key") or request.headers.get("authorization", "").removeprefix("Bearer ")


def message(*content: dict[str, Any], stop: str = "end_turn", **more: Any) -> Answer:
    """A response; `more` are further top-level fields."""
    usage = {"input_tokens": 4, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 2, "output_tokens": 5}
    body = {"id": "msg_1", "type": "message", "role": "assistant", "model": "fake", "content": list(content)}
    return as_json(body | {"stop_reason": stop, "stop_sequence": None, "usage": usage} | more)


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def use(call_id: str, name: str, /, **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": name, "input": arguments}


def refusal(kind: str, said: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": said}, "request_id": "req_1"}


def named_events(*events: dict[str, Any]) -> tuple[bytes, ...]:
    return tuple(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events)


def message_events(answer: Answer) -> list[dict[str, Any]]:
    """The events of a response as the API streams it: blocks in halves, the output's tokens at the end."""
    body = json.loads(answer.body)
    usage = body["usage"]
    events: list[dict[str, Any]] = [
        {
            "type": "message_start",
            "message": body | {"content": [], "stop_reason": None, "usage": usage | {"output_tokens": 1}},
        },
        {"type": "ping"},
    ]
    for index, block in enumerate(body["content"]):
        start, deltas = _streamed(block)
        events.append({"type": "content_block_start", "index": index, "content_block": start})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    end = {"stop_reason": body["stop_reason"], "stop_sequence": None}
    if "stop_details" in body:
        end["stop_details"] = body["stop_details"]
    events.append({"type": "message_delta", "delta": end, "usage": {"output_tokens": usage["output_tokens"]}})
    return [*events, {"type": "message_stop"}]


def as_stream(answer: Answer) -> Stream:
    return Stream(named_events(*message_events(answer)))


def _streamed(block: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    if block["type"] == "tool_use":
        whole = json.dumps(block["input"]) if block["input"] else ""
        halves = (whole[: len(whole) // 2], whole[len(whole) // 2 :])
        return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": half} for half in halves]
    kind = block["type"]
    half = len(block[kind]) // 2
    pieces = (block[kind][:half], block[kind][half:])
    deltas: list[dict[str, Any]] = [{"type": f"{kind}_delta", kind: piece} for piece in pieces]
    return {**block, kind: ""}, deltas + [{"type": "signature_delta", "signature": "s"}] * (kind == "thinking")


def faults_of(body: dict[str, Any]) -> list[str]:
    """One sentence for each rule the request breaks."""
    faults = [f"unknown field {name!r}" for name in body if name not in _FIELDS]
    if not isinstance(body.get("max_tokens"), int) or body["max_tokens"] < 1:
        faults.append("max_tokens is missing")
    if json.dumps(body).count('"cache_control"') > _MOST_MARKERS:
        faults.append("more than four cache markers")
    faults += [f"system block {block!r}" for block in body.get("system", ()) if not block["text"].strip()]
    return faults + _tool_faults(body) + _turn_faults(body["messages"])


def _tool_faults(body: dict[str, Any]) -> list[str]:
    tools = body.get("tools", [])
    names = [tool["name"] for tool in tools]
    faults = [f"tool name {name!r}" for name in names if not _NAME.fullmatch(name)]
    faults += [f"schema of {tool['name']}" for tool in tools if tool["input_schema"].get("type") != "object"]
    if len(set(names)) < len(names):
        faults.append("tool names are not unique")
    if "tool_use" in {block["type"] for turn in body["messages"] for block in turn["content"]} and not tools:
        faults.append("the conversation holds calls and no tools are defined")
    return faults


def _turn_faults(turns: list[dict[str, Any]]) -> list[str]:
    faults: list[str] = []
    waiting: list[str] = []
    seen: set[str] = set()
    for number, turn in enumerate(turns):
        if turn["role"] != ("user", "assistant")[number % 2]:
            faults.append(f"turn {number + 1} is from {turn['role']}")
        kinds = [block["type"] for block in turn["content"]]
        if not kinds:
            faults.append(f"turn {number + 1} is empty")
        faults += [
            f"blank text in turn {number + 1}" for block in turn["content"] if not block.get("text", "x").strip()
        ]
        results = [block["tool_use_id"] for block in turn["content"] if block["type"] == "tool_result"]
        if sorted(results) != sorted(waiting) or kinds[: len(results)] != ["tool_result"] * len(results):
            faults.append(f"turn {number + 1} answers {results} and should first of all answer {waiting}")
        waiting = [block["id"] for block in turn["content"] if block["type"] == "tool_use"]
        faults += [f"call id {call_id!r}" for call_id in waiting if call_id in seen or not _ID.fullmatch(call_id)]
        seen.update(waiting)
    return faults + [f"unanswered calls {waiting}"] * bool(waiting)

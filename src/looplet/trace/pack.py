"""Events to journal records. Each text stands once: what an earlier record holds is referred to, not repeated.

`unpack.py` is the inverse. A record is a JSON object; `event` names it. The references:

    prompt        {"keep": N, "add": [...]}: the first N messages of the previous request, then these; `system`,
                  `tools`, `settings` only where they changed (the first request is compared with the header).
                  Left out: the previous request, then the reply to it and the results of its calls, if there was one
    message       {"reply": N}: the assistant message that reply N makes, literally
                  {"result": N}: the tool message whose content is the text of step N's result, and nothing else
    content       [text, {"step": N}, text]: the text of step N's result in between
    tool_call     a number: that call of the latest reply, literally. CallStarted leaves out the next one in order
    step          left out in a line about the same step as the line about a step before it
    result        leaves out the name of the tool that was called
    StepFinished  leaves out what its CallStarted and CallFinished said, the number of the latest model call, and usage
                  that the replies since the previous step add up to
    checkpoint    {"keep": N, "add": [...], "facts": {...}} against the checkpoint before; facts are never removed
    dropped       a number: that message of the latest request
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from looplet._record import Record
from looplet.events import (
    CallFinished,
    CallStarted,
    Checkpoint,
    Compacted,
    Event,
    ModelCalled,
    ModelFailed,
    ModelReplied,
    RunResumed,
    RunStarted,
    Saved,
    StepFinished,
)
from looplet.messages import Message, Prompt, Reply, Settings, ToolSchema
from looplet.trace.jsonable import jsonable
from looplet.trace.prefix import common_prefix
from looplet.trace.turn import Turn, result_words, without_blanks
from looplet.types import ToolResult, Usage

if TYPE_CHECKING:
    from collections.abc import Callable

    from looplet.trace.redact import Redaction
    from looplet.types import ToolCall

SCHEMA = 1
_WORTH_A_REFERENCE = 24  # characters; a shorter text is repeated, which is easier to read


_BLANK_CALL = {"reasoning": "", "call_id": ""}
_BLANK_RESULT = {name: value for name, value in ToolResult("").to_dict().items() if name != "tool"}
_BLANK_REPLY = Reply().to_dict()
_BLANK_SETTINGS = Settings().to_dict()
_BLANK_USAGE = Usage().to_dict()


def fields_of(event: Event) -> dict[str, Any]:
    return {name: getattr(event, name) for name in type(event)._fields}


@cache
def event_name(kind: type[Event]) -> str:
    """`ModelReplied` is `model_replied` on disk."""
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in kind.__name__).lstrip("_")


class Packer:
    """Turns the events of one run into records, in order. Remembers only the latest request, reply and results."""

    def __init__(self, redaction: Redaction | None = None, *, checkpoints: bool = False) -> None:
        self._redaction = redaction
        self._change = redaction.text if redaction else None
        self._text: Callable[[str], str] = redaction.text if redaction else str
        self._sent = Prompt("", ())
        self._checkpoints = checkpoints
        self._conversation: tuple[Message, ...] = ()  # of the latest checkpoint
        self._facts: dict[str, Any] = {}  # of that, too
        self._reply: tuple[int, dict[str, Any]] | None = None  # the latest, as a message
        self._turn = Turn()
        self._open: dict[int, dict[str, Any]] = {}  # step → what its CallStarted and CallFinished said
        self._told: list[tuple[int, str, str]] = []  # step, words and call id of what the next request holds first
        self._spent = Usage()  # since the previous step

    def pack(self, event: Event) -> dict[str, Any] | None:
        """The record of `event`, None for one that the next record contains anyway."""
        if isinstance(event, ModelCalled) or (isinstance(event, Saved) and not self._checkpoints):
            return None
        special = self._PACKERS.get(type(event))
        fields = special(self, event) if special else self._plain(fields_of(event))
        return {"event": event_name(type(event)), **fields}

    def _plain(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Field names stay as they are, whatever a redaction would make of them."""
        return {name: self._value(_to_dict(value)) for name, value in fields.items()}

    def _value(self, value: object) -> Any:
        return self._text(value) if type(value) is str else jsonable(value, self._change)

    def _run_started(self, event: RunStarted) -> dict[str, Any]:
        self._sent = Prompt(event.system, (), event.tools)
        tools = [self._schema(tool) for tool in event.tools]
        return {"schema": SCHEMA, **self._plain(fields_of(event) | {"tools": ()}), "tools": tools}

    def _model_replied(self, event: ModelReplied) -> dict[str, Any]:
        prompt = self._prompt(event.prompt)
        reply = self._pack_reply(event.reply)
        self._turn.replied(event.call, reply)
        self._reply = (event.call, self._turn.messages[0])
        self._spent += event.reply.usage or Usage()
        record = {"call": event.call, **prompt, "reply": reply, "duration_ms": event.duration_ms}
        return record | {"purpose": event.purpose} if event.purpose else record

    def _model_failed(self, event: ModelFailed) -> dict[str, Any]:
        return {
            "call": event.call,
            **self._prompt(event.prompt),
            "kind": event.kind,
            "error": self._text(event.error),
            "retry_in": event.retry_in,
            "details": self._value(event.details),
            **self._kept(event),
        }

    def _prompt(self, prompt: Prompt) -> dict[str, Any]:
        """The field `prompt`, or nothing when it says what was to be expected."""
        last, self._sent = self._sent, prompt
        keep = common_prefix(last.messages, prompt.messages)
        added = [self._packed_message(each) for each in prompt.messages[keep:]]
        changes = self._changes(last, prompt)
        expected = keep == len(last.messages) and added == self._turn.messages and not changes
        delta = {"keep": keep, "add": [self._refer_message(each) for each in added], **changes}
        self._told = []
        self._turn.asked()
        return {} if expected else {"prompt": delta}

    def _changes(self, last: Prompt, prompt: Prompt) -> dict[str, Any]:
        """What of the request besides its messages is not as in the last one."""
        changes: dict[str, Any] = {}
        if prompt.system != last.system:
            changes["system"] = self._text(prompt.system)
        if prompt.tools != last.tools:
            changes["tools"] = [self._schema(tool) for tool in prompt.tools]
        if prompt.settings != last.settings:
            changes["settings"] = without_blanks(self._plain(prompt.settings.to_dict()), _BLANK_SETTINGS)
        if prompt.overflowed:
            changes["overflowed"] = True
        return changes

    def _packed_message(self, message: Message) -> dict[str, Any]:
        packed: dict[str, Any] = {"role": message.role, "content": self._text(message.content)}
        if message.tool_calls:
            packed["tool_calls"] = [self._call(call) for call in message.tool_calls]
        if message.call_id:
            packed["call_id"] = self._text(message.call_id)
        return packed

    def _refer_message(self, packed: dict[str, Any]) -> dict[str, Any]:
        if self._reply and packed["role"] == "assistant" and packed == self._reply[1]:
            return {"reply": self._reply[0]}
        return self._with_references(packed)

    def _with_references(self, packed: dict[str, Any]) -> dict[str, Any]:
        """Split the content around a result it contains."""
        content = packed["content"]
        for step, words, call_id in self._told:
            if packed == {"role": "tool", "content": words, "call_id": call_id}:
                return {"result": step}
            start = content.find(words)
            if start >= 0:
                parts = [content[:start], {"step": step}, content[start + len(words) :]]
                return packed | {"content": [part for part in parts if part != ""]}
        return packed

    def _call_started(self, event: CallStarted) -> dict[str, Any]:
        call = self._call(event.tool_call)
        asked = call if event.asked is event.tool_call else self._call(event.asked)
        self._open[event.step] = {"tool_call": call, "asked": asked}
        record: dict[str, Any] = self._turn.at_step(event.step)
        place = self._refer(call)
        if place != self._turn.next_call:
            record["tool_call"] = place
        self._turn.begun(place)
        if event.approved:
            record["approved"] = True
        return record if asked == call else record | {"asked": self._refer(asked)}

    def _call_finished(self, event: CallFinished) -> dict[str, Any]:
        said = self._open.setdefault(event.step, {})
        call, result = self._call(event.tool_call), self._result(event.result)
        record: dict[str, Any] = self._turn.at_step(event.step)
        if said.get("tool_call") != call:
            record["tool_call"] = call
        said |= {"tool_call": call, "result": result}
        return record | {"result": _of_tool(result, call)}

    def _step_finished(self, event: StepFinished) -> dict[str, Any]:
        step = event.step
        said = self._open.pop(step.number, {})
        call = self._call(step.tool_call)
        asked = call if event.asked is step.tool_call else self._call(event.asked)
        result = self._result(step.tool_result)
        record: dict[str, Any] = self._turn.at_step(step.number)
        if event.call != self._turn.number:
            record["call"] = event.call
        if said.get("tool_call") != call:
            record["tool_call"] = self._refer(call)
            self._turn.begun(record["tool_call"])
        if said.get("asked", call) != asked:
            record["asked"] = self._refer(asked)
        if said.get("result") != result:
            record["result"] = _of_tool(result, call)
        words = result_words(result)
        self._turn.told(words, asked.get("call_id", ""))
        if len(words) >= _WORTH_A_REFERENCE:
            self._told.append((step.number, words, asked.get("call_id", "")))
        spent, self._spent = self._spent, Usage()
        if step.usage != spent:
            record["usage"] = _usage(step.usage)
        return record | self._kept(event)

    def _kept(self, event: StepFinished | ModelFailed) -> dict[str, Any]:
        if event.checkpoint is None or not self._checkpoints:
            return {}
        return {"checkpoint": self._checkpoint(event.checkpoint)}

    def _checkpoint(self, checkpoint: Checkpoint) -> dict[str, Any]:
        """The conversation against the one of the checkpoint before, like a prompt."""
        last, self._conversation = self._conversation, checkpoint.conversation
        keep = common_prefix(last, checkpoint.conversation)
        added = [self._refer_message(self._packed_message(each)) for each in checkpoint.conversation[keep:]]
        before, self._facts = self._facts, self._value(checkpoint.facts)
        changed = {name: fact for name, fact in self._facts.items() if name not in before or before[name] != fact}
        return {"keep": keep, "add": added, "facts": changed}

    def _saved(self, event: Saved) -> dict[str, Any]:
        return {"checkpoint": self._checkpoint(event.checkpoint)}

    def _run_resumed(self, event: RunResumed) -> dict[str, Any]:
        pending = None if event.pending is None else self._call(event.pending)
        approval = self._value(_to_dict(event.approval) if event.approval is not None else None)
        return {
            "run_id": event.run_id,
            "step": event.step,
            "pending": pending,
            "approval": approval,
            "gated": event.gated,
        }

    def _compacted(self, event: Compacted) -> dict[str, Any]:
        places = {message.content: index for index, message in enumerate(self._sent.messages)}
        dropped = [places[text] if text in places else self._text(text) for text in event.dropped]
        return {"before": event.before, "after": event.after, "dropped": dropped}

    def _refer(self, call: dict[str, Any]) -> int | dict[str, Any]:
        calls = self._turn.calls
        return calls.index(call) if call in calls else call

    def _call(self, call: ToolCall) -> dict[str, Any]:
        packed = {
            "tool": self._text(call.tool),
            "args": self._value(call.args),
            "reasoning": self._text(call.reasoning),
            "call_id": self._text(call.call_id),
        }
        return without_blanks(packed, _BLANK_CALL)

    def _result(self, result: ToolResult) -> dict[str, Any]:
        packed = self._plain(result.to_dict())
        return without_blanks(packed, _BLANK_RESULT)

    def _pack_reply(self, reply: Reply) -> dict[str, Any]:
        packed = self._plain({**reply.to_dict(), "calls": [], "usage": None})
        packed["calls"] = [
            {
                "name": self._text(call.name),
                "arguments": self._arguments(call.arguments),
                "call_id": self._text(call.call_id),
            }
            for call in reply.calls
        ]
        packed["usage"] = None if reply.usage is None else _usage(reply.usage)
        return without_blanks(packed, _BLANK_REPLY)

    def _arguments(self, arguments: str | dict[str, Any]) -> Any:
        if isinstance(arguments, str):
            return self._redaction.arguments(arguments) if self._redaction else arguments
        return self._value(arguments)

    def _schema(self, tool: ToolSchema) -> dict[str, Any]:
        return self._plain(tool.to_dict())

    _PACKERS: ClassVar[dict[type[Event], Callable[[Packer, Any], dict[str, Any]]]] = {
        RunStarted: _run_started,
        ModelReplied: _model_replied,
        ModelFailed: _model_failed,
        CallStarted: _call_started,
        CallFinished: _call_finished,
        StepFinished: _step_finished,
        Compacted: _compacted,
        Saved: _saved,
        RunResumed: _run_resumed,
    }


def _of_tool(result: dict[str, Any], call: dict[str, Any]) -> dict[str, Any]:
    return without_blanks(result, {"tool": call["tool"]})


def _usage(usage: Usage) -> dict[str, Any]:
    return without_blanks(usage.to_dict(), _BLANK_USAGE)


def _to_dict(value: object) -> object:
    to_dict = getattr(value, "to_dict", None)
    return to_dict() if isinstance(value, Record) and to_dict else value

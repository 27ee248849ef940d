"""Journal records to events: the inverse of `pack.py`. Unknown events and unknown fields are passed over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from looplet._record import Record
from looplet.events import (
    CallFinished,
    CallStarted,
    Checkpoint,
    Compacted,
    Event,
    HookDecided,
    ModelFailed,
    ModelReplied,
    Noticed,
    RunFinished,
    RunResumed,
    RunStarted,
    Saved,
    StepFinished,
)
from looplet.messages import Capabilities, Message, Prompt, RawCall, Reply, Settings, ToolSchema
from looplet.trace.checked import checked
from looplet.trace.pack import event_name
from looplet.trace.turn import Turn, reply_message, result_words
from looplet.types import ErrorKind, Step, ToolCall, ToolResult, Usage

if TYPE_CHECKING:
    from collections.abc import Callable

R = TypeVar("R", bound=Record)
_KINDS = {None, *map(str, ErrorKind)}


class Unpacker:
    """Turns the records of one journal into events, in order."""

    def __init__(self) -> None:
        self._sent = Prompt("", ())
        self._prompts: dict[int, Prompt] = {}
        self._replies: dict[int, Message] = {}
        self._turn = Turn()
        self._open: dict[int, dict[str, Any]] = {}
        self._words: dict[int, str] = {}
        self._asked: dict[int, str] = {}  # step → call id
        self._spent = Usage()
        self._conversation: tuple[Message, ...] = ()
        self._facts: dict[str, Any] = {}

    def unpack(self, record: dict[str, Any]) -> Event | None:
        """The event, None for a kind this version does not know. A wrong record is some error of Python's."""
        make = self._MAKERS.get(record.get("event", ""))
        return checked(make(self, record)) if make else None

    def _run_started(self, record: dict[str, Any]) -> RunStarted:
        tools = _schemas(record["tools"])
        self._sent = Prompt(record["system"], (), tools)
        capabilities = checked(Capabilities.from_dict(record["capabilities"]))
        return known(
            RunStarted, record | {"tools": tools, "capabilities": capabilities, "gated": tuple(record.get("gated", ()))}
        )

    def _model_replied(self, record: dict[str, Any]) -> ModelReplied:
        prompt = self._prompt(record)
        packed = record["reply"]
        self._replies[record["call"]] = Message.from_dict(reply_message(packed))
        self._turn.replied(record["call"], packed)
        reply = unpack_reply(packed)
        self._spent += reply.usage or Usage()
        duration, purpose = record.get("duration_ms", 0.0), record.get("purpose", "")
        return ModelReplied(record["call"], prompt, reply, duration, purpose)

    def _model_failed(self, record: dict[str, Any]) -> ModelFailed:
        prompt = self._prompt(record)
        return known(ModelFailed, record | {"prompt": prompt, "checkpoint": self._kept(record)})

    def _prompt(self, record: dict[str, Any]) -> Prompt:
        last, delta = self._sent, record.get("prompt")
        if delta is None:
            expected = tuple(checked(Message.from_dict(packed)) for packed in self._turn.messages)
            prompt = last.replace(messages=last.messages + expected, overflowed=False)
        else:
            prompt = self._changed(last, delta)
        self._turn.asked()
        self._sent = self._prompts[record["call"]] = prompt
        return prompt

    def _changed(self, last: Prompt, delta: dict[str, Any]) -> Prompt:
        added = tuple(self._message(packed) for packed in delta["add"])
        prompt = Prompt(
            system=delta.get("system", last.system),
            messages=last.messages[: delta["keep"]] + added,
            tools=_schemas(delta["tools"]) if "tools" in delta else last.tools,
            settings=checked(Settings.from_dict(delta["settings"])) if "settings" in delta else last.settings,
            overflowed=delta.get("overflowed", False),
        )
        return checked(prompt)

    def _message(self, packed: dict[str, Any]) -> Message:
        if "reply" in packed:
            return checked(self._replies[packed["reply"]])
        if "result" in packed:
            return checked(Message("tool", self._words[packed["result"]], call_id=self._asked[packed["result"]]))
        content = packed["content"]
        if not isinstance(content, str):
            content = "".join(part if isinstance(part, str) else self._words[part["step"]] for part in content)
        return checked(Message.from_dict(packed | {"content": content}))

    def _call_started(self, record: dict[str, Any]) -> CallStarted:
        number, place = self._turn.step_of(record), record.get("tool_call", self._turn.next_call)
        call = self._call(place)
        self._turn.begun(place)
        asked = self._call(record["asked"]) if "asked" in record else call
        self._open[number] = {"tool_call": call, "asked": asked}
        return CallStarted(number, call, asked, record.get("approved", False))

    def _call_finished(self, record: dict[str, Any]) -> CallFinished:
        number = self._turn.step_of(record)
        said = self._open.setdefault(number, {})
        if "tool_call" in record:
            said["tool_call"] = self._call(record["tool_call"])
        said["result"] = self._result(number, record["result"], said["tool_call"])
        return CallFinished(number, said["tool_call"], said["result"])

    def _step_finished(self, record: dict[str, Any]) -> StepFinished:
        number = self._turn.step_of(record)
        said = self._open.pop(number, {})
        call = self._call(record["tool_call"]) if "tool_call" in record else said["tool_call"]
        self._turn.begun(record.get("tool_call"))
        asked = self._call(record["asked"]) if "asked" in record else said.get("asked", call)
        if "result" in record:
            said["result"] = self._result(number, record["result"], call)
        model_call = record.get("call", self._turn.number)
        prompt = self._prompts.get(model_call)
        usage = checked(Usage.from_dict(record["usage"])) if "usage" in record else self._spent
        self._spent = Usage()
        self._asked[number] = asked.call_id
        self._turn.told(self._words[number], asked.call_id)
        step = checked(Step(number, call, said["result"], prompt, usage))
        return StepFinished(step, asked, model_call, self._kept(record))

    def _result(self, number: int, packed: dict[str, Any], call: ToolCall) -> ToolResult:
        packed = {"tool": call.tool, **packed}
        if packed.get("error_kind") not in _KINDS:  # of a newer looplet
            packed["error_kind"] = ErrorKind.EXECUTION
        self._words[number] = result_words(packed)
        return checked(ToolResult.from_dict(packed))

    def _kept(self, record: dict[str, Any]) -> Checkpoint | None:
        return self._checkpoint(record) if "checkpoint" in record else None

    def _checkpoint(self, record: dict[str, Any]) -> Checkpoint:
        delta = record["checkpoint"]
        added = tuple(self._message(packed) for packed in delta["add"])
        self._conversation = self._conversation[: delta["keep"]] + added
        self._facts = {**self._facts, **delta["facts"]}
        return Checkpoint(self._conversation, self._facts)

    def _saved(self, record: dict[str, Any]) -> Saved:
        return Saved(self._checkpoint(record))

    def _run_resumed(self, record: dict[str, Any]) -> RunResumed:
        pending = record.get("pending")
        pending = None if pending is None else checked(ToolCall.from_dict(pending))
        return known(RunResumed, record | {"pending": pending, "gated": tuple(record.get("gated", ()))})

    def _compacted(self, record: dict[str, Any]) -> Compacted:
        sent = self._sent.messages
        dropped = tuple(each if isinstance(each, str) else sent[each].content for each in record["dropped"])
        return Compacted(record["before"], record["after"], dropped)

    def _run_finished(self, record: dict[str, Any]) -> RunFinished:
        usage = checked(Usage.from_dict(record.get("usage", {})))
        return known(RunFinished, record | {"usage": usage, "errors": tuple(record.get("errors", ()))})

    def _call(self, packed: int | dict[str, Any]) -> ToolCall:
        return checked(ToolCall.from_dict(self._turn.calls[packed] if isinstance(packed, int) else packed))

    _MAKERS: ClassVar[dict[str, Callable[[Unpacker, dict[str, Any]], Event]]] = {
        event_name(RunStarted): _run_started,
        event_name(ModelReplied): _model_replied,
        event_name(ModelFailed): _model_failed,
        event_name(CallStarted): _call_started,
        event_name(CallFinished): _call_finished,
        event_name(StepFinished): _step_finished,
        event_name(Compacted): _compacted,
        event_name(RunFinished): _run_finished,
        event_name(RunResumed): _run_resumed,
        event_name(Saved): _saved,
        event_name(HookDecided): lambda _, record: known(HookDecided, record),
        event_name(Noticed): lambda _, record: known(Noticed, record),
    }


def unpack_reply(packed: dict[str, Any]) -> Reply:
    calls = tuple(checked(known(RawCall, call)) for call in packed.get("calls", ()))
    usage = packed.get("usage")
    usage = None if usage is None else checked(Usage.from_dict(usage))
    return checked(known(Reply, packed | {"calls": calls, "usage": usage}))


def known(kind: type[R], fields: dict[str, Any]) -> R:
    """Make a record of the fields it has; a newer looplet may have written more."""
    return kind(**{name: fields[name] for name in kind._fields if name in fields})


def _schemas(packed: list[dict[str, Any]]) -> tuple[ToolSchema, ...]:
    return tuple(checked(ToolSchema.from_dict(tool)) for tool in packed)

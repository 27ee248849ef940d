"""`MockLLMBackend`: a scripted model for tests and examples. It checks every request as a strict server would."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any, cast

from looplet._pretty import shorten, visible
from looplet.backends.request_check import RequestCheck
from looplet.errors import ScriptError
from looplet.messages import Capabilities, Prompt, RawCall, Reply
from looplet.types import ToolCall, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from looplet.backends.streaming import OnChunk
    from looplet.messages import Message

    Answer = str | ToolCall | Sequence[ToolCall] | Reply | BaseException | type[BaseException]
    Policy = Callable[[Prompt], Answer]

_NEWEST = 2  # messages at the end that the next request may hold differently
_CHARS_PER_TOKEN = 4  # a fixed estimate: usage flows through a run, and is the same every time


class MockLLMBackend:
    """Answer request after request from `responses`, or every request from one callable of the prompt.

    A response is a string (a text reply), a ToolCall or a list of them (a native turn; empty call ids are filled in),
    a Reply, an exception to raise, or a callable of the prompt that returns one of these. `cycle=True` starts over at
    the end. A script of nothing but strings is a model without native tools, unless `capabilities` says otherwise.
    `prompts` lists every request. Between two attempts at one of them a run does not really wait.
    """

    no_sleep = True

    def __init__(
        self,
        responses: Iterable[Answer | Policy] | Policy,
        cycle: bool = False,
        name: str = "mock",
        *,
        capabilities: Capabilities | None = None,
    ) -> None:
        if isinstance(responses, (str, ToolCall, Reply, BaseException)):
            raise TypeError(f"MockLLMBackend takes a list of responses: write MockLLMBackend([{responses!r}])")
        self._policy: Policy | None = responses if callable(responses) else None
        self._responses: tuple[Answer | Policy, ...] = () if callable(responses) else tuple(responses)
        self._cycle = cycle
        self._requests = count(1)  # next() is atomic: one mock may serve several threads
        self._readers: list[_Reader] = []  # pop() and append() are atomic too
        text_only = bool(self._responses) and all(isinstance(response, str) for response in self._responses)
        self.name = name
        self.capabilities = capabilities or Capabilities(native_tools=not text_only)
        self.prompts: list[Prompt] = []

    def chat(self, prompt: Prompt) -> Reply:
        number = next(self._requests)
        self.prompts.append(prompt)
        reader = self._reader()
        if found := reader.read(prompt):
            raise ScriptError(f"request {number} to {self.name!r} would be refused by a server: {'; '.join(found)}")
        self._readers.append(reader)
        return self._reply(self._response(number, prompt), prompt, reader)

    def stream(self, prompt: Prompt, on_chunk: OnChunk) -> Reply:
        """`chat`, with the text shown in pieces that begin with a space."""
        reply = self.chat(prompt)
        if reply.reasoning:
            on_chunk(reply.reasoning, True)
        first, *rest = reply.text.split(" ")
        for piece in (first, *(f" {word}" for word in rest)):
            if piece:
                on_chunk(piece)
        return reply

    def assert_complete(self) -> None:
        """Raise ScriptError when some responses were never asked for."""
        used, total = len(self.prompts), len(self._responses)
        if used < total:
            raise ScriptError(f"MockLLMBackend was asked {_times(used)}, {total - used} of {total} responses are left")

    def _reader(self) -> _Reader:
        try:
            return self._readers.pop()
        except IndexError:
            return _Reader()

    def _response(self, number: int, prompt: Prompt) -> Answer | Policy:
        if self._policy:
            return self._policy
        total = len(self._responses)
        if total and (self._cycle or number <= total):
            return self._responses[(number - 1) % total]
        last = f"{prompt.messages[-1].role}: {prompt.messages[-1].content}" if prompt.messages else "(none)"
        raise ScriptError(
            f"MockLLMBackend ran dry: it has {total} response{'s' * (total != 1)} and this is request {number}. "
            f"Its last message is {shorten(visible(last), 200)!r}. "
            "Add a response, let the script end with a `done` call, or pass cycle=True."
        )

    def _reply(self, answer: Answer | Policy, prompt: Prompt, reader: _Reader) -> Reply:
        if isinstance(answer, Reply):
            return answer
        if isinstance(answer, BaseException) or (isinstance(answer, type) and issubclass(answer, BaseException)):
            raise answer
        if isinstance(answer, str):
            return Reply(text=answer, usage=_usage(reader.chars, len(answer)), model=self.name)
        if isinstance(answer, ToolCall):
            return self._turn([answer], reader)
        if isinstance(answer, (list, tuple)) and answer and all(isinstance(call, ToolCall) for call in answer):
            return self._turn(answer, reader)
        if callable(answer):
            return self._reply(cast("Policy", answer)(prompt), prompt, reader)
        raise ScriptError(
            f"MockLLMBackend cannot answer with {answer!r}: use a string, a ToolCall, a non-empty list of them, "
            "a Reply, an exception, or a callable of the prompt that returns one of these"
        )

    def _turn(self, calls: Sequence[ToolCall], reader: _Reader) -> Reply:
        # ids go on from the conversation's highest: the same conversation gets the same ids whoever else is served
        fresh = (f"call_{number}" for number in count(reader.highest_id + 1))
        raw = tuple(RawCall(call.tool, dict(call.args), call.call_id or next(fresh)) for call in calls)
        text = next((call.reasoning for call in calls if call.reasoning), "")
        written = len(text) + sum(len(call.name) + len(repr(call.arguments)) for call in raw)
        return Reply(text, raw, _usage(reader.chars, written), finish_reason="tool_calls", model=self.name)


class _Reader:
    """Reads a growing conversation once: the next request costs only what is new in it.

    The newest messages are read again each time, because text injected at the end is gone from the next request.
    """

    __slots__ = ("_messages", "_system", "_tally", "chars", "highest_id")

    def __init__(self) -> None:
        self._messages: tuple[Message, ...] = ()
        self._system = ""
        self._tally = _Tally()
        self.chars = 0
        self.highest_id = 0

    def read(self, prompt: Prompt) -> list[str]:
        """Return what is wrong with the request."""
        from looplet.backends.openai_wire import openai_message, system_message  # not at import time: needs json

        known = len(self._messages)
        # comparing tuples of the same objects is far cheaper than reading the messages again
        if not known or self._system != prompt.system or prompt.messages[:known] != self._messages:
            known, self._tally = 0, _Tally()
            for system in system_message(prompt.system):
                self._tally.add(system)
        settled = max(known, len(prompt.messages) - _NEWEST)
        for message in prompt.messages[known:settled]:
            self._tally.add(openai_message(message))
        self._messages, self._system = prompt.messages[:settled], prompt.system
        tally = self._tally.copy()
        for message in prompt.messages[settled:]:
            tally.add(openai_message(message))
        self.chars, self.highest_id = tally.chars, tally.highest_id
        return tally.check.problems()


class _Tally:
    """What a mock knows of the messages so far."""

    __slots__ = ("chars", "check", "highest_id")

    def __init__(self, check: RequestCheck | None = None, chars: int = 0, highest_id: int = 0) -> None:
        self.check = check or RequestCheck()
        self.chars = chars
        self.highest_id = highest_id

    def copy(self) -> _Tally:
        return _Tally(self.check.copy(), self.chars, self.highest_id)

    def add(self, message: dict[str, Any]) -> None:
        self.check.add(message)
        self.chars += len(message["content"])
        for call in message.get("tool_calls", ()):
            self.chars += len(call["function"]["arguments"])
            prefix, _, number = call["id"].partition("_")
            if prefix == "call" and number.isdecimal():
                self.highest_id = max(self.highest_id, int(number))


def _usage(read: int, written: int) -> Usage:
    return Usage(read // _CHARS_PER_TOKEN, written // _CHARS_PER_TOKEN)


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"

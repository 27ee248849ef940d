"""How large a prompt is, in tokens: an estimate that calibrates itself on the usage the provider reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from looplet._core.to_text import to_text
from looplet.events import ModelFailed, ModelReplied, RunResumed, RunStarted

if TYPE_CHECKING:
    from looplet.events import Event
    from looplet.messages import Message, Prompt, ToolSchema

_UNLIMITED = 1 << 30
_MESSAGE_BYTES = 12  # what a chat template adds to each message, about
# Bytes and not characters: a Chinese character is three bytes and about one token, an English word six and one.
_FIRST_GUESS = 3.0  # bytes a token before anything was reported: code has more than 3, so that this is careful
_FEWEST, _MOST = 1.0, 5.0  # what a server reports beyond that is no count of this prompt (a cached prefix left out)


class Gauge:
    """How full the context window is. Feed it the run's events, then ask about prompts.

    window   tokens; None: the model's own, as far as it is known, or else what the provider once refused
    """

    def __init__(self, window: int | None = None) -> None:
        self._given = window
        self._forget()

    def _forget(self) -> None:
        self._window = self._given
        self._refused: int | None = None  # bytes of the smallest prompt the provider found too long
        self._bytes_per_token = _FIRST_GUESS
        self._known: tuple[Message, ...] = ()
        self._known_bytes = 0
        self._tools: tuple[ToolSchema, ...] = ()
        self._tools_bytes = 0

    def watch(self, event: Event) -> None:
        match event:
            case RunStarted():
                self._forget()
                self._window = self._given or event.capabilities.context_window
            case RunResumed():
                for past in event.history:
                    self.watch(past)
            case ModelReplied() if event.reply.usage and event.reply.usage.input_tokens > 0:
                ratio = self._bytes(event.prompt) / event.reply.usage.input_tokens
                self._bytes_per_token = min(max(ratio, _FEWEST), _MOST)
            case ModelFailed(kind="ContextOverflow"):
                self._refused = min(self._bytes(event.prompt), self._refused or _UNLIMITED)

    def tokens(self, prompt: Prompt) -> int:
        """About how many tokens the prompt has."""
        return round(self._bytes(prompt) / self._bytes_per_token)

    def fixed(self, prompt: Prompt) -> int:
        """The part of `tokens` that no compaction can change: system prompt and tools."""
        return round(self._fixed(prompt) / self._bytes_per_token)

    def room(self, prompt: Prompt) -> int | None:
        """Tokens a prompt may have; None while nobody knows. The reply needs its own part of the window."""
        rooms = []
        if self._window is not None:
            reply = prompt.settings.max_tokens or 0
            rooms.append(max(self._window - reply, self._window // 4))
        if self._refused is not None:
            rooms.append(round(self._refused / self._bytes_per_token))
        return max(1, min(rooms)) if rooms else None

    def _bytes(self, prompt: Prompt) -> int:
        """A conversation that only grew costs no more than what is new in it."""
        messages = prompt.messages
        settled = messages[:-1]  # text that hooks inject changes the last one
        known = len(self._known)
        if settled[:known] != self._known:  # cheap: mostly the same objects
            known, self._known_bytes = 0, 0
        self._known_bytes += sum(map(_message_bytes, settled[known:]))
        self._known = settled
        return self._fixed(prompt) + self._known_bytes + sum(map(_message_bytes, messages[-1:]))

    def _fixed(self, prompt: Prompt) -> int:
        if prompt.tools is not self._tools:
            self._tools = prompt.tools
            self._tools_bytes = sum(len_bytes(to_text(tool.to_dict(), _UNLIMITED)) for tool in prompt.tools)
        return self._tools_bytes + len_bytes(prompt.system)


def len_bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _message_bytes(message: Message) -> int:
    calls = sum(
        len_bytes(call.tool) + len_bytes(to_text(call.args, _UNLIMITED)) + _MESSAGE_BYTES for call in message.tool_calls
    )
    return len_bytes(message.content) + calls + _MESSAGE_BYTES

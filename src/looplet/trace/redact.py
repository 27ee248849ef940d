"""Take secrets out of text before it is sent or written."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import TYPE_CHECKING, Any

from looplet.errors import TraceError
from looplet.messages import Message, Prompt, ToolSchema
from looplet.trace.jsonable import jsonable
from looplet.trace.prefix import PrefixMap

if TYPE_CHECKING:
    from collections.abc import Callable

    from looplet.types import ToolCall

REDACTED = "[redacted]"

_PEM_BODY = r"[A-Za-z0-9+/=\s:,-]|\\+[nrt]"
_PEM_END = r"-----END [A-Z0-9 ]*PRIVATE KEY-----"  # without it, the key goes as far as it looks like one
_PEM = rf"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----(?:{_PEM_BODY})*?(?:{_PEM_END}|(?!{_PEM_BODY}))"
# What a secret of a kind always contains, and its pattern: most texts contain nothing, and looking for a literal is a
# hundred times faster than trying patterns. A match never contains a quote or half of a JSON escape, so that JSON in a
# text stays JSON.
_PATTERNS: tuple[tuple[str, str], ...] = (
    ("PRIVATE KEY-----", _PEM),
    ("eyJ", r"\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]*"),  # JWT
    ("sk-", r"(?<![A-Za-z0-9])sk-[A-Za-z0-9_-]{10,}"),  # OpenAI, Anthropic (sk-ant-), OpenRouter (sk-or-)
    ("k_", r"(?<![A-Za-z0-9])(?:[spr]k_(?:live|test)_[A-Za-z0-9]{10,}|gsk_[A-Za-z0-9]{20,})"),  # Stripe, Groq
    ("xai-", r"(?<![A-Za-z0-9])xai-[A-Za-z0-9]{20,}"),
    ("hf_", r"(?<![A-Za-z0-9])hf_[A-Za-z0-9]{20,}"),  # Hugging Face
    ("AIza", r"\bAIza[A-Za-z0-9_-]{30,}"),  # Google
    ("gh", r"\bgh[opsur]_[A-Za-z0-9]{20,}"),  # GitHub
    ("github_pat_", r"\bgithub_pat_[A-Za-z0-9_]{20,}"),
    ("glpat-", r"\bglpat-[A-Za-z0-9_-]{16,}"),  # GitLab
    ("AKIA", r"\bAKIA[A-Z0-9]{16}(?![A-Z0-9])"),  # AWS
    ("ASIA", r"\bASIA[A-Z0-9]{16}(?![A-Z0-9])"),
    ("xox", r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}"),  # Slack
)
_BEARER = ("bearer", r"(?i:\bbearer\s+)[A-Za-z0-9._~+/=-]{8,}")  # in any case: looked for in lower case
_EMAIL = ("@", r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
# What stands between two quotes and has JSON escapes in it; the first or last quote may have been cut off.
_ESCAPED = r'(?s)(?:\A|(?<="))[^"\\]*(?:\\.[^"\\]*)+(?="|\\?\Z)'
_HALF_AN_ESCAPE = r"\\u[0-9A-Fa-f]{0,3}\Z"
_NESTING = 4  # JSON in JSON in JSON
_SHORTEST, _SHORTEST_EMAIL = 13, 5  # characters of the shortest match: `sk-` and ten more, and `a@b.c`

_compiled = cache(re.compile)  # when a text is met that needs it: most runs meet none


class Redactor:
    """The built-in patterns: provider API keys, bearer tokens, JWTs, private keys; e-mail addresses when asked."""

    def __init__(self, *, emails: bool = False) -> None:
        self.emails = emails
        self._patterns = (*_PATTERNS, _EMAIL) if emails else _PATTERNS
        self.shortest = _SHORTEST_EMAIL if emails else _SHORTEST

    def __call__(self, text: str) -> str:
        if len(text) < self.shortest:
            return text
        for literal, pattern in self._patterns:
            if literal in text:
                text = _compiled(pattern).sub(self.replacement, text)
        return _compiled(_BEARER[1]).sub(self.replacement, text) if _BEARER[0] in text.lower() else text

    def replacement(self, _secret: re.Match[str]) -> str:
        return REDACTED

    @property
    def id(self) -> str:
        """Written into the trace, so that a replay redacts its requests in the same way."""
        return "looplet:1+emails" if self.emails else "looplet:1"


class Redaction:
    """A redaction of strings applied to whole values: JSON inside a text, results, messages, requests.

    The function is called with one string at a time and answers the string to write. It must leave its own output as
    it is, because text that was redacted on its way out is redacted again when it is written.
    """

    def __init__(self, redact: Callable[[str], str]) -> None:
        self._redact = redact
        # a text that is too short for the patterns is so without its escapes, too
        self._shortest = redact.shortest if type(redact) is Redactor else 0
        self.id = redactor_id(redact)
        self._messages = PrefixMap()
        self._system = ("", "")
        self._tools: tuple[tuple[ToolSchema, ...], tuple[ToolSchema, ...]] = ((), ())

    def text(self, text: str) -> str:
        """Redact `text`, also where a secret hides behind JSON escapes (`"a\\"b"` inside a JSON document)."""
        if len(text) < self._shortest:
            return text
        return self._text(text, _NESTING) if "\\" in text else self._call(text)

    def value(self, value: object) -> Any:
        """JSON-shaped, every string in it redacted."""
        return jsonable(value, self.text)

    def arguments(self, raw: str) -> str:
        """Raw call arguments: a JSON document, if the model wrote one, and as it is when nothing has to change."""
        try:
            value = json.loads(raw)
        except (ValueError, RecursionError):
            return self.text(raw)
        clean = self.value(value)
        return raw if clean == value and self.text(raw) == raw else json.dumps(clean, ensure_ascii=False)

    def message(self, message: Message) -> Message:
        """Return the same object when nothing has to change: backends and journals remember messages by identity."""
        content = self.text(message.content)
        calls = tuple(self.call(call) for call in message.tool_calls)
        if content == message.content and calls == message.tool_calls:
            return message
        return message.replace(content=content, tool_calls=calls)

    def call(self, call: ToolCall) -> ToolCall:
        return call.replace(args=self.value(call.args), reasoning=self.text(call.reasoning))

    def prompt(self, prompt: Prompt) -> Prompt:
        """The request to send instead. Costs what was added since the last one; settings are left alone."""
        if prompt.system != self._system[0]:
            self._system = (prompt.system, self.text(prompt.system))
        if prompt.tools != self._tools[0]:
            self._tools = (prompt.tools, tuple(self._schema(tool) for tool in prompt.tools))
        messages = self._messages(prompt.messages, self.message)
        return prompt.replace(system=self._system[1], messages=messages, tools=self._tools[1])

    def _schema(self, tool: ToolSchema) -> ToolSchema:
        """The name stays: the provider checks it, and calls refer to it."""
        return ToolSchema(tool.name, self.text(tool.description), self.value(tool.parameters))

    def _text(self, text: str, nesting: int) -> str:
        """Escapes first: the patterns would take a secret as far as its first escape, and leave the rest unknown."""
        if nesting and "\\" in text:
            text = _compiled(_ESCAPED).sub(lambda match: self._escaped(match[0], nesting - 1), text)
        return self._call(text)

    def _escaped(self, text: str, nesting: int) -> str:
        """The inside of a JSON string. What is none (`C:\\dir`) hides nothing, as nobody will decode it."""
        whole = _compiled(_HALF_AN_ESCAPE).sub("", text)
        try:
            value = json.loads(f'"{whole}"', strict=False)
        except ValueError:
            return text
        clean = self._text(value, nesting)
        return text if clean == value else json.dumps(clean, ensure_ascii=False)[1:-1] + text[len(whole) :]

    def _call(self, text: str) -> str:
        """A redaction that fails must not let the text through."""
        try:
            clean = self._redact(text)
        except Exception as error:
            raise TraceError(
                f"redact={self._redact!r} raised {type(error).__name__}: {error}; "
                "nothing was sent or written. Make it return its argument where there is nothing to hide"
            ) from error
        if not isinstance(clean, str):
            raise TraceError(
                f"redact={self._redact!r} answered {type(clean).__name__}; it has to return the text as a str"
            )
        return clean


def redaction(redact: Callable[[str], str] | bool | None) -> Redaction | None:
    """What a user gave as `redact=`: True for the built-in patterns, a function of one string, or nothing."""
    if redact is None or redact is False:
        return None
    if redact is True:
        return Redaction(Redactor())
    if not callable(redact):
        raise TypeError(f"redact={redact!r}: give True, a function from str to str, or None")
    return Redaction(redact)


def redactor_id(redact: Callable[[str], str]) -> str:
    if isinstance(redact, Redactor):
        return redact.id
    name = getattr(redact, "__qualname__", type(redact).__qualname__)
    return f"{getattr(redact, '__module__', '?')}:{name}"


def redaction_for(redactor: str | None) -> Redaction | None:
    """The redaction a trace was written with, when it is one of the built-in ones."""
    known = {each.id: each for each in (Redactor(), Redactor(emails=True))}
    return Redaction(known[redactor]) if redactor in known else None

"""Whether a successful answer is a reply, and whether the server read the whole prompt before it gave one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from looplet.backends.openai_wire import read_reply
from looplet.backends.provider_errors import parse_json, request_id_of, unreadable
from looplet.errors import ContentFiltered, ContextOverflow

if TYPE_CHECKING:
    from looplet.backends.http import HttpAnswer
    from looplet.backends.provider_errors import Asked
    from looplet.messages import Prompt, Reply

# A prompt of at least this many characters that counts as less than a tenth in tokens was not read to its end.
_SUSPECT_CHARS = 16_000
_CHARS_PER_TOKEN = 10  # text and code have 2 to 5
_LONG_CHARS = 8_000  # about the 2,048 tokens of a small server's window
_SHORTEN = "Shorten the conversation, or give the model a larger window"


def read_answer(prompt: Prompt, answer: HttpAnswer, asked: Asked, *, streamed: bool) -> Reply:
    """Return the reply in `answer`, or raise what its absence means."""
    data = parse_json(answer.body)
    choices = data.get("choices") if isinstance(data, dict) else None
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        if streamed and not answer.body.strip() and (length := _length(prompt)) >= _LONG_CHARS:
            raise ContextOverflow(
                f"{asked.where} sent an empty stream, as llama-cpp-python does when a prompt is longer than its context"
                f" window; this one has {length} characters. {_SHORTEN}",
                status=answer.status,
            )
        raise unreadable(answer, asked)
    reply = read_reply(data, request_id_of(answer))
    if reply.finish_reason == "content_filter":
        raise ContentFiltered(
            f"{asked.where} withheld the reply of model {asked.model!r}: content filter",
            status=answer.status,
            request_id=reply.request_id,
        )
    return reply


def check_read_whole(prompt: Prompt, reply: Reply, where: str) -> None:
    """Raise ContextOverflow when the server must have cut the prompt, as Ollama does without a word."""
    if reply.usage is None or not reply.usage.input_tokens:
        return
    sent, read = sum(len(message.content) for message in prompt.messages), reply.usage.input_tokens
    if sent >= _SUSPECT_CHARS and sent > _CHARS_PER_TOKEN * read:
        raise ContextOverflow(
            f"{where} read only {read} tokens of a prompt of {sent} characters: it cut the prompt silently."
            f" {_SHORTEN} (Ollama: OLLAMA_CONTEXT_LENGTH=32768)",
            request_id=reply.request_id,
        )


def _length(prompt: Prompt) -> int:
    """Characters of the prompt, tools included."""
    tools = sum(len(str(tool.parameters)) + len(tool.description) for tool in prompt.tools)
    return len(prompt.system) + sum(len(message.content) for message in prompt.messages) + tools

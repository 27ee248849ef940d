"""What the examples share: the model they were asked to use, and how their scripted models read a conversation."""

from __future__ import annotations

import sys
from argparse import ArgumentTypeError
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from looplet import LoopletError
from looplet.backends import OpenAIBackend

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from looplet import MockLLMBackend, Prompt, Run, RunResult, ToolCall


def add_run_options(parser: ArgumentParser, max_steps: int) -> None:
    def at_most(option: str, default: int, what: str) -> None:
        parser.add_argument(
            option, type=_at_least_one, default=default, metavar="N", help=f"{what} at most (default: {default})"
        )

    at_most("--max-steps", max_steps, "tool calls")
    at_most("--max-tokens", 4000, "tokens of one reply")
    parser.add_argument("--mock", action="store_true", help="play a scripted model: no endpoint, no key")
    parser.add_argument("--model", help="default: OPENAI_MODEL")


def _at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r}: give a whole number of at least 1")
    return int(text)


def model_for(options: Namespace, program: str, scripted: MockLLMBackend) -> Any:
    """The scripted model, or the endpoint of the environment; without one, a line that says what to set."""
    if options.mock:
        return scripted
    try:
        return OpenAIBackend.from_env(model=options.model, max_tokens=options.max_tokens)
    except (LoopletError, ValueError) as error:
        sys.exit(f"{program}: {error} (--mock needs no endpoint)")


def show(run: Run) -> None:
    """Print each step as it is finished. Ctrl-C ends the run, as `cancelled`."""
    with suppress(KeyboardInterrupt):
        for step in run:
            print(step.pretty(), flush=True)


def how_it_ended(result: RunResult) -> str:
    """The stop reason, and what failed. It may be a server's text: `!r` shows control characters, and emits none."""
    return (
        f"{result.stop_reason} ({result.errors[-1]!r})"
        if result.status == "failed" and result.errors
        else result.stop_reason
    )


def answered(prompt: Prompt) -> list[tuple[ToolCall, str]]:
    """Each call of the conversation with the text of its result, in order."""
    calls = {call.call_id: call for message in prompt.messages for call in message.tool_calls}
    return [(calls[message.call_id], message.content) for message in prompt.messages if message.role == "tool"]

"""What the tests of killed and resumed runs share: tools, a model, and the part of a result that must not differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from looplet import MockLLMBackend, Prompt, Reply, RunResult, tool

if TYPE_CHECKING:
    from collections.abc import Sequence

    from looplet.messages import Message


@tool(idempotent=True)
def double(n: int) -> int:
    """Double."""
    return 2 * n


@tool(idempotent=True, concurrent_safe=True)
def square(n: int) -> int:
    """Square."""
    return n * n


@tool(idempotent=True)
def fail(n: int) -> int:
    """Fail."""
    raise ValueError(f"no {n}")


class Scripted:
    """Answers from the script by how many requests the whole run has made, in whichever process."""

    name = "scripted"
    no_sleep = True

    def __init__(self, script: list[Any], asked: int = 0) -> None:
        self.mock = MockLLMBackend(script[asked:])
        self.capabilities = MockLLMBackend(script).capabilities
        self.prompts = self.mock.prompts

    def chat(self, prompt: Prompt) -> Reply:
        return self.mock.chat(prompt)


def newest(messages: Sequence[Message]) -> list[Message]:
    """The task and the last turn: a way to shorten a conversation."""
    last = max(index for index, message in enumerate(messages) if message.role == "assistant")
    return [messages[0], *messages[last:]]


def without_process(result: RunResult) -> RunResult:
    """What does not depend on which process did it, and when."""
    steps = tuple(step.replace(tool_result=step.tool_result.replace(duration_ms=0.0)) for step in result.steps)
    return result.replace(duration=0.0, trace_dir=None, steps=steps)

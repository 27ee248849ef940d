"""A first agent: `python -m looplet.examples.hello_world [--mock] [--model M]`, endpoint from OPENAI_BASE_URL."""

import argparse
import sys

from looplet import LoopletError, MockLLMBackend, ToolCall, composable_loop, tool
from looplet.backends import OpenAIBackend


@tool
def greet(name: str) -> str:
    """Greet someone."""
    return f"Hello, {name}!"


parser = argparse.ArgumentParser(prog="hello_world", description="Greet two people, one tool call each.")
parser.add_argument("--mock", action="store_true", help="play a scripted model: no endpoint, no key")
parser.add_argument("--model", help="default: OPENAI_MODEL")
options = parser.parse_args()
both = [ToolCall("greet", {"name": "Alice"}), ToolCall("greet", {"name": "Bob"})]
try:
    scripted = MockLLMBackend([both, ToolCall("done", {"answer": "Greeted both."})])
    llm = scripted if options.mock else OpenAIBackend.from_env(model=options.model, max_tokens=1000)
except (LoopletError, ValueError) as error:
    sys.exit(f"hello_world: {error} (--mock needs no endpoint)")
run = composable_loop(llm=llm, tools=[greet], task="Greet Alice and Bob, then finish.", max_steps=5)
for step in run:
    print(step.pretty())
if run.result.status != "completed":
    sys.exit(f"hello_world: the run ended with {run.result.stop_reason}")

"""A suite with judged evals: the runs' model is `live`, the judge `grader`, and both note when they are asked."""

from __future__ import annotations

JUDGED = """
    import pytest
    from shop import agent, script

    CASES = [{"id": f"refund-{order}", "task": f"Refund order {order}", "script": script(order)} for order in (17, 18)]
    pytestmark = pytest.mark.looplet(agent=agent, cases=CASES)

    def eval_polite(run, judge):
        return judge.score("Is the amount named?", run)
"""

# The grader answers what replies.txt says, line after line, and then always the same.
GRADER = """
    from pathlib import Path
    import pytest
    from looplet import MockLLMBackend, Reply, Usage
    from looplet.errors import RateLimited
    from shop import note, script

    REPLIES = Path(__file__).parent / "replies.txt"
    GOOD = '{"reason": "It names it.", "score": 8}'

    class Live:
        name = "live-model-1"

        def chat(self, prompt):
            note("live call")
            order = int(prompt.messages[0].content.split()[-1])
            turn = sum(message.role == "assistant" for message in prompt.messages)
            return MockLLMBackend([script(order)[turn]]).chat(prompt)

    class Grader:
        no_sleep = True

        def __init__(self, name):
            self.name = name

        def chat(self, prompt):
            note("judge call")
            lines = REPLIES.read_text().splitlines() if REPLIES.exists() else []
            said = lines.pop(0) if lines else GOOD
            if lines or REPLIES.exists():
                REPLIES.write_text("\\n".join(lines))
            if said == "rate limit":
                raise RateLimited("slow down")
            return Reply(text=said, usage=Usage(100, 10))

    @pytest.hookimpl(optionalhook=True)
    def pytest_looplet_make_backend(name, config):
        return Live() if name == "live" else Grader(f"{name}-1") if name.startswith("grader") else None
"""

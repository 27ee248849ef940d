"""No secret on the terminal, in reports, in JUnit's file or below `.looplet/`, wherever a run emits it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.plugin_files import write_suite

from pytest_looplet.reporting.known_secrets import Secrets

_PEM_LINES = ["MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEA", "AoIBAQC7VJTUt9Us8cKjMzEfYyjiWA4R4ypUHVLGwdJ9"]
PLANTED = {
    "openai": "sk-proj-Zq8vLw3nRt6yUx1mKp5sJd9f",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJlLW9mLWFsaWNl",
    "bearer": "Bearer 7Hq2Xv9LmT4wRz8KpN3sYb6D",
    "github": "ghp_R7mQ2xV9kL4wT8zN3pY6sB1dF5hJ0cG2aE4u",
    "aws": "AKIAQ7ZXW3VLN5TRM2KP",
    "slack": "xoxb-2389472389-Kq7Lw2ZxV9mT4",
    "pem": "-----BEGIN PRIVATE KEY-----\n" + "\n".join(_PEM_LINES) + "\n-----END PRIVATE KEY-----",
}
OF_AN_EVAL = (
    "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIQDq3VxKzL5mTnRw\noUQDQgAEy8WpZ4vN6kFj\n-----END EC PRIVATE KEY-----"
)
_WINDOW = 10  # no ten characters of a secret in a row
_HARMLESS = re.compile("Bearer |-----[A-Z ]+-----")


def windows() -> set[str]:
    found = set()
    for secret in (*PLANTED.values(), OF_AN_EVAL):
        for line in _HARMLESS.sub("", secret).split("\n"):
            found |= {line[at : at + _WINDOW] for at in range(len(line) - _WINDOW + 1)}
    return found


WINDOWS = windows()

# Everything an agent can emit holds every secret. Each eval shows it in another way.
AGENT = f"""
    import json, logging, os, subprocess, sys, threading, warnings
    from looplet import ToolCall, ToolResult, MockLLMBackend, composable_loop, tool

    PLANTED = {PLANTED!r}
    OF_AN_EVAL = {OF_AN_EVAL!r}  # no run knows it
    ALL = "\\n".join(PLANTED.values())
    ESCAPED = json.dumps(json.dumps(PLANTED))
    WORDS = [secret for secret in PLANTED.values() if len(secret.split()) == 1]

    class Trouble(Exception):
        pass

    @tool
    def leak(text: str) -> dict:
        "Leak."
        print("out", ALL)
        print("err", ALL, file=sys.stderr)
        logging.getLogger("agent").warning("log %s", ALL)
        warnings.warn(f"warned {{ALL}}")
        subprocess.run([sys.executable, "-c", f"print({{ALL!r}})"])
        thread = threading.Thread(target=die)
        thread.start()
        thread.join()
        return {{"all": ALL, "nested": [PLANTED, ESCAPED], "bytes": ALL.encode(), "set": {{ALL}}}}

    def die():
        print("from a thread", ALL)
        raise Trouble(ALL)

    @tool
    def fail() -> str:
        "Fail."
        raise Trouble(ALL)

    @tool
    def done(answer: dict) -> dict:
        "Finish."
        return answer

    class Hook:
        def post_dispatch(self, state, log, call, result, step):
            return f"note {{ALL}}"

    SCRIPT = [
        ToolCall("leak", {{"text": ALL}}, reasoning=ALL), ToolCall("fail", {{}}),
        ToolCall("done", {{"answer": {{"text": ALL, "long": f"{{'x' * 300}} {{ALL}} {{'y' * 300}}", "words": WORDS}}}}),
    ]

    def agent(task, llm):
        return composable_loop(llm=llm, task=task, tools=[leak, fail, done], system_prompt=ALL, hooks=[Hook()])

    def broken(task, llm):
        print(ALL)
        raise Trouble(ALL)

    def foreign(task):
        return [{{"role": "user", "content": task}}, {{"role": "assistant", "content": ALL}}]
"""

EVALS = """
    import pytest
    from shop import ALL, ESCAPED, OF_AN_EVAL, PLANTED, SCRIPT, agent, broken, foreign

    CASES = [{"id": "leaky", "task": f"Say {ALL}", "script": SCRIPT}]
    pytestmark = pytest.mark.looplet(agent=agent, cases=CASES)

    def eval_passes(run):
        print(ALL)
        return {"score": 1.0, "reason": ALL, "label": None}

    def eval_equal(run):
        text = run.output["text"]
        assert text == "something else"

    def eval_skips_what_is_the_same(run):
        assert run.output["text"] + " one" == run.output["text"] + " two"

    def eval_cut(run):
        long = run.output["long"]
        assert long == "x"

    def eval_dicts(run):
        assert run.output == {"text": "x"}

    def eval_words(run):
        assert run.output["words"] == ["x"]

    def eval_whole_run(run):
        steps = run.steps
        assert not steps and run

    def eval_told(run):
        assert False, f"{run.errors} {ESCAPED}"

    def eval_raises(run):
        try:
            raise ValueError(run.output["text"])
        except ValueError as error:
            raise RuntimeError(repr(run.output)) from error

    def eval_with_a_key_of_its_own(run):
        raise ValueError(OF_AN_EVAL)

    def eval_label(run):
        return {"label": "incorrect", "reason": run.output["text"], run.output["text"]: 1}

    def eval_skipped(run):
        pytest.skip(run.output["text"])

    def eval_expected_to_fail(run):
        pytest.xfail(run.output["text"])

    def eval_in_parts(run, subtests):
        with subtests.test(msg="part"):
            print(ALL)
            assert run.output["text"] == "part"

    def eval_records(run, record_property):
        record_property("answer", run.output["text"])
        record_property(ALL, run.output)

    def eval_unreadable(run):
        return run.output["text"].encode()

    @pytest.mark.looplet(agent=broken, cases=CASES)
    def eval_broken(run):
        assert run

    @pytest.mark.looplet(agent=foreign, cases=[{"task": f"{PLANTED['openai']} is the key", "script": []}])
    def eval_foreign(run):
        assert run.output == "x"

    def test_ordinary():
        assert True
"""


def leaked(text: str) -> set[str]:
    text = text.replace("\\n", "\n")
    return {window for window in WINDOWS if window in text}


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "-v",
        "-vv --color=yes",
        "-rA --tb=long --showlocals",
        "-vv -rA --showlocals --tb=short",
        "--tb=native -rA",
        "--tb=line -q",
        "-n 2",
        "-n 2 -vv -rA --tb=long --showlocals",
    ],
)
def test_nothing_that_is_shown_or_written_holds_a_planted_secret(pytester: pytest.Pytester, arguments: str) -> None:
    write_suite(pytester, EVALS, shop=AGENT)
    written = ["--looplet-report=r.json", "--looplet-report=r.html", "--junitxml=j.xml"]
    result = pytester.runpytest_subprocess("-W", "default", *written, *arguments.split())
    assert "1 failed" in result.stdout.str() or "failed" in result.stdout.str()
    places = {"terminal": result.stdout.str() + result.stderr.str()}
    for path in [*map(Path, ["r.json", "r.html", "j.xml"]), *Path(".looplet").rglob("*")]:
        if path.is_file():
            places[str(path)] = path.read_bytes().decode("utf-8", "backslashreplace")
    assert {place: leaked(text) for place, text in places.items() if leaked(text)} == {}
    assert sum(place.startswith(".looplet/runs") for place in places) >= 2


def test_the_planted_secrets_would_be_seen(pytester: pytest.Pytester) -> None:
    """Without the plugin's redaction the same session shows them: the test above looks at something."""
    write_suite(
        pytester,
        EVALS,
        shop=AGENT,
        conftest="import pytest_looplet.reporting.known_secrets as h\nh.Secrets.__call__ = lambda s, t: t",
    )
    shown = pytester.runpytest_subprocess("-rA", "--showlocals", "--junitxml=j.xml").stdout.str()
    assert len(leaked(shown)) > len(WINDOWS) * 0.9
    assert leaked(Path("j.xml").read_text(encoding="utf-8"))


def test_a_traceback_with_a_secret_is_still_one(pytester: pytest.Pytester) -> None:
    """Texts are replaced in it: it is not flattened, so that pytest finds the message for its short summary."""
    write_suite(pytester, EVALS, shop=AGENT)
    shown = pytester.runpytest_subprocess("--color=yes", "-k", "own or equal").stdout.str()
    assert re.search(r"eval_with_a_key_of_its_own.*\[leaky\].* - ValueError: \[redac", shown)
    assert "\x1b[31mE       ValueError: [redacted]" in shown
    assert re.search(r"eval_equal.*\[leaky\].* - AssertionError", shown)


def test_properties_of_an_eval_lose_their_secrets_and_nothing_else(pytester: pytest.Pytester) -> None:
    evals = """
    from shop import PLANTED

    def eval_recording(record_property):
        record_property("number", 7)
        record_property("key", [PLANTED["openai"]])
        return True
    """
    write_suite(pytester, evals, shop=AGENT)
    pytester.runpytest_subprocess("--junitxml=j.xml", "-o", "junit_family=xunit1").assert_outcomes(passed=1)
    written = Path("j.xml").read_text(encoding="utf-8")
    assert '<property name="number" value="7"' in written
    assert """<property name="key" value="['[redacted]']\"""" in written


@pytest.mark.parametrize("secret", PLANTED.values(), ids=PLANTED)
def test_no_part_of_a_known_secret_stays(secret: str) -> None:
    hide = Secrets([{"answer": [f"it is {secret}."]}])
    part = secret.removeprefix("Bearer ").split("\n")[-2 if "\n" in secret else 0][3:18]
    assert hide(f"…{part}…") == "…[redacted]…"
    assert hide("nothing to see") == "nothing to see"


@given(st.text(), st.sampled_from(list(PLANTED.values())))
def test_hiding_twice_is_hiding_once(text: str, secret: str) -> None:
    hide = Secrets([secret])
    once = hide(f"{text} {secret}")
    assert hide(once) == once


def test_pieces_that_touch_become_one_mark() -> None:
    hide = Secrets([PLANTED["openai"]])
    inner = PLANTED["openai"][4:20]
    assert hide(f"<{inner}> and <{inner}>") == "<[redacted]> and <[redacted]>"

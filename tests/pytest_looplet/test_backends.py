"""Live backends over loopback: chosen, probed once, and refused in one line before any run."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.fake_anthropic import FakeAnthropic, key_of, message, refusal, use
from tests.support.fake_openai import as_json
from tests.support.plugin_files import EVALS, executions, summary_of, write_suite
from tests.support.scripted_endpoint import MODEL, ScriptedEndpoint

from looplet.backends.local import bundled_model
from pytest_looplet.backends import choose_model

if TYPE_CHECKING:
    from collections.abc import Iterator

LIVE_EVALS = EVALS.replace(', "script": script(order)', "").replace("(17, 18, 19)", "(17,)")
WORKERS = pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["plain", "n2"])


@pytest.fixture
def endpoint() -> Iterator[ScriptedEndpoint]:
    with ScriptedEndpoint() as server:
        server.turns = [[["lookup", {"order": 17}]], [["done", {"amount": 25}]]]
        yield server
        assert server.faults == []


@WORKERS
def test_openai_compatible_servers_are_probed_once_and_used(
    pytester: pytest.Pytester, endpoint: ScriptedEndpoint, workers: tuple[str, ...]
) -> None:
    write_suite(pytester, LIVE_EVALS)
    result = pytester.runpytest_subprocess(
        "--looplet-backend=openai", f"--looplet-base-url={endpoint.base_url}", *workers
    )
    result.assert_outcomes(passed=2)
    assert f"1 run (openai {MODEL}); tokens " in "\n".join(summary_of(result))
    assert [request.path for request in endpoint.seen].count("/v1/models") == 1
    assert len(endpoint.bodies) == 2


@WORKERS
def test_ollama_is_found_by_its_host_variable(
    pytester: pytest.Pytester,
    endpoint: ScriptedEndpoint,
    workers: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", endpoint.base_url.removesuffix("/v1").removeprefix("http://"))
    write_suite(pytester, LIVE_EVALS)
    result = pytester.runpytest_subprocess("--looplet-backend=ollama", "--looplet-record", *workers)
    result.assert_outcomes(passed=2)
    assert f"1 run (ollama {MODEL}); tokens " in "\n".join(summary_of(result))
    monkeypatch.delenv("OLLAMA_HOST")
    seen = len(endpoint.seen)
    pytester.runpytest_subprocess(*workers).assert_outcomes(passed=2)
    assert len(endpoint.seen) == seen, "the recording needs no server"


def _refused(pytester: pytest.Pytester, workers: tuple[str, ...], *arguments: str) -> str:
    write_suite(pytester, LIVE_EVALS)
    result = pytester.runpytest_subprocess(*arguments, *workers)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert executions(pytester) == []
    errors = [line for line in result.errlines if line.startswith("ERROR: ")]
    assert len(errors) == 1
    return errors[0]


@WORKERS
@pytest.mark.parametrize("backend", ["openai", "ollama"])
def test_a_dead_server_is_one_usage_error(pytester: pytest.Pytester, workers: tuple[str, ...], backend: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"--looplet-base-url=http://127.0.0.1:{port}/v1"
    said = _refused(pytester, workers, f"--looplet-backend={backend}", url)
    assert said.startswith(f"ERROR: --looplet-backend={backend}: ")
    assert f"127.0.0.1:{port}" in said


@WORKERS
def test_a_wrong_key_is_one_usage_error(
    pytester: pytest.Pytester,
    endpoint: ScriptedEndpoint,
    workers: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "wrong")
    endpoint.pages["/v1/models"] = as_json({"error": {"message": "Incorrect API key provided"}}, 401)
    said = _refused(pytester, workers, "--looplet-backend=openai", f"--looplet-base-url={endpoint.base_url}")
    assert "refused the key in OPENAI_API_KEY (401); check it" in said
    assert endpoint.seen[0].headers["authorization"] == "Bearer wrong"


@WORKERS
def test_an_unknown_model_is_one_usage_error_with_what_is_served(
    pytester: pytest.Pytester, endpoint: ScriptedEndpoint, workers: tuple[str, ...]
) -> None:
    url = f"--looplet-base-url={endpoint.base_url}"
    for backend in ("openai", "ollama"):
        said = _refused(pytester, workers, f"--looplet-backend={backend}", url, "--looplet-model=gpt-9")
        assert said.endswith(f"has no model 'gpt-9'; it serves {MODEL}")


def test_openai_without_a_key_and_without_an_address_is_refused(
    pytester: pytest.Pytester, endpoint: ScriptedEndpoint
) -> None:
    assert "OPENAI_API_KEY is not set; set it, or name a server" in _refused(pytester, (), "--looplet-backend=openai")


@pytest.fixture
def claude(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAnthropic]:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    with FakeAnthropic() as server:
        server.pages["/v1/models?limit=1000"] = as_json({"data": [{"id": "claude-a-2026"}, {"id": "claude-b-2026"}]})
        server.pages["/v1/models/claude-a"] = as_json({"id": "claude-a-2026"})
        server.script = [
            message(use("c1", "lookup", order=17), stop="tool_use"),
            message(use("c2", "done", amount=25), stop="tool_use"),
        ]
        yield server
        assert server.faults == []


@WORKERS
@pytest.mark.parametrize(("model", "probes"), [("claude-b-2026", 1), ("claude-a", 2)], ids=["listed", "alias"])
def test_anthropic_is_probed_once_and_used(
    pytester: pytest.Pytester, claude: FakeAnthropic, workers: tuple[str, ...], model: str, probes: int
) -> None:
    write_suite(pytester, LIVE_EVALS)
    options = (f"--looplet-base-url={claude.base_url}", f"--looplet-model={model}")
    result = pytester.runpytest_subprocess("--looplet-backend=anthropic", *options, *workers)
    result.assert_outcomes(passed=2)
    assert f"1 run (anthropic {model}); tokens " in "\n".join(summary_of(result))
    assert len([request for request in claude.seen if request.method == "GET"]) == probes
    assert {key_of(request) for request in claude.seen} == {"k"}


@WORKERS
def test_a_wrong_key_or_model_of_anthropic_is_one_usage_error(
    pytester: pytest.Pytester, claude: FakeAnthropic, workers: tuple[str, ...]
) -> None:
    url = f"--looplet-base-url={claude.base_url}"
    said = _refused(pytester, workers, "--looplet-backend=anthropic", url, "--looplet-model=claude-9")
    assert said.endswith("has no model 'claude-9'; it serves claude-a-2026, claude-b-2026")
    said = _refused(pytester, workers, "--looplet-backend=anthropic", url)
    assert "choose a model with --looplet-model" in said
    claude.pages["/v1/models?limit=1000"] = as_json(refusal("authentication_error", "invalid x-api-key"), 401)
    said = _refused(pytester, workers, "--looplet-backend=anthropic", url)
    assert "refused the key in ANTHROPIC_API_KEY (401); check it" in said


def test_anthropic_without_a_key_is_refused(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    said = _refused(pytester, (), "--looplet-backend=anthropic")
    assert "ANTHROPIC_API_KEY is not set; set it, or name a server that needs none with --looplet-base-url" in said


@pytest.mark.parametrize(
    ("options", "at_once"), [((), 1), (("--looplet-concurrency=3",), 3), (("-n", "2", "--looplet-concurrency=1"), 2)]
)
def test_the_local_server_takes_as_many_requests_at_once_as_there_are_runs(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], at_once: int
) -> None:
    asked: list[tuple[object, int]] = []

    def start(path: object = None, *, n_parallel: int = 1) -> Any:
        asked.append((path, n_parallel))
        raise RuntimeError("not today")

    monkeypatch.setattr("looplet.backends.local.start_local_server", start)
    write_suite(pytester, LIVE_EVALS)
    result = pytester.runpytest_inprocess("--looplet-backend=local", *options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert asked == [(None, at_once)]


@pytest.mark.parametrize(
    ("asked", "served", "found"),
    [
        (None, ["only"], "only"),
        ("b", ["a", "b"], "b"),
        ("b", None, "b"),
        ("llama3.2", ["llama3.2:latest"], "llama3.2"),
        (None, ["b", "a"], ValueError("choose a model with --looplet-model; URL serves a, b")),
        (None, None, ValueError("URL does not list its models; name one with --looplet-model")),
        ("c", ["a"], ValueError("URL has no model 'c'; it serves a")),
        ("c", [], ValueError("URL has no model 'c'; it serves none")),
    ],
)
def test_the_model_is_the_one_asked_for_or_the_only_one_served(
    asked: str | None, served: list[str] | None, found: Any
) -> None:
    if isinstance(found, str):
        assert choose_model(asked, served, "URL", also=":latest") == found
    else:
        with pytest.raises(ValueError, match=f"^{found}$"):
            choose_model(asked, served, "URL", also=":latest")


@pytest.mark.e2e
@pytest.mark.skipif(bundled_model() is None, reason="the bundled model is not installed")
@WORKERS
def test_local_starts_one_server_for_all_workers(pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
    pytest.importorskip("xllamacpp")
    evals = LIVE_EVALS.replace('assert run.output["amount"] == case.expected', "assert run.usage.output_tokens > 0")
    write_suite(pytester, evals.replace("1 / len(run.steps)", "True"))
    shop = (pytester.path / "shop.py").read_text()
    (pytester.path / "shop.py").write_text(shop.replace("tools=[lookup, done]", "tools=[lookup, done], max_steps=2"))
    result = pytester.runpytest_subprocess("--looplet-backend=local", *workers)
    result.assert_outcomes(passed=2)
    assert "1 run (local " in "\n".join(summary_of(result))

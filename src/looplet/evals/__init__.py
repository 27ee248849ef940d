"""Cases, scores and reports: how a run is graded, with or without pytest."""

from looplet.evals.case import EvalCase
from looplet.evals.score import EvalResult

__all__ = ["EvalCase", "EvalResult"]

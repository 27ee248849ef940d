"""`Judge`: a model that grades what code cannot."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from looplet._core.exchange import as_backend_error
from looplet._core.retry import delay
from looplet._core.to_text import encodable
from looplet._pretty import shorten, visible
from looplet.backends.adapter import adapt
from looplet.config import whole
from looplet.errors import BackendError, ContextOverflow, JudgeError, MalformedReply
from looplet.evals.material import PARTS, Part, check_show, fenced, material
from looplet.evals.score import EvalResult
from looplet.evals.verdict import BEST, SCORE, Form, NoVerdict, choice
from looplet.messages import Message, Prompt, Reply, Settings
from looplet.trace.redact import redaction
from looplet.types import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_CHARS_PER_TOKEN = 2  # of a known window: cautious, and leaves room for rubric and reply
_SHOWN_CHARS = 200


class Judge:
    """`llm` as a judge. It may be any backend a run takes, but not an async one.

    limit        the most characters of what is judged that are shown (less where the model's window is known and small)
    redact       applied to all that is sent: True for the built-in patterns, or a function from str to str
    retries      how often a request is tried again that a provider failed
    temperature  None: 0 for a question asked once, the backend's own for one that is repeated

    What it was asked so far: `model`, `usage`, `calls`; `failures` counts questions that got no verdict.
    """

    def __init__(
        self,
        llm: object,
        *,
        limit: int = 24_000,
        redact: Callable[[str], str] | bool | None = None,
        retries: int = 3,
        temperature: float | None = None,
        max_tokens: int | None = None,
        timeout_s: float = 120.0,
    ) -> None:
        self._llm = adapt(llm)
        if getattr(self._llm, "is_async", False):
            raise TypeError(f"{self._llm.name!r} is an async backend; a Judge needs one that is not")
        whole("Judge(limit=...)", limit, least=100)
        whole("Judge(retries=...)", retries, least=0)
        self._limit, self._retries = limit, retries
        self._redaction = redaction(redact)
        self._temperature, self._max_tokens, self._timeout_s = temperature, max_tokens, timeout_s
        self._spent: list[Usage] = []  # append() is atomic: a judge may serve several threads
        self.failures = 0

    @property
    def model(self) -> str:
        return self._llm.name

    @property
    def calls(self) -> int:
        return len(self._spent)

    @property
    def usage(self) -> Usage:
        """What its replies took, those included that came out of a cache or a recording."""
        return sum(self._spent, Usage())

    def score(self, rubric: str, judged: object, *, repeat: int = 1, show: Sequence[Part] = PARTS) -> EvalResult:
        """How far `judged` (a run, a text, any value) fulfils `rubric`, from 0 to 1, with the judge's reason.

        With `repeat`, the mean of so many answers; `metrics["judge_spread"]` is the distance between the extremes.
        `show` says which parts of a run the judge sees.
        """
        __tracebackhide__ = True
        whole("judge.score(repeat=...)", repeat, least=1)
        prompt = self._prompt(SCORE, "Rubric", rubric, judged, show, repeat)
        verdicts = [self._verdict(SCORE, prompt) for _ in range(repeat)]
        scores = [value / BEST for value, _ in verdicts]
        mean = sum(scores) / repeat
        typical = min(range(repeat), key=lambda number: abs(scores[number] - mean))
        if repeat == 1:
            return EvalResult(score=mean, reason=verdicts[0][1])
        return EvalResult(
            score=mean,
            metrics={"judge_spread": max(scores) - min(scores)},
            reason=verdicts[typical][1],
            details={
                "verdicts": [{"score": each, "reason": why} for each, (_, why) in zip(scores, verdicts, strict=True)]
            },
        )

    def choose(
        self, question: str, options: Sequence[str], judged: object, *, show: Sequence[Part] = PARTS
    ) -> EvalResult:
        """The one of `options` that answers `question` about `judged`, as the label, with the judge's reason."""
        __tracebackhide__ = True
        form = choice(options)
        label, reason = self._verdict(form, self._prompt(form, "Question", question, judged, show, 1))
        return EvalResult(label=label, reason=reason)

    def _prompt(
        self, form: Form, heading: str, criterion: str, judged: object, show: Sequence[Part], repeat: int
    ) -> Prompt:
        if not isinstance(criterion, str) or not criterion.strip():
            raise ValueError(f"{heading.lower()}={criterion!r}: say in a str what to judge by")
        check_show(show)
        capabilities = self._llm.capabilities
        window = capabilities.context_window
        limit = min(self._limit, window * _CHARS_PER_TOKEN) if window else self._limit
        temperature = self._temperature
        if temperature is None and repeat == 1:
            temperature = 0.0
        return Prompt(
            system=form.system(heading, self._clean(encodable(criterion.strip()))),
            messages=(Message("user", fenced(material(judged, show, limit, self._clean))),),
            settings=Settings(
                temperature=temperature,
                max_tokens=self._max_tokens,
                timeout_s=self._timeout_s,
                reply_schema=form.schema if capabilities.reply_schema else None,
            ),
        )

    def _clean(self, text: str) -> str:
        return self._redaction.text(text) if self._redaction else text

    def _verdict(self, form: Form, prompt: Prompt) -> tuple[Any, str]:
        """Ask, and once more when the answer is not in the form that was asked for."""
        __tracebackhide__ = True
        reply = self._ask(prompt)
        try:
            return form.read(reply)
        except NoVerdict as problem:
            self._forget(prompt)
            prompt = _repair(prompt, reply, problem, form)
        reply = self._ask(prompt)
        try:
            return form.read(reply)
        except NoVerdict as problem:
            self._forget(prompt)
            self.failures += 1
            wrote = shorten(visible(reply.text), _SHOWN_CHARS)
            message = f"judge {self.model!r} gave no verdict, also when asked again: {problem}. It wrote: {wrote!r}"
        raise JudgeError(message)

    def _ask(self, prompt: Prompt) -> Reply:
        """One reply. What a provider fails is tried again as a run does it."""
        __tracebackhide__ = True
        attempt = 1
        while True:
            try:
                reply = self._llm.chat(prompt)
                break
            except Exception as raised:
                error = as_backend_error(raised)
                if error is None:
                    raise
                if isinstance(error, MalformedReply):
                    reply = Reply(text=error.text)
                    break
                wait = delay(error, attempt, prompt.messages[0].content) if error.retriable else None
                if wait is None or attempt > self._retries:
                    self.failures += 1
                    raise JudgeError(self._failed(error)) from raised
            if not getattr(self._llm, "no_sleep", False):
                time.sleep(wait)
            attempt += 1
        if not isinstance(reply, Reply):
            raise TypeError(f"chat() returned {type(reply).__name__}; a backend answers with a looplet Reply")
        self._spent.append(reply.usage or Usage())
        return reply

    def _failed(self, error: BackendError) -> str:
        hint = (
            "; show the judge less: show=('output',), or a smaller limit" if isinstance(error, ContextOverflow) else ""
        )
        return f"judge {self.model!r} failed: {type(error).__name__}: {error}{hint}"

    def _forget(self, prompt: Prompt) -> None:
        """Tell a cache that this reply is not worth keeping: the next session shall ask again."""
        forget = getattr(self._llm, "forget", None)
        if callable(forget):
            forget(prompt)


def _repair(prompt: Prompt, reply: Reply, problem: NoVerdict, form: Form) -> Prompt:
    said = encodable(reply.text)
    question = f"That is no verdict: {problem}. {form.request}"
    return prompt.replace(
        messages=(
            *prompt.messages,
            Message("assistant", said if said.strip() else "(empty reply)"),
            Message("user", question),
        )
    )

"""What every provider's backend does alike: ask, learn what is refused, read a stream or an answer, name the error.

A subclass says how a request is spelt and sent, and how its answer is read. Sync and async differ in one place, `_run`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from looplet.backends.dialect import Dialect
from looplet.backends.flow import run, run_async
from looplet.backends.provider_errors import as_error, parse_json, read_complaint, with_served
from looplet.backends.streaming import StreamedAnswer, show_whole
from looplet.errors import BackendError, UnknownModel

if TYPE_CHECKING:
    from looplet.backends.flow import Exchange
    from looplet.backends.http import HttpAnswer
    from looplet.backends.provider_errors import Asked, Complaint
    from looplet.backends.streaming import Assembly, OnChunk
    from looplet.messages import Prompt, Reply

TIMEOUT_S = 600.0  # a local server loads the model during the first request
LIST_S = 3.0


class ProviderBackend:
    """Base of the backends that talk to a server. `chat` and `stream` return awaitables when `is_async`."""

    def __init__(self, model: object, base_url: str, *, is_async: bool, timeout_s: float | None) -> None:
        if not isinstance(model, str) or not model:
            raise TypeError(f"{type(self).__name__}(model=...) is {model!r}; give the name of a model")
        self.name = self.model = model
        self.base_url = base_url
        self.is_async = is_async
        self._timeout_s = timeout_s
        self._dialect = Dialect()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(model={self.model!r}, base_url={self.base_url!r})"

    def chat(self, prompt: Prompt) -> Reply:
        """Send one request and read its answer; a parameter that is refused is left out at once and from then on."""
        return self._run(self._exchange(prompt))

    def stream(self, prompt: Prompt, on_chunk: OnChunk) -> Reply:
        """`chat`, with `on_chunk(text, reasoning)` told each piece of text as it comes."""
        return self._run(self._exchange(prompt, on_chunk))

    def _run(self, exchange: Exchange[Reply]) -> Reply:
        return run_async(exchange) if self.is_async else run(exchange)  # type: ignore[return-value]  # see class

    def _exchange(self, prompt: Prompt, on_chunk: OnChunk | None = None) -> Exchange[Reply]:
        self._check(prompt)
        while True:
            dialect = self._dialect
            parameters = dialect.spell(self._parameters(prompt, streamed=on_chunk is not None))
            streamed = None
            if on_chunk is not None and "stream" in parameters:
                streamed = StreamedAnswer(self._assembly(on_chunk))
            answer = yield self._send(prompt, parameters, streamed)
            if streamed:
                answer = streamed.answer(answer, self.base_url)
            complaint = read_complaint(answer)
            if complaint is None:
                break
            learnt = self._learn(dialect, complaint, parameters)
            if learnt is None:
                raise (yield from self._error(complaint, answer))
            self._dialect = learnt
        reply = self._read(prompt, answer, streamed=streamed is not None)
        if on_chunk is not None and not (streamed and streamed.begun):
            show_whole(reply, on_chunk)
        return reply

    def _error(self, complaint: Complaint, answer: HttpAnswer) -> Exchange[BackendError]:
        error = as_error(complaint, answer, self._asked())
        if not isinstance(error, UnknownModel):
            return error
        try:
            return with_served(error, model_ids((yield self._get("/v1/models", LIST_S))))
        except BackendError:
            return error

    def _check(self, prompt: Prompt) -> None:
        """Raise where it is known beforehand that the server cannot answer."""

    def _learn(self, dialect: Dialect, complaint: Complaint, sent: dict[str, Any]) -> Dialect | None:
        """What a refusal teaches; None when it is about nothing that could be left out."""
        return dialect.learn(complaint, sent)

    def _parameters(self, prompt: Prompt, *, streamed: bool) -> dict[str, Any]:
        """The parameters of a request, before the dialect is applied."""
        raise NotImplementedError

    def _send(self, prompt: Prompt, parameters: dict[str, Any], streamed: StreamedAnswer | None) -> HttpAnswer:
        raise NotImplementedError

    def _get(self, path: str, timeout_s: float) -> HttpAnswer:
        raise NotImplementedError

    def _assembly(self, on_chunk: OnChunk) -> Assembly:
        raise NotImplementedError

    def _read(self, prompt: Prompt, answer: HttpAnswer, *, streamed: bool) -> Reply:
        """The reply in a successful answer."""
        raise NotImplementedError

    def _asked(self) -> Asked:
        """Who is asked, for messages."""
        raise NotImplementedError


def model_ids(answer: HttpAnswer) -> list[str]:
    """The models in an answer to GET /v1/models; every provider has the same form."""
    listed = parse_json(answer.body)
    entries = listed.get("data") if isinstance(listed, dict) else None
    return [str(entry["id"]) for entry in entries or () if isinstance(entry, dict) and "id" in entry]

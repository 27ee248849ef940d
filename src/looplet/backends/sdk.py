"""Requests through the official SDKs. `openai` and `anthropic` are built alike, so one class serves both.

Their retries are off: the loop's own policy sees every attempt.
"""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from looplet.backends.http import HttpAnswer, unreachable
from looplet.errors import BackendTimeout, ConnectionFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_UNSET: Any = object()
_STREAMING = ("stream", "stream_options")


class SdkClient:
    """A client of the package `package`, the user's or one of ours. `shown` is its URL in messages."""

    def __init__(self, client: Any, package: str, shown: str) -> None:  # Any: no SDK is a dependency
        self.client = client.with_options(max_retries=0) if hasattr(client, "with_options") else client
        self._shown = shown
        self._package = package
        self._failures = _failures(package)

    def create(
        self,
        resource: Any,
        request: dict[str, Any],
        timeout_s: float | None,
        on_data: Callable[[bytes], bool] | None = None,
    ) -> HttpAnswer:
        """Call `resource.create(**request)`; any status is an answer."""
        if not hasattr(resource, "with_raw_response"):
            return _by_hand(resource, request, timeout_s)
        request = self._timed(request, timeout_s)
        if on_data is None:
            return self._send(lambda: resource.with_raw_response.create(**request).http_response)
        return self._stream(lambda: resource.with_streaming_response.create(**request), on_data, timeout_s)

    def get(self, url: str, timeout_s: float) -> HttpAnswer:
        if not hasattr(self.client, "get"):
            return HttpAnswer(404, {}, b"")
        return self._send(lambda: self.client.get(url, cast_to=str, options={"timeout": timeout_s}))

    def _send(self, request: Callable[[], Any]) -> HttpAnswer:
        with self._translated():
            try:
                response = request()
            except self._failures[0] as error:
                response = error.response
        return _read(response)

    def _stream(
        self, request: Callable[[], Any], on_data: Callable[[bytes], bool], timeout_s: float | None
    ) -> HttpAnswer:
        watch = _Watch(on_data, timeout_s, self._shown)
        try:
            with self._translated(watch), request() as response:
                watch.begin(response)
                for part in response.iter_bytes():
                    watch.see(part)
        except self._failures[0] as error:
            return _read(error.response)
        return watch.answer()

    def _timed(self, request: dict[str, Any], timeout_s: float | None) -> dict[str, Any]:
        """An explicit timeout, else the client's own, named: without one `anthropic` refuses long replies."""
        timeout = timeout_s if timeout_s is not None else getattr(self.client, "timeout", _UNSET)
        return request if timeout is _UNSET else request | {"timeout": timeout}

    @contextmanager
    def _translated(self, watch: _Watch | None = None) -> Iterator[None]:
        """Failures to connect as looplet's own; what breaks after the reply was complete is none."""
        _, connection_error, timeout_error = self._failures
        try:
            yield
        except Exception as error:
            late = isinstance(error, timeout_error) or _is_a(error, "TimeoutException")
            if not (late or isinstance(error, connection_error) or _is_a(error, "TransportError")):
                raise
            if watch is not None and watch.complete:
                return
            if late:
                raise BackendTimeout(f"{self._shown} did not answer in time") from error
            raise ConnectionFailed(unreachable(self._shown, _root_cause(error))) from error


class AsyncSdkClient(SdkClient):
    """The same with a client whose methods are awaited."""

    async def create(  # type: ignore[override]  # the async form of the same method
        self,
        resource: Any,
        request: dict[str, Any],
        timeout_s: float | None,
        on_data: Callable[[bytes], bool] | None = None,
    ) -> HttpAnswer:
        request = self._timed(request, timeout_s)
        if on_data is None:
            raw = await self._awaited(lambda: resource.with_raw_response.create(**request))
            return _read(getattr(raw, "http_response", raw))
        return await self._stream(lambda: resource.with_streaming_response.create(**request), on_data, timeout_s)

    async def get(self, url: str, timeout_s: float) -> HttpAnswer:  # type: ignore[override]  # as above
        if not hasattr(self.client, "get"):
            return HttpAnswer(404, {}, b"")
        return _read(await self._awaited(lambda: self.client.get(url, cast_to=str, options={"timeout": timeout_s})))

    async def _awaited(self, request: Callable[[], Any]) -> Any:
        with self._translated():
            try:
                return await request()
            except self._failures[0] as error:
                return error.response

    async def _stream(  # type: ignore[override]  # as above
        self, request: Callable[[], Any], on_data: Callable[[bytes], bool], timeout_s: float | None
    ) -> HttpAnswer:
        watch = _Watch(on_data, timeout_s, self._shown)
        try:
            with self._translated(watch):
                async with request() as response:
                    watch.begin(response)
                    async for part in response.iter_bytes():
                        watch.see(part)
        except self._failures[0] as error:
            return _read(error.response)
        return watch.answer()


class _Watch:
    """Follows a streamed response. The SDKs' own timeout starts anew with every byte, this deadline does not."""

    def __init__(self, on_data: Callable[[bytes], bool], timeout_s: float | None, shown: str) -> None:
        self._on_data = on_data
        self._deadline = None if timeout_s is None else time.monotonic() + timeout_s
        self._shown = shown
        self._status = 200
        self._headers: dict[str, str] = {}
        self._parts: list[bytes] = []
        self.complete = False

    def begin(self, response: Any) -> None:
        self._status, self._headers = response.status_code, _lower(response.headers)

    def see(self, part: bytes) -> None:
        self._parts.append(part)
        self.complete = self._on_data(part)
        if self._deadline is not None and time.monotonic() > self._deadline and not self.complete:
            raise BackendTimeout(f"{self._shown} did not finish its reply in time")

    def answer(self) -> HttpAnswer:
        return HttpAnswer(self._status, self._headers, b"".join(self._parts))


def sdk_client(client: Any, package: str, shown: str) -> SdkClient:
    return (AsyncSdkClient if is_async_client(client) else SdkClient)(client, package, shown)


def is_async_client(client: object) -> bool:
    """By class name: the SDKs wrap their coroutine methods in plain functions."""
    return _is_a(client, "AsyncAPIClient")


def _is_a(value: object, name: str) -> bool:
    """By the name of its class: the SDKs' HTTP library has changed its package before, and is not imported here."""
    return any(base.__name__ == name for base in type(value).__mro__)


def _by_hand(resource: Any, request: dict[str, Any], timeout_s: float | None) -> HttpAnswer:
    """Ask a client somebody wrote: it need know nothing of raw responses, and nothing of streams."""
    if timeout_s is not None:
        request = request | {"timeout": timeout_s}
    more = {name: value for name, value in request["extra_body"].items() if name not in _STREAMING}
    response = resource.create(**request | {"extra_body": more})
    return HttpAnswer(200, {}, json.dumps(response, default=_as_dict).encode())


def _as_dict(value: Any) -> Any:
    return value.model_dump() if hasattr(value, "model_dump") else vars(value)


def _read(response: Any) -> HttpAnswer:
    if isinstance(response, str):
        return HttpAnswer(200, {}, response.encode())
    return HttpAnswer(response.status_code, _lower(response.headers), response.content)


def _lower(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _failures(package: str) -> tuple[type[Any], type[Any], type[Any]]:
    """The SDK's exceptions: for a status, for a connection, for a timeout."""
    from importlib import import_module  # optional packages, of which one is loaded

    try:
        sdk = import_module(package)
    except ImportError:  # a hand-made client; what it raises is its own
        return (_Never, _Never, _Never)
    return (sdk.APIStatusError, sdk.APIConnectionError, sdk.APITimeoutError)


def _root_cause(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


class _Never(Exception):
    """Stands for an exception that cannot come."""

"""A small HTTP/1.1 client on the standard library: keep-alive, one deadline for the whole request, thread-safe.

`http.client` and `ssl` are loaded with the first connection, not with this module.
"""

from __future__ import annotations

import time
import weakref
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from looplet._record import Record
from looplet.errors import BackendTimeout, ConnectionFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from http.client import HTTPConnection, HTTPResponse
    from socket import socket
    from ssl import SSLContext

_CONNECT_S = 10.0  # a server that is there accepts at once; the long wait is for the reply
_CHUNK = 1 << 16
_FAREWELL_S = 0.5  # for the formal end of a stream whose content is complete


class HttpAnswer(Record):
    """A complete response; header names are lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class HttpClient:
    """Requests to one server. Idle connections wait in a list whose `pop` and `append` are atomic."""

    def __init__(self, base_url: str, headers: Mapping[str, str] = {}, shown: str = "") -> None:
        self._base = _checked(base_url)
        self._shown = shown or base_url  # in messages
        self._headers = {"Accept": "application/json", "Accept-Encoding": "identity", **headers}
        self._idle: list[HTTPConnection] = []
        self._tls: SSLContext | None = None
        self._finalizer = weakref.finalize(self, _close_all, self._idle)

    def close(self) -> None:
        """Close idle connections; the client stays usable."""
        _close_all(self._idle)

    def request(
        self,
        method: str,
        path: str,
        body: Sequence[bytes | bytearray] = (),
        *,
        timeout_s: float,
        on_data: Callable[[bytes], bool] | None = None,
    ) -> HttpAnswer:
        """Send the pieces of `body` to `path` under the base URL.

        Raise ConnectionFailed or BackendTimeout; any status is an answer. `on_data` is shown the body of a successful
        answer as it comes; it returns True when what may follow does not matter.
        """
        target = self._base.path.rstrip("/") + path
        exchange = _Exchange(method, target, body, self._headers, time.monotonic() + timeout_s, on_data)
        try:
            return self._with_connection(exchange)
        except TimeoutError as error:
            raise BackendTimeout(f"{self._shown} did not answer within {timeout_s:g} s") from error
        except OSError as error:
            raise ConnectionFailed(unreachable(self._shown, error)) from error

    def _with_connection(self, exchange: _Exchange) -> HttpAnswer:
        try:
            connection = self._idle.pop()
        except IndexError:
            return self._exchange(self._connect(exchange), exchange)
        try:
            return self._exchange(connection, exchange)
        except ConnectionError:
            if exchange.answered:
                raise
            # the server closed an idle connection before it saw the request; with a fresh one that would be a failure
            return self._exchange(self._connect(exchange), exchange)

    def _exchange(self, connection: HTTPConnection, exchange: _Exchange) -> HttpAnswer:
        from http.client import HTTPException, IncompleteRead, RemoteDisconnected

        try:
            answer, reusable = exchange.run(connection)
        except IncompleteRead as error:
            connection.close()
            raise ConnectionError("the response broke off before its end") from error
        except RemoteDisconnected:  # not one byte: an HTTPException and a ConnectionError in one
            connection.close()
            raise
        except HTTPException as error:
            connection.close()
            exchange.answered = True
            raise ConnectionError(f"unreadable response: {error!r}") from error
        except BaseException:  # an interrupt too: half a response must not stay in a connection that is used again
            connection.close()
            raise
        if reusable:
            self._idle.append(connection)
        else:
            connection.close()
        return answer

    def _connect(self, exchange: _Exchange) -> HTTPConnection:
        from http.client import HTTPConnection, HTTPSConnection

        host, timeout = self._base.hostname or "", min(_CONNECT_S, exchange.seconds_left())
        if self._base.scheme == "https":
            connection: HTTPConnection = HTTPSConnection(
                host, self._base.port, timeout=timeout, context=self._context()
            )
        else:
            connection = HTTPConnection(host, self._base.port, timeout=timeout)
        try:
            connection.connect()
        except TimeoutError as error:
            raise BackendTimeout(f"no connection to {self._shown} within {timeout:.2g} s") from error
        return connection

    def _context(self) -> SSLContext:
        if self._tls is None:  # reading the certificates takes longer than most requests
            from ssl import create_default_context

            self._tls = create_default_context()
        return self._tls


class _Exchange:
    """One request and its response under one deadline: a socket's own timeout starts anew with every byte."""

    def __init__(
        self,
        method: str,
        target: str,
        body: Sequence[bytes | bytearray],
        headers: dict[str, str],
        deadline: float,
        on_data: Callable[[bytes], bool] | None = None,
    ) -> None:
        self._method = method
        self._target = target
        self._body = body
        self._headers = headers
        if body:
            self._headers = headers | {"Content-Type": "application/json", "Content-Length": str(sum(map(len, body)))}
        self._deadline = deadline
        self._on_data = on_data
        self.answered = False  # once the server has answered, sending again would be asking twice

    def seconds_left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def run(self, connection: HTTPConnection) -> tuple[HttpAnswer, bool]:
        """Return the answer, and whether the connection can carry another request."""
        sock = connection.sock  # `connection` lets go of it when the server will close; reading goes on
        sock.settimeout(self.seconds_left())
        connection.request(self._method, self._target, self._body or None, self._headers)
        response = connection.getresponse()
        self.answered = True
        body, whole = self._read(response, sock)
        missing = response.length
        response.close()  # `http.client` allows no further request before that
        if missing and whole:
            raise ConnectionError(f"the response broke off {missing} bytes before its end")
        headers = {name.lower(): value for name, value in response.getheaders()}
        reusable = whole and connection.sock is not None and not response.will_close
        return HttpAnswer(response.status, headers, body), reusable

    def _read(self, response: HTTPResponse, sock: socket) -> tuple[bytes, bool]:
        """Return the body, and whether it was read to its end and not only to the end of what matters."""
        from http.client import HTTPException

        parts, complete = [], False
        watch = self._on_data if response.status < 400 else None
        try:
            while not response.isclosed():  # from Python 3.13 on, the last byte may close the socket, too
                sock.settimeout(_FAREWELL_S if complete else self.seconds_left())
                part = response.read1(_CHUNK)
                if not part:
                    break
                parts.append(part)
                complete = watch is not None and watch(part)
        except (OSError, HTTPException):
            if not complete:
                raise
            return b"".join(parts), False
        return b"".join(parts), True


def unreachable(url: str, error: BaseException) -> str:
    """The sentence for a connection that failed, the same from every transport."""
    if "refused" in str(error).lower():  # some libraries keep only the words of the ConnectionRefusedError
        return f"connection refused by {url}: is the server running?"
    return f"no connection to {url}: {error}"


def _checked(base_url: str) -> SplitResult:
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"base_url is {base_url!r}; give a URL such as 'http://127.0.0.1:8080/v1'")
    return parts


def _close_all(connections: list[HTTPConnection]) -> None:
    while connections:
        connections.pop().close()

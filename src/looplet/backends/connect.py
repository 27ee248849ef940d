"""Keys and transports for backends that are given no client: checked once, when the backend is made."""

from __future__ import annotations

from typing import Literal

from looplet.errors import AuthError

TransportName = Literal["sdk", "http"]


def choose_transport(transport: str | None, package: str) -> TransportName:
    """The transport that was asked for, else the SDK where it is installed."""
    if transport not in ("sdk", "http", None):
        raise ValueError(f"transport is {transport!r}; use 'sdk', 'http', or None for the SDK where it is installed")
    if transport is None:
        from importlib.util import find_spec  # looks for a package without loading it

        return "sdk" if find_spec(package) else "http"
    return "sdk" if transport == "sdk" else "http"


def checked_key(key: str, variable: str) -> str:
    """A key an HTTP header can carry. The message never shows it."""
    key = key.strip()
    if not (key.isascii() and key.isprintable()):
        raise AuthError(f"the API key holds characters no HTTP header can carry; check {variable} for stray text")
    return key

"""A secret of every kind the built-in redaction knows. Assembled, so that no scanner takes this file for a leak."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEYS = {
    "openai": "sk-" + "proj-abcDEF1234567890abcDEF12",
    "anthropic": "sk-" + "ant-api03-abcDEF1234567890_abc-DEF",
    "google": "AIza" + "SyA1234567890abcdefghijklmnopqrstuv",
    "github": "ghp_" + "abcdefghijklmnopqrstuvwxyz0123456789",
    "github-fine": "github_pat_" + "11ABCDEFG0abcdefghijkl_mnopqrstuvwxyz",
    "gitlab": "glpat-" + "abcDEF1234567890abcd",
    "aws": "AKIA" + "IOSFODNN7EXAMPLE",
    "aws-session": "ASIA" + "IOSFODNN7EXAMPLE",
    "stripe": "sk_live_" + "abcdefghijklmnop1234",
    "groq": "gsk_" + "abcdefghijklmnopqrstuvwxyz0123",
    "xai": "xai-" + "abcdefghijklmnopqrstuvwxyz0123",
    "hugging-face": "hf_" + "abcdefghijklmnopqrstuvwxyz0123",
    "slack": "xoxb-" + "123456789012-abcdefghij",
    "jwt": "eyJ" + "hbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-DEF_123",
    "bearer": "Bearer abcdefgh12345678",
    "pem": "-----BEGIN RSA PRIVATE KEY-----\nMIIEabc+/=\nZZZZ\n-----END RSA PRIVATE KEY-----",
}


def escaped(secret: str) -> str:
    """The inside of a JSON string that says `secret` without showing it."""
    return "".join(f"\\u{ord(char):04x}" for char in secret[:4]) + json.dumps(secret[4:])[1:-1]


def telling_parts(secret: str) -> list[str]:
    """What must not be found anywhere: the secret, or a line of it."""
    lines = [line for line in secret.split("\n") if len(line) > 3 and "-----" not in line]
    return [secret, *lines] if "\n" in secret else [secret]


def hits(text: str, secret: str) -> list[str]:
    """Where `secret` shows in `text`: as it is, JSON-escaped, or in JSON in the JSON."""
    seen = [form for form in unescaped(text, 4) if any(part in form for part in telling_parts(secret))]
    return [form[:300] for form in seen]


def unescaped(text: str, depth: int) -> Iterator[str]:
    """`text`, and every string in it where it is JSON, and so on."""
    yield text
    if depth and text[:1] in '{["':
        try:
            value = json.loads(text)
        except ValueError:
            return
        for inner in strings(value):
            yield from unescaped(inner, depth - 1)


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)


def hits_in(directory: Path, secret: str) -> list[str]:
    """Every place below `directory` that shows `secret`: in the bytes of a file, or in a line of JSON of it."""
    found: list[str] = []
    for file in sorted(path for path in directory.rglob("*") if path.is_file()):
        text = file.read_bytes().decode("utf-8", "surrogateescape")
        for form in [text, *text.splitlines()]:
            found += [f"{file.name}: {hit}" for hit in hits(form, secret)]
    return found

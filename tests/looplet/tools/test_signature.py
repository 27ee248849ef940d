from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

import pytest

from looplet.tools.signature import REQUIRED, read_signature

if TYPE_CHECKING:
    from collections.abc import Callable


class Owner:
    def method(self, a: int, b: int = 2, /, c: int = 3, *rest: int, d: int, e: int = 5, **more: int) -> None: ...

    @classmethod
    def of_class(cls, a: int) -> None: ...

    @staticmethod
    def static(a: int, *, b: int = 2) -> None: ...

    def __call__(self, a: int = 1) -> None: ...


def plain(a: int, b: int = 2, *, c: int = 3, d: int) -> None: ...


@functools.wraps(plain)
def wrapper(*args: Any, **kwargs: Any) -> None: ...


@pytest.mark.parametrize(
    "function",
    [
        plain,
        wrapper,
        Owner.method,
        Owner().method,
        Owner.of_class,
        Owner.static,
        Owner(),
        functools.partial(plain, 1),
        lambda: 0,
    ],
    ids=["function", "wrapper", "unbound", "bound", "classmethod", "staticmethod", "object", "partial", "lambda"],
)
def test_the_code_object_says_what_inspect_says(function: Callable[..., Any]) -> None:
    read = read_signature(function)
    kinds = inspect.Parameter
    known = inspect.signature(function).parameters.values()
    named = [one for one in known if one.kind not in (kinds.VAR_POSITIONAL, kinds.VAR_KEYWORD)]
    assert read is not None
    assert read.names == tuple(one.name for one in named)
    assert [one.default for one in read.parameters] == [
        REQUIRED if one.default is kinds.empty else one.default for one in named
    ]
    assert read.open is any(one.kind is kinds.VAR_KEYWORD for one in known)
    assert read.positional_only == tuple(one.name for one in named if one.kind is kinds.POSITIONAL_ONLY)


def test_a_built_in_without_signature_is_unknown() -> None:
    assert read_signature(int) is None

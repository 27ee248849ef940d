"""Which of the arguments on offer a function takes: agents, evals and collectors name what they want."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def wanted_arguments(function: Callable[..., Any], offered: Sequence[str], *, who: str, rule: str) -> list[str]:
    """The names in `offered` that `function` takes by keyword. It may require no others.

    The error begins with `who` ("agent refund"); `rule` is the kind with its article ("an agent").
    """
    wanted = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if parameter.name in offered and parameter.kind is not parameter.POSITIONAL_ONLY:
            wanted.append(parameter.name)
        elif parameter.default is parameter.empty:
            raise TypeError(
                f"{who} requires {parameter.name!r}; {rule} is given what it names of {', '.join(offered)}, by keyword"
            )
    return wanted

"""What `--looplet-backend` names: `NAME` or `NAME:MODEL`, one or several side by side."""

from __future__ import annotations

from typing import NamedTuple

import pytest

BUILT_IN_BACKENDS = ("replay", "mock", "openai", "anthropic", "ollama", "local")
_WITHOUT_MODEL = ("replay", "mock")


class Choice(NamedTuple):
    """One model to run evals with. `label` stands in item ids, in the names of runs and in reports."""

    label: str
    name: str
    model: str | None


def read_choices(value: str, where: str, default_model: str | None, *, any_name: bool) -> tuple[Choice, ...]:
    """Read `NAME[:MODEL],...`. A model's own colons stay: `ollama:qwen3:4b`. `any_name`: a hook may know more names."""
    parts = [part.strip() for part in value.split(",") if part.strip()]
    pairs = [(name.strip(), model.strip()) for name, _, model in (part.partition(":") for part in parts)]
    for part, (name, model) in zip(parts, pairs, strict=True):
        if name not in BUILT_IN_BACKENDS and not any_name:
            raise pytest.UsageError(unknown_backend(where, name))
        if name in _WITHOUT_MODEL and model:
            raise pytest.UsageError(f"{where}={value!r}: {name} asks no model; write {name!r} and not {part!r}")
        if ":" in part and not (name and model):
            raise pytest.UsageError(f"{where}={value!r}: {part!r} is not NAME:MODEL, such as ollama:qwen3:4b")
    names = [name for name, _ in pairs]
    found = tuple(
        _choice(name, model or (None if name in _WITHOUT_MODEL else default_model), several=names.count(name) > 1)
        for name, model in pairs
    )
    if not found or len({choice.label for choice in found}) != len(found):
        raise pytest.UsageError(f"{where}={value!r}: give one or more different backends, separated by commas")
    return found


def _choice(name: str, model: str | None, *, several: bool) -> Choice:
    if not several or model is None:
        return Choice(name, name, model)
    from looplet.evals.case import slug  # loads looplet: only where models are compared

    return Choice(f"{name}-{slug(model)}", name, model)


def unknown_backend(where: str, name: str) -> str:
    return (
        f"{where}: unknown backend {name!r}; use one of {', '.join(BUILT_IN_BACKENDS)}, "
        "or implement the hook pytest_looplet_make_backend"
    )

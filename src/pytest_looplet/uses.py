"""Which of our fixtures an item reaches, by its own arguments or through other fixtures.

pytest works this out when it collects and has no public way to ask, so what it wrote down is read here. A hidden
fixture below ours would tell, too; but for each level of fixtures pytest does more than we do for an item in all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

_OURS = "pytest_looplet.fixtures"


def uses(item: pytest.Item, name: str) -> bool:
    """Say whether our fixture `name` is reached. One of the user's stands in its place, and may ask for it in turn."""
    if name not in getattr(item, "fixturenames", ()):  # not, or no longer: a parameter stands in its place
        return False
    for definition in reversed(definitions(item, name)):
        if is_ours(definition):
            return True
        if name not in definition.argnames:
            return False
    return False


def may_use(item: pytest.Item, name: str) -> bool:
    """Say whether it is reached, or may be by getfixturevalue, which nobody sees before it happens."""
    if uses(item, name):
        return True
    if name not in getattr(item, "fixturenames", ()):
        return False
    found = definitions(item, name)
    return not found or "request" in found[-1].argnames


def needs_run(item: pytest.Item) -> bool:
    return uses(item, "run") or uses(item, "workdir")


def is_ours(definition: pytest.FixtureDef[Any]) -> bool:
    return definition.func.__module__ == _OURS


def definitions(item: pytest.Item, name: str) -> Sequence[pytest.FixtureDef[Any]]:
    """The fixtures of this name that the item sees; what it gets is the last. None when it does not ask for one."""
    info: Any = getattr(item, "_fixtureinfo", None)
    found: Sequence[pytest.FixtureDef[Any]] = info.name2fixturedefs.get(name, ()) if info else ()
    return found

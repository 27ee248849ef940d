"""`session.json` beside stored runs: which backends and trials the session was asked for that made them.

`--looplet-traces` collects the same items, whatever the options of the session that scores.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_looplet.options import Options

SCHEMA = 1
NAME = "session.json"


def write(folder: Path, options: Options) -> None:
    asked = {"schema": SCHEMA, "backends": list(options.backends)}
    (folder / NAME).write_text(json.dumps(asked) + "\n", encoding="utf-8")


def adopt(options: Options, folder: Path) -> Options:
    """The options of this session with the backends of the one whose runs it scores. Without a file they stay."""
    path = folder / NAME
    try:
        asked = json.loads(path.read_bytes())
        if asked["schema"] != SCHEMA:
            raise pytest.UsageError(f"{path} has schema {asked['schema']!r}; this looplet reads {SCHEMA}")
        return options._replace(backends=tuple(map(str, asked["backends"])))
    except FileNotFoundError:
        return options._replace(backends=("replay",))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise pytest.UsageError(
            f"{path} cannot be read ({type(error).__name__}: {error}); run the evals again"
        ) from None

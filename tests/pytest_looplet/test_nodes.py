"""Commands to workers: noted before they are sent, and not missed by workers that are dead."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_looplet.nodes import watch_commands


class Node:
    def __init__(self, *, dead: bool) -> None:
        self.sent: list[Any] = []
        self._dead = dead

    def sendcommand(self, name: str, **arguments: object) -> None:
        if self._dead:
            raise OSError("cannot send (already closed?)")
        self.sent.append((name, arguments))


def test_every_command_is_noted_and_then_sent() -> None:
    node = Node(dead=False)
    noted: list[int] = []
    watch_commands(node, lambda: noted.append(len(node.sent)), lambda: True)
    node.sendcommand("runtests", indices=[1, 2])
    node.sendcommand("shutdown")
    assert node.sent == [("runtests", {"indices": [1, 2]}), ("shutdown", {})]
    assert noted == [0, 1]


def test_a_command_to_a_dead_worker_is_dropped_in_sessions_with_evals_only() -> None:
    has_evals = True
    node = Node(dead=True)
    watch_commands(node, lambda: None, lambda: has_evals)
    node.sendcommand("runtests", indices=[1])
    has_evals = False
    with pytest.raises(OSError, match="cannot send"):
        node.sendcommand("runtests", indices=[1])

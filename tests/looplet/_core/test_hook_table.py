"""Hooks are checked once, at loop start, and mistakes name the fix."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest

from looplet import MockLLMBackend, ToolCall, composable_loop
from looplet._core.hook_table import bind_hooks
from looplet.errors import HookError


class Misspelt:
    def post_dispach(self, state: Any, log: Any, call: Any, result: Any, step: int) -> None: ...


class MissingParameter:
    def check_done(self, state: Any, log: Any) -> None: ...


class Async:
    async def pre_prompt(self, state: Any, log: Any, ctx: Any, step: int) -> None: ...


class AsyncWatcher:
    async def on_event(self, event: Any) -> None: ...


class NoUnderscore:
    def predispatch(self, state: Any, log: Any, call: Any, step: int) -> None: ...

    def check_done(self, state: Any, log: Any, ctx: Any, step: int) -> None: ...


class Capitals:
    def PostDispatch(self, *args: Any) -> None: ...  # noqa: N802  # the mistake


class Empty:
    def something(self) -> None: ...


class NotAMethod:
    pre_prompt = "text"


@pytest.mark.parametrize(
    ("hook", "message"),
    [
        (Misspelt(), r"Misspelt.post_dispach\(\) is no hook method; did you mean post_dispatch\(\)\?"),
        (
            MissingParameter(),
            r"MissingParameter.check_done\(state.*cannot be called as check_done\(state, log, ctx, step\)",
        ),
        (Async(), r"Async.pre_prompt\(\) is async; .*plain function"),
        (AsyncWatcher(), r"AsyncWatcher.on_event\(\) is async; make it a plain function"),
        (Empty(), "Empty has no hook method; give it at least one of pre_prompt"),
        (NotAMethod(), "NotAMethod.pre_prompt is 'text'"),
        (Empty, r"is a class; pass an instance: hooks=\[Empty\(\)\]"),
    ],
)
def test_a_hook_that_cannot_work_is_refused_before_anything_is_sent(hook: object, message: str) -> None:
    llm = MockLLMBackend([ToolCall("done", {"answer": "x"})])
    with pytest.raises(HookError, match=message):
        composable_loop(llm=llm, tools=[], task="go", hooks=[hook])
    assert llm.prompts == []


def test_async_methods_are_fine_under_an_async_driver() -> None:
    assert len(bind_hooks([Async()], allow_async=True).pre_prompt) == 1


def test_gates_come_last_in_pre_dispatch_and_the_rest_keeps_its_order() -> None:
    def named(name: str, is_gate: bool) -> object:
        def pre_dispatch(self: Any, state: Any, log: Any, call: Any, step: int) -> None: ...

        return type(name, (), {"gate": is_gate, "pre_dispatch": pre_dispatch})()

    table = bind_hooks([named("G1", True), named("A", False), named("G2", True), named("B", False)], allow_async=False)
    assert [bound.name for bound in table.pre_dispatch] == ["A", "B", "G1", "G2"]


def test_any_parameter_names_will_do() -> None:
    class Renamed:
        def pre_dispatch(self, a: Any, b: Any, tc: Any, n: int, extra: int = 0) -> None: ...

    assert len(bind_hooks([Renamed()], allow_async=False).pre_dispatch) == 1


def test_a_helper_method_with_a_longer_name_is_no_mistake() -> None:
    class Helped:
        def pre_prompt_text(self) -> str:
            return "x"

        def pre_prompt(self, state: Any, log: Any, ctx: Any, step: int) -> None: ...

    assert len(bind_hooks([Helped()], allow_async=False).pre_prompt) == 1


def test_a_class_that_was_found_right_is_free_to_go() -> None:
    def bound() -> weakref.ref[type]:
        class Local:
            def on_event(self, event: Any) -> None: ...

        bind_hooks([Local()], allow_async=False)
        return weakref.ref(Local)

    kind = bound()
    gc.collect()
    assert kind() is None


def test_a_class_that_cannot_be_hashed_is_a_hook_like_any() -> None:
    class Odd(type):
        def __eq__(cls, other: object) -> bool:
            return NotImplemented

        __hash__ = None  # type: ignore[assignment]

    class Hook(metaclass=Odd):
        def on_event(self, event: Any) -> None: ...

    assert len(bind_hooks([Hook()], allow_async=False).on_event) == 1

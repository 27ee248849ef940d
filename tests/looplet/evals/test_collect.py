"""Collectors: what they are given, where their answers go, and what happens when they fail."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
import sys
from contextlib import closing
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from tests.support.strategies import JSON, patient

from looplet import MockLLMBackend, ProvenanceSink, ToolCall, composable_loop, load_trace
from looplet.evals.case import EvalCase
from looplet.evals.collect import Collector, CollectorError, collect, collector, collectors_in
from looplet.result import RunResult

if TYPE_CHECKING:
    from pathlib import Path

RUN = RunResult("done", task="Refund order 17", output="ok", artifacts={"kept": 1})
KEY = "sk-abcdefghijklmnopqrstuvwxyz"
here: ContextVar[str] = ContextVar("here", default="elsewhere")


def traced_run(path: Path) -> RunResult:
    llm = MockLLMBackend([ToolCall("done", {"answer": "ok"})])
    run = composable_loop(llm, "Refund", [], hooks=[ProvenanceSink(path)])
    for _ in run:
        pass
    return run.result


@collector
def orders(workdir: Path) -> list[Any]:
    with closing(sqlite3.connect(workdir / "shop.db")) as db:
        return db.execute("select id, amount from refunds").fetchall()


def test_a_collector_looks_at_the_world_that_the_run_left(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "shop.db") as db:
        db.execute("create table refunds (id, amount)")
        db.execute("insert into refunds values (17, 25.0)")
    db.close()
    run = collect(RUN, [orders], workdir=str(tmp_path))  # a Path all the same
    assert run == RUN.replace(artifacts={"kept": 1, "orders": [[17, 25.0]]})
    assert RUN.artifacts == {"kept": 1}


def test_a_collector_is_given_what_it_names() -> None:
    case = EvalCase("refund-17", task="the task of the case", expected=25)

    @collector
    def given(task: str, case: EvalCase, run: RunResult, *, limit: int = 3, **others: Any) -> Any:
        return [task, case.expected, run.output, limit, others]

    assert collect(RUN, [given], case=case).artifacts["given"] == ["the task of the case", 25, "ok", 3, {}]

    @collector(name="renamed")
    def given_less(task: str) -> str:
        return task

    assert collect(RUN, [given_less]).artifacts == {"kept": 1, "renamed": "Refund order 17"}


def test_a_collector_is_still_the_function_it_was(tmp_path: Path) -> None:
    @collector
    def names(workdir: Path) -> list[str]:
        return [entry.name for entry in workdir.iterdir()]

    (tmp_path / "a").touch()
    assert names(tmp_path) == ["a"]
    assert (names.name, repr(names)) == ("names", "<collector 'names'>")


def test_an_async_collector_is_awaited_in_the_callers_context() -> None:
    @collector
    async def where() -> str:
        await asyncio.sleep(0)
        return here.get()

    async def inside() -> RunResult:
        return collect(RUN, [where])

    token = here.set("here")
    try:
        assert collect(RUN, [where]).artifacts["where"] == "here"
        assert asyncio.run(inside()).artifacts["where"] == "here"
    finally:
        here.reset(token)


def test_what_is_no_json_becomes_it() -> None:
    @collector
    def odd() -> Any:
        return {"set": {2, 1}, 3: (1, float("nan")), "bytes": b"x"}

    assert collect(RUN, [odd]).artifacts["odd"] == {"set": [1, 2], "3": [1, "NaN"], "bytes": "x"}


def test_the_artifacts_are_kept_in_the_trace(tmp_path: Path) -> None:
    @collector
    def files() -> Any:
        return {"a.txt": "lone \udc80 surrogate", "n": 0.1}

    run = collect(traced_run(tmp_path / "t"), [files])
    assert (
        load_trace(tmp_path / "t").artifacts == run.artifacts == {"files": {"a.txt": "lone \udc80 surrogate", "n": 0.1}}
    )
    assert load_trace(tmp_path / "t") == run
    assert stat.S_IMODE((tmp_path / "t" / "artifacts.json").stat().st_mode) == 0o600


def test_the_artifacts_of_a_shared_trace_may_be_read_by_others(tmp_path: Path) -> None:
    llm = MockLLMBackend([ToolCall("done", {"answer": "ok"})])
    run = composable_loop(llm, "Refund", [], hooks=[ProvenanceSink(tmp_path / "t", shared=True)])
    list(run)
    collect(run.result, [collector(name="x")(lambda: 1)])
    modes = {stat.S_IMODE((tmp_path / "t" / name).stat().st_mode) for name in ("journal.jsonl", "artifacts.json")}
    assert len(modes) == 1


def test_without_collectors_nothing_is_written(tmp_path: Path) -> None:
    run = traced_run(tmp_path / "t")
    assert collect(run, []) is run
    assert not (tmp_path / "t" / "artifacts.json").exists()


def test_secrets_are_redacted_in_what_is_written_and_in_what_evals_see(tmp_path: Path) -> None:
    @collector
    def environment() -> Any:
        return {KEY: [f"key={KEY}"], "json": f'{{"a": "{KEY}"}}'}

    run = collect(traced_run(tmp_path / "t"), [environment], redact=True)
    assert KEY not in (tmp_path / "t" / "artifacts.json").read_text(encoding="utf-8")
    assert run.artifacts == load_trace(tmp_path / "t").artifacts
    assert run.artifacts["environment"]["[redacted]"] == ["key=[redacted]"]


def test_a_failing_collector_is_named_and_nothing_is_kept(tmp_path: Path) -> None:
    run = traced_run(tmp_path / "t")
    with pytest.raises(CollectorError, match=r"^collector 'orders' failed: OperationalError: no such table: refunds$"):
        collect(run, [collector(name="first")(lambda: 1), orders], workdir=tmp_path)
    assert load_trace(tmp_path / "t").artifacts == {}


@pytest.mark.parametrize(
    ("leave", "argument"), [(sys.exit, 3), (pytest.fail, "no"), (pytest.skip, "no")], ids=["exit", "fail", "skip"]
)
def test_a_collector_cannot_end_the_process_or_the_test(leave: Any, argument: Any) -> None:
    with pytest.raises(CollectorError, match=r"^collector 'leaves' failed: (SystemExit: 3|Failed: no|Skipped: no)$"):
        collect(RUN, [collector(name="leaves")(lambda: leave(argument))])


def test_an_interrupt_passes_through() -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        collect(RUN, [collector(interrupted)])


def test_what_the_run_does_not_have_is_said_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CollectorError) as caught:
        collect(RUN, [orders])
    assert str(caught.value) == (
        "collector 'orders' asks for 'workdir', and this run has none; give the agent a parameter `workdir`"
    )
    with pytest.raises(CollectorError, match="collector 'c' asks for 'case', and this run has none; give collect"):
        collect(RUN, [collector(name="c")(lambda case: 1)], workdir=tmp_path)


def test_a_parameter_that_nobody_gives_is_refused_at_once() -> None:
    with pytest.raises(TypeError) as caught:

        @collector
        def rows(database: str) -> None: ...

    assert str(caught.value) == (
        "collector 'rows' requires 'database'; "
        "a collector is given what it names of workdir, run, case, task, by keyword"
    )
    with pytest.raises(TypeError, match=r"@collector\('orders'\): decorate a function, or give a name: @collector"):
        collector("orders")  # type: ignore[call-overload]  # the mistake under test
    with pytest.raises(TypeError, match="has no name; give it one"):
        Collector(lambda: 1, "")


def test_a_module_has_its_collectors_once_and_by_one_name_each() -> None:
    other = collector(name="other")(lambda: 1)
    assert collectors_in({"a": 1, "orders": orders, "other": other, "alias": orders}) == [orders, other]
    with pytest.raises(
        ValueError, match=r"two collectors are called 'other'; give one another name: @collector\(name="
    ):
        collectors_in({"other": other, "more": collector(name="other")(lambda: 2)})


@patient
@given(JSON)
def test_json_is_collected_as_it_is(value: Any) -> None:
    assert collect(RUN, [collector(name="x")(lambda: value)]).artifacts["x"] == value

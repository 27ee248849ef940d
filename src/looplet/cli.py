"""The `looplet` command: `show`, `diff`, and what other packages add through the entry points `looplet.commands`."""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from looplet import cli_diff
from looplet._pretty import shorten, visible
from looplet._version import __version__
from looplet.errors import LoopletError, TraceError
from looplet.trace.directory import JOURNAL
from looplet.trace.jsonable import jsonable
from looplet.trace.read import Trace, read_journal, result_of, run_dirs
from looplet.trace.render import render_call, render_step, render_trace
from looplet.trace.terminal import printed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Command = Callable[[Sequence[str]], int]

_EXIT_CODES = (
    "exit codes: 0 all right, 1 differences or work left (commands that compare), 2 wrong usage or unreadable trace"
)
_ELSEWHERE = {"review": "looplet[pytest]"}  # commands of packages that may not be installed → the extra
_TASK_CHARS = 60


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal that is not UTF-8
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # `looplet show DIR | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


def _run(arguments: list[str]) -> int:
    name = arguments[0] if arguments else ""
    if name and not name.startswith("-") and name not in ("show", "diff"):
        command = _installed(name)
        if command is not None:
            return command(arguments[1:])
        if name in _ELSEWHERE:
            return _fail(f"`looplet {name}` comes with the pytest plugin: install {_ELSEWHERE[name]}")
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command in (None, *_ELSEWHERE):
        parser.print_help()
        return 2
    try:
        return cli_diff.run(options) if options.command == "diff" else _show(options)
    except LoopletError as error:
        return _fail(str(error))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="looplet", description="Look at what agents did.", epilog=_EXIT_CODES)
    parser.add_argument("--version", action="version", version=f"looplet {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    show = commands.add_parser(
        "show",
        help="print a trace",
        description="Print a trace as text: all of it, one step, or one request.",
        epilog=_EXIT_CODES,
    )
    show.add_argument("dir", metavar="DIR", help="the trace; a directory of traces is listed")
    which = show.add_mutually_exclusive_group()
    which.add_argument("--step", type=int, metavar="N", help="only step N: the reply, the call, the result")
    which.add_argument("--call", type=int, metavar="N", help="the whole prompt of model call N, and its reply")
    show.add_argument("--json", action="store_true", help="print JSON instead of text")
    diff = commands.add_parser(
        "diff",
        help="say what one run did differently from another",
        description="Compare two runs: first what the agent did differently, then what was worded differently. "
        "Times, UUIDs and addresses are left out.",
        epilog=_EXIT_CODES,
    )
    cli_diff.add_arguments(diff)
    commands.add_parser("review", help="decide about changed snapshots and stale recordings", add_help=False)
    return parser


def _show(options: argparse.Namespace) -> int:
    path = Path(options.dir)
    runs = [] if (path / JOURNAL).is_file() else _traces_in(path)
    if runs and options.step is None and options.call is None:
        return _list(runs, as_json=options.json)
    trace = read_journal(options.dir)
    if options.step is not None:
        text = render_step(trace, options.step)
        data: Any = next((step.to_dict() for step in trace.steps if step.number == options.step), None)
    elif options.call is not None:
        text, data = render_call(trace, options.call), _call(trace, options.call)
    else:
        text, data = render_trace(trace), _summary(trace) | {"steps": [step.to_dict() for step in trace.steps]}
    whole = printed(text, sys.stdout, path=None if options.step else options.dir)
    print(_json(data) if options.json else whole, end="\n" if options.json else "")
    return 0


def _traces_in(path: Path) -> list[Path]:
    """The runs of one agent, in order, or whatever traces there are (`.looplet/runs`), by name."""
    if not path.is_dir():
        return []
    return run_dirs(path) or sorted(entry for entry in path.iterdir() if (entry / JOURNAL).is_file())


def _list(runs: list[Path], *, as_json: bool) -> int:
    summaries = []
    for run in runs:
        try:
            summaries.append(_summary(read_journal(run)))
        except TraceError as error:
            summaries.append({"dir": str(run), "error": str(error)})
    if as_json:
        print(_json(summaries))
        return 0
    for summary in summaries:
        print(_list_line(summary))
    return 0


def _list_line(summary: dict[str, Any]) -> str:
    if "error" in summary:
        return f"{summary['dir']}  cannot be read: {summary['error']}"
    count = summary["step_count"]
    task = visible(shorten(str(summary["task"]), _TASK_CHARS))
    return f"{summary['dir']}  {visible(summary['stop_reason'])}  {count} step{'' if count == 1 else 's'}  {task}"


def _summary(trace: Trace) -> dict[str, Any]:
    result = result_of(trace)
    return {
        "dir": trace.dir,
        "task": result.task,
        "stop_reason": result.stop_reason,
        "status": result.status,
        "step_count": len(result.steps),
        "output": result.output,
        "errors": list(result.errors),
        "usage": result.usage.to_dict(),
        "duration_s": result.duration,
        "model": trace.header.get("model"),
        "notice": trace.notice,
    }


def _call(trace: Trace, number: int) -> dict[str, Any]:
    prompt = trace.prompt(number).to_dict()
    exchange = next(each for each in trace.exchanges if each.call == number)
    reply = getattr(exchange, "reply", None)
    if reply is not None:
        return {"call": number, "prompt": prompt, "reply": reply.to_dict()}
    return {
        "call": number,
        "prompt": prompt,
        "kind": getattr(exchange, "kind", ""),
        "error": getattr(exchange, "error", ""),
    }


def _json(data: Any) -> str:
    """ASCII, so that no terminal sequence and no lone surrogate gets out."""
    return json.dumps(jsonable(data), indent=2)


def _installed(name: str) -> Command | None:
    from importlib.metadata import entry_points  # 20 ms that `looplet show` does not pay

    found = entry_points(group="looplet.commands", name=name)
    command: Command | None = next(iter(found)).load() if found else None
    return command


def _fail(message: str) -> int:
    print(f"looplet: {message}", file=sys.stderr)
    return 2

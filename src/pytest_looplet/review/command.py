"""`looplet review [DIR]`: decide about pending snapshots and recordings, in the terminal or by pattern."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_looplet.golden.pending import pending_dir
from pytest_looplet.review.session import Entry, Review, named

if TYPE_CHECKING:
    from collections.abc import Sequence

SCHEMA = 1
_MOST_LINES = 12  # of explanation an entry in --list
_EXIT_CODES = (
    "exit codes: 0 nothing is left to decide, 1 something is, 2 wrong usage or a directory that cannot be read"
)


def main(argv: Sequence[str]) -> int:
    """Run the command and return its exit code."""
    options = _parser().parse_args(argv)
    root = _root(options.dir)
    if root is None:
        return _fail(f"{options.dir!r} is not a directory")
    try:
        review = Review(root)
    except OSError as error:
        return _fail(f"cannot read {str(pending_dir(root))!r}: {error}")
    if options.json and not options.list:
        return _fail("--json goes with --list")
    if options.accept or options.reject:
        code = _decide(review, options.accept, options.reject)
        if code == 2 or not options.list:
            return code
    if options.list:
        return _list(review, as_json=options.json)
    return _interactive(review)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="looplet review",
        description="Decide about changed snapshots and stale recordings that pytest left in .looplet/pending. "
        "Without options: in the terminal, one after the other.",
        epilog=_EXIT_CODES,
    )
    parser.add_argument(
        "dir", nargs="?", metavar="DIR", help="the project; else the nearest parent with .looplet/pending"
    )
    parser.add_argument("--list", action="store_true", help="print what is pending, and why")
    parser.add_argument("--json", action="store_true", help="with --list: as JSON")
    for name, what in (("accept", "put the new content in place"), ("reject", "keep what is there")):
        parser.add_argument(
            f"--{name}",
            action="append",
            default=[],
            metavar="PATTERN",
            help=f"{what}, for each id that matches; * and ? are wildcards, [ and ] are not; may be repeated",
        )
    return parser


def _root(given: str | None) -> Path | None:
    """The directory named, else the nearest one upwards that has pending entries, else here."""
    if given is not None:
        return Path(given).resolve() if Path(given).is_dir() else None
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if pending_dir(folder).is_dir()), here)


def _decide(review: Review, accept: Sequence[str], reject: Sequence[str]) -> int:
    chosen: list[tuple[Entry, bool]] = []
    for patterns, accepted in ((accept, True), (reject, False)):
        for pattern in patterns:
            entries = named(review.entries, pattern)
            if not entries:
                return _fail(f"no pending entry matches {pattern!r}; {_ids(review)}")
            chosen += [(entry, accepted) for entry in entries]
    both = {entry.id for entry, accepted in chosen if accepted} & {
        entry.id for entry, accepted in chosen if not accepted
    }
    if both:
        return _fail(f"{sorted(both)[0]!r} is both to be accepted and to be rejected; nothing was decided")
    for entry, accepted in dict(chosen).items():
        if (review.accept if accepted else review.reject)(entry):
            print(f"{entry.decision}: {entry.shown_id}")
        else:
            print(f"refused: {entry.shown_id}: {entry.refused}", file=sys.stderr)
    print(review.summary())
    return 1 if review.left() else 0


def _ids(review: Review) -> str:
    ids = [f"  {entry.shown_id}" for entry in review.entries]
    return "\n".join(["these are pending:", *ids]) if ids else "nothing is pending"


def _list(review: Review, *, as_json: bool) -> int:
    left = review.left()
    if as_json:  # ASCII, so that no terminal sequence and no lone surrogate gets out
        print(
            json.dumps(
                {"schema": SCHEMA, "root": str(review.root), "pending": [_data(each) for each in left]}, indent=2
            )
        )
    else:
        for entry in left:
            print("\n".join(_lines(entry)))
        print(f"{len(left)} pending" if left else "nothing is pending")
    return 1 if left else 0


def _lines(entry: Entry) -> list[str]:
    why = entry.why()
    more = len(why) - _MOST_LINES
    lines = [f"{entry.kind}  {entry.shown_id}", *(f"  {line}" for line in why[:_MOST_LINES])]
    lines += [f"  ... and {more} more"] if more > 0 else []
    return [*lines, *([f"  cannot be accepted: {entry.refusal}"] if entry.refusal else [])]


def _data(entry: Entry) -> dict[str, Any]:
    """The documented form of one entry, see docs/review.md."""
    return {
        "id": entry.id,
        "kind": entry.kind,
        "target": entry.pending.target.relative_to(entry.pending.root).as_posix(),
        "why": entry.why(),
        "changes": [change.to_dict() for change in entry.changes],
        "acceptable": entry.refusal is None,
        "refusal": entry.refusal,
        "command": entry.pending.command or None,
    }


def _interactive(review: Review) -> int:
    if not review.entries:
        print("nothing is pending")
        return 0
    if not _is_terminal():
        message = "this is not a terminal; use --list to see what is pending, --accept PATTERN to accept it"
        if sys.stdout.isatty() and not sys.stderr.isatty():  # else nothing would be seen of why nothing happens
            message = "standard error is not the terminal, and the interface is drawn there; run it without 2>"
            print(f"looplet review: {message}")
        return _fail(message)
    try:
        from pytest_looplet.review.ui.app import ReviewApp  # 0.3 s, and an extra of its own
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ("textual", "rich"):
            raise
        return _fail("the interface is not installed: install looplet[review], or use --list and --accept PATTERN")
    ReviewApp(review).run()
    print(review.summary())
    return 1 if review.left() else 0


def _is_terminal() -> bool:
    """All three: keys are read from the first, textual draws on the last, and the summary goes to the second."""
    return sys.stdin.isatty() and sys.stdout.isatty() and sys.stderr.isatty()


def _fail(message: str) -> int:
    print(f"looplet review: {message}", file=sys.stderr)
    return 2

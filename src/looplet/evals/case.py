"""`EvalCase`: a task plus what is expected of the run, and how cases are read from dicts and files."""

from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from looplet._record import Record
from looplet.trace.redact import Redactor

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_ID_CHARS = 48
_NOT_SLUG = re.compile(r"[^a-z0-9._]+")


class EvalCase(Record):
    """One task and its expectation. The agent is given the task, never the rest.

    id        a slug, unique in its file; derived from the task when absent
    expected  anything; only evals read it
    files     what the run's work directory holds at the start: {relative path: text}, or a directory to copy
    script    replies for a scripted model: a list, or a callable of the prompt
    marks     pytest marks, or their names
    trials    how often it is run; None leaves that to the mark and the session
    """

    id: str = ""
    task: Any = None
    expected: Any = None
    files: Any = None
    script: Any = None
    marks: tuple[Any, ...] = ()
    trials: int | None = None


def slug(text: str) -> str:
    """Lower-case ASCII letters, digits, `.`, `_` and `-`: fit for a file name and for a pytest id."""
    return _uncut(text)[:_ID_CHARS].rstrip("-.")


def _uncut(text: str) -> str:
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return _NOT_SLUG.sub("-", ascii_text.lower()).strip("-.")


def load_cases(source: Any, folder: Path) -> list[EvalCase]:
    """Read `source`: a list of dicts and EvalCases, or a glob of .json and .jsonl files relative to `folder`."""
    if isinstance(source, (str, Path)):
        cases = list(_from_files(str(source), folder))
    elif isinstance(source, (list, tuple)):
        cases = [_from_entry(entry, f"cases[{number}]") for number, entry in enumerate(source)]
    else:
        raise TypeError(
            f"cases={source!r}: give a list of dicts or EvalCases, or the path of a .json or .jsonl file as a str"
        )
    if not cases:
        raise ValueError(f"cases={source!r} holds no case; give at least one, for example [{{'task': '...'}}]")
    cases = _with_ids(cases)
    for case in cases:
        _check_files(case, folder)
        if isinstance(case.script, (str, bytes)):
            raise TypeError(f"case {case.id!r}: script={case.script!r}: give a list of replies, or a callable")
    return cases


def _check_files(case: EvalCase, folder: Path) -> None:
    """Refuse, before anything runs, what no work directory can be made of."""
    files = case.files
    if isinstance(files, (str, Path)):
        if not (folder / files).is_dir():
            raise ValueError(f"case {case.id!r}: files={str(files)!r}: no such directory below {folder}")
    elif files is not None and not isinstance(files, dict):
        raise TypeError(f"case {case.id!r}: files={files!r}: give {{relative path: text}}, or the path of a directory")
    for name, text in files.items() if isinstance(files, dict) else ():
        if not isinstance(name, str) or not isinstance(text, str):
            raise TypeError(f"case {case.id!r}: files[{name!r}] is {text!r}; the text of a file is a str")


def _from_files(pattern: str, folder: Path) -> Iterator[EvalCase]:
    base = Path(pattern)
    paths = [base] if base.is_absolute() else sorted(folder.glob(pattern)) if base.parts else []
    if not any(path.is_file() for path in paths):
        raise ValueError(f"cases={pattern!r}: no such file below {folder}; the path is relative to the eval file")
    for path in paths:
        for where, entry in _entries(path):
            yield _from_entry(entry, where)


def _entries(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield each entry of a case file with the place an error message names."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"cases: {path.name} is not UTF-8: {error}") from None
    if path.suffix == ".jsonl":
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                yield f"{path.name}:{number}", _parsed(line, f"{path.name}:{number}")
    elif path.suffix == ".json":
        data = _parsed(text, path.name)
        for number, entry in enumerate(data if isinstance(data, list) else [data]):
            yield f"{path.name}[{number}]", entry
    else:
        raise ValueError(f"cases: {path.name} is neither .json nor .jsonl")


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"{where} is not valid JSON: {error}") from None


def _from_entry(entry: Any, where: str) -> EvalCase:
    case = entry if isinstance(entry, EvalCase) else _from_dict(entry, where)
    if case.task is None:
        raise ValueError(f"{where} has no task; every case needs one: {{'task': '...', 'expected': ...}}")
    if not isinstance(case.id, str):
        raise TypeError(f"{where}: id={case.id!r} must be a str")
    try:
        marks = (case.marks,) if isinstance(case.marks, str) else tuple(case.marks)
    except TypeError:
        name = f"case {case.id!r}" if case.id else where
        raise TypeError(f"{name}: marks={case.marks!r}: give a list of pytest marks, or of their names") from None
    return case if marks is case.marks else case.replace(marks=marks)


def _from_dict(entry: Any, where: str) -> EvalCase:
    if not isinstance(entry, dict):
        raise TypeError(f"{where} is {entry!r}: a case is a dict with a 'task', or an EvalCase")
    check_names(f"{where} has", entry, EvalCase._fields)
    return EvalCase(**entry)


def check_names(prefix: str, given: Mapping[str, Any], known: Iterable[str]) -> None:
    """Refuse a key that is not known, with the known one it resembles."""
    for name in given:
        if name not in known:
            import difflib  # only for a message that ends the session

            close = difflib.get_close_matches(str(name), list(known), 1)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"
            raise ValueError(f"{prefix} an unknown key {name!r}; {hint}")


def _with_ids(cases: list[EvalCase]) -> list[EvalCase]:
    """Give every case a unique slug: its own id first (a repeated one is an error), else one made of the task."""
    taken: dict[str, str] = {}
    slugs = [slug(case.id) for case in cases]
    for case, name in zip(cases, slugs, strict=True):
        if case.id:
            if not name:
                raise ValueError(f"case id {case.id!r} has no letter or digit to make a file name of")
            if name in taken:
                is_cut = any(len(_uncut(each)) > _ID_CHARS for each in (taken[name], case.id))
                cut = f": ids are cut at {_ID_CHARS} characters" if is_cut else ""
                raise ValueError(
                    f"case ids {taken[name]!r} and {case.id!r} are the same ({name}{cut}); ids must be unique"
                )
            taken[name] = case.id
    named = []
    secretless = Redactor()  # an id is shown, and names files
    for number, (case, known) in enumerate(zip(cases, slugs, strict=True), 1):
        name = known or _free(slug(secretless(_headline(case.task))) or f"case-{number}", taken)
        taken[name] = name
        is_plain = type(case.id) is str  # a member of an enum is shown as something else
        named.append(case if name == case.id and is_plain else case.replace(id=name))
    return named


def _headline(task: Any) -> str:
    if isinstance(task, dict):
        return next((value for value in task.values() if isinstance(value, str)), "")
    return str(task)


def _free(name: str, taken: Mapping[str, str]) -> str:
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}-{number}"
    return free

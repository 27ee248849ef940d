"""The table of evals on the terminal: one line an eval and backend, as wide as it fits, else a few short lines each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Row = dict[str, Any]

_GAP = "  "
_WORDS = (("fail", "failed"), ("error", "error"), ("skip", "skipped"))


def table_lines(rows: Sequence[Row], width: int, *, verbose: bool = False) -> list[str]:
    """The lines of the table, none longer than `width` where names allow. Columns nobody fills are left out."""
    several = len({row["backend"] for row in rows}) > 1
    columns = columns_of(rows, verbose=verbose)
    for name in (_whole_name, short_name):
        first = [["eval", *(name(row, rows) for row in rows)]]
        first += [["backend", *(row["backend"] or "" for row in rows)]] if several else []
        lines = _aligned([*first, *columns], left=len(first))
        if max(map(len, lines)) <= width:
            return lines
    return [line for at, row in enumerate(rows, 1) for line in _listed(row, at, columns, width, several=several)]


def columns_of(rows: Sequence[Row], *, verbose: bool = False) -> list[list[str]]:
    """Heading and cells of each column of figures. Every form of the report shows these; empty columns are left out."""
    makers: list[tuple[str, Callable[[Row], str]]] = [("score", _score), ("95% interval", _interval), ("n", _n)]
    if verbose:
        ks = sorted({k for row in rows for k in row["pass_at_k"] or ()}, key=int)
        makers += [(f"pass@{k}", lambda row, k=k: _rate(row["pass_at_k"], k)) for k in ks]  # type: ignore[misc]  # k's type
        makers += [(f"pass^{k}", lambda row, k=k: _rate(row["pass_hat_k"], k)) for k in ks[1:]]  # type: ignore[misc]
    makers += [("not passed", _not_passed), ("cost", _cost), ("delta", _delta), ("gate", _gate)]
    columns = [[heading, *map(cell, rows)] for heading, cell in makers]
    return [column for column in columns if any(column[1:])]


def _aligned(columns: list[list[str]], left: int) -> list[str]:
    widths = [max(map(len, column)) for column in columns]
    lines = []
    for cells in zip(*columns, strict=True):
        padded = [
            cell.ljust(wide) if at < left else cell.rjust(wide)
            for at, (cell, wide) in enumerate(zip(cells, widths, strict=True))
        ]
        lines.append(_GAP.join(padded).rstrip())
    return lines


def _listed(row: Row, at: int, columns: list[list[str]], width: int, *, several: bool) -> list[str]:
    """The name on its own line, then its figures, as many in a line as fit."""
    name = f"{row['eval']} [{row['backend']}]" if several and row["backend"] else row["eval"]
    lines, current = [name], ""
    for column in columns:
        if not column[at]:
            continue
        told = f"{column[0]} {column[at]}"
        if current and len(current) + 2 + len(told) > width:
            lines.append(current)
            current = ""
        current = f"{current}, {told}" if current else f"  {told}"
    return [*lines, current]


def _whole_name(row: Row, _rows: Sequence[Row]) -> str:
    return str(row["eval"])


def short_name(row: Row, rows: Sequence[Row]) -> str:
    """The name without its file, where no other file has an eval of that name."""
    short = row["eval"].rpartition("::")[2]
    alike = {other["eval"] for other in rows if other["eval"].rpartition("::")[2] == short}
    return short if len(alike) == 1 else str(row["eval"])


def _score(row: Row) -> str:
    return "-" if row["score"] is None else f"{row['score']:.3f}"


def _interval(row: Row) -> str:
    return "" if row["interval"] is None else f"{row['interval'][0]:.2f} to {row['interval'][1]:.2f}"


def _n(row: Row) -> str:
    """Cases, times trials where each has as many."""
    cases, trials = row["n_cases"], row["n_trials"]
    if trials == cases:
        return str(cases)
    return f"{cases}x{trials // cases}" if trials % cases == 0 else f"{cases} ({trials})"


def _rate(rates: dict[str, float | None] | None, k: str) -> str:
    rate = (rates or {}).get(k)
    return "" if rate is None else f"{rate:.3f}"


def _not_passed(row: Row) -> str:
    return ", ".join(f"{row[key]} {word}" for key, word in _WORDS if row[key])


def _cost(row: Row) -> str:
    cost = row["usage"]["cost"]
    return "" if cost is None else f"{cost:.4f}"


def _delta(row: Row) -> str:
    before = row["baseline"]
    if before is None:
        return ""
    if before["delta"] is None:
        return "n/a"
    verdict = "" if before["verdict"] == "same" else f" {before['verdict']}"
    return f"{before['delta']:+.3f}{verdict}"


def _gate(row: Row) -> str:
    if row["gate"] is None:
        return ""
    words = {"pass": "met", "fail": "not met", "undecided": "undecided", None: "-"}
    return f"{row['gate']['bar']:g} {words[row['gate']['verdict']]}"

"""A table of contacts in a CSV file: what is wrong with it, and the two ways to change it."""

from __future__ import annotations

import csv
import io
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

COLUMNS = ("id", "name", "email", "country")
TIDY: dict[str, Callable[[str], str]] = {
    "name": lambda text: " ".join(text.split()).title(),
    "email": lambda text: text.strip().lower(),
    "country": lambda text: " ".join(text.split()).title(),
}
_FIRST = ("Ada", "Bela", "Cem", "Dora", "Emil", "Fay", "Goran", "Hana")
_LAST = ("Novak", "Okoye", "Silva", "Tanaka", "Urban", "Weiss")
_COUNTRIES = ("Austria", "Brazil", "Japan", "Nigeria", "Slovenia")

Row = dict[str, str]


def example() -> list[Row]:
    """48 contacts; some are untidy, some are there twice, some have no address."""
    return [_contact(number) for number in range(1, 49)]


def _contact(number: int) -> Row:
    person = number - 20 if number in (27, 33, 40) else number  # these three are there twice
    first, last = _FIRST[person % 8], _LAST[person % 6]
    name, email, country = f"{first} {last}", f"{first}.{last}{person}@example.com", _COUNTRIES[person % 5]
    return {
        "id": str(number),
        "name": name.upper() if number % 7 == 0 else name,
        "email": "" if number in (11, 38) else f" {email}" if number % 9 == 0 else email.lower(),
        "country": country.lower() if number % 4 == 0 else country,
    }


class Contacts:
    """The table in file `path`. A change is on disk whole or not at all, whenever the process is killed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def rows(self) -> list[Row]:
        with self.path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def save(self, rows: list[Row]) -> None:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
        temporary = self.path.with_suffix(".tmp")
        temporary.write_bytes(text.getvalue().encode())
        os.replace(temporary, self.path)  # noqa: PTH105  # what makes it whole or not at all

    def problems(self) -> dict[str, Any]:
        """Count the untidy cells of each column; list the ids of rows that repeat an address, or have none."""
        rows = self.rows()
        untidy = {column: sum(tidy(row[column]) != row[column] for row in rows) for column, tidy in TIDY.items()}
        seen: set[str] = set()
        duplicates = []
        for row in rows:
            email = TIDY["email"](row["email"])
            if email and email in seen:
                duplicates.append(int(row["id"]))
            seen.add(email)
        without = [int(row["id"]) for row in rows if not row["email"].strip()]
        return {"rows": len(rows), "untidy": untidy, "duplicates": duplicates, "without_email": without}

    def normalize(self, column: str) -> int:
        """Tidy a column up; return how many cells changed."""
        rows, tidy = self.rows(), TIDY[column]
        changed = [row for row in rows if tidy(row[column]) != row[column]]
        for row in changed:
            row[column] = tidy(row[column])
        self.save(rows)
        return len(changed)

    def delete(self, ids: Collection[int]) -> None:
        """Remove rows for good."""
        self.save([row for row in self.rows() if int(row["id"]) not in ids])

"""The four tools that clean contacts up. Deleting rows needs a person's approval."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from looplet import ToolValidationError, tool

if TYPE_CHECKING:
    from looplet import ToolSpec
    from looplet.examples.cleanup.contacts import Contacts

TASK = (
    "Clean the contacts up: every column tidy, no duplicates, no rows without an e-mail address. "
    "Finish with one sentence about what you changed."
)
INSTRUCTIONS = """You clean up a table of contacts. Look at all its rows first, a page at a time, then ask for its
problems. Normalise untidy columns, delete duplicates and rows without an address, and ask for the problems again after
each change. A person is asked before rows are deleted; leave what they refuse. Call done when no problem is left."""


def tools(contacts: Contacts) -> list[ToolSpec]:
    # idempotent: a resumed run may repeat such a call if it was interrupted. Deleting is not repeated unseen.

    @tool(idempotent=True)
    def show_rows(first: int = 1, count: int = 16) -> dict[str, Any]:
        """Show rows of the table; `next` is the first of the next page, null after the last."""
        rows = contacts.rows()
        start, end = max(1, first) - 1, max(1, first) - 1 + max(1, count)
        page = [", ".join(row.values()) for row in rows[start:end]]
        return {"rows": page, "next": end + 1 if end < len(rows) else None}

    @tool(idempotent=True)
    def find_problems() -> dict[str, Any]:
        """Count untidy cells, and list the ids of duplicates and of rows without an e-mail address."""
        return contacts.problems()

    @tool(idempotent=True)
    def normalize(column: Literal["name", "email", "country"]) -> str:
        """Tidy up spaces and capitals in a column."""
        return f"changed {contacts.normalize(column)} cells of {column}"

    @tool(needs_approval=True)
    def delete_rows(ids: list[int], reason: str) -> str:  # noqa: ARG001  # the reason is for the person who is asked
        """Delete rows for good."""
        missing = sorted(set(ids) - {int(row["id"]) for row in contacts.rows()})
        if missing or not ids:
            raise ToolValidationError(f"there are no rows with the ids {missing}" if missing else "ids is empty")
        contacts.delete(ids)
        return f"deleted {len(set(ids))} rows"

    return [show_rows, find_problems, normalize, delete_rows]

from __future__ import annotations

import pytest

from looplet.tools.docstring import split_docstring

GOOGLE = """Search the archive.

    Newest first: always.

    Args:
        query: what to look for,
            with care: no wildcards
        limit (int, optional): at most so many
        *more: ignored words

    Returns:
        list: the titles

    Raises:
        ValueError: never
"""
FIELDS = """Search the archive.

    :param query: what to look for,
        in any language
    :param int limit: at most so many
    :returns: the titles
    :raises ValueError: never
"""


def test_sections_are_taken_apart() -> None:
    assert split_docstring(GOOGLE) == (
        "Search the archive.\n\nNewest first: always.",
        {
            "query": "what to look for, with care: no wildcards",
            "limit": "at most so many",
            "more": "ignored words",
        },
    )


def test_fields_are_taken_apart() -> None:
    assert split_docstring(FIELDS) == (
        "Search the archive.",
        {"query": "what to look for, in any language", "limit": "at most so many"},
    )


@pytest.mark.parametrize("text", ["Just this.", "  Just this.  ", "\n    Just this.\n    "])
def test_a_plain_docstring_is_the_description(text: str) -> None:
    assert split_docstring(text) == ("Just this.", {})


@pytest.mark.parametrize("text", [None, "", "  \n "])
def test_no_docstring_says_nothing(text: str | None) -> None:
    assert split_docstring(text) == ("", {})


def test_a_description_may_hold_colons_and_lists() -> None:
    text = "Do it.\n\nFirst: look.\n- then: act"
    assert split_docstring(text) == (text, {})

"""LoopConfig refuses nonsense when it is constructed."""

from __future__ import annotations

from typing import Any

import pytest

from looplet import LoopConfig


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        (
            {"max_steps": 0},
            ValueError,
            r"LoopConfig\(max_steps=\.\.\.\) is 0: use a whole number of at least 1, or None",
        ),
        ({"max_steps": True}, ValueError, "is True"),
        ({"max_tokens": -5}, ValueError, "max_tokens"),
        ({"retries": -1}, ValueError, "at least 0"),
        ({"repairs": 1.5}, ValueError, r"is 1\.5"),
        ({"result_chars": 10}, ValueError, "at least 100"),
        ({"tool_mode": "xml"}, ValueError, "'auto', 'native', 'text'"),
        ({"temperature": float("nan")}, ValueError, "temperature=nan"),
        ({"llm_timeout_s": -1}, ValueError, "llm_timeout_s=-1"),
        ({"done_tool": ""}, ValueError, "give a tool name"),
        ({"system_prompt": None}, TypeError, "is a str, not NoneType"),
        ({"llm_timeout_s": 0}, ValueError, "above 0"),
        ({"temperature": float("inf")}, ValueError, "temperature=inf"),
        ({"extra": ["x"]}, TypeError, "dict of request parameters, not list"),
        ({"final_answer": "no"}, TypeError, "use True or False"),
        ({"max_stepz": 1}, TypeError, "max_stepz"),
    ],
)
def test_nonsense_is_refused(values: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        LoopConfig(**values)


def test_a_changed_copy_is_checked_too() -> None:
    with pytest.raises(ValueError, match="max_steps"):
        LoopConfig().replace(max_steps=-1)

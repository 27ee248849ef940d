"""What is wrong with a chat request, by the rules the strictest OpenAI-compatible servers apply.

Every scripted model of ours checks what it is sent: a history one server accepts and another rejects for ever
(an orphaned result, a null content) must fail in our tests and not in a user's run.
"""

from __future__ import annotations

from typing import Any

_ROLES = ("system", "user", "assistant", "tool")
_NAME_LENGTH = 64


def problems(messages: list[dict[str, Any]]) -> list[str]:
    """Return one sentence for each defect of the `messages` of a chat completions request; empty means sound."""
    check = RequestCheck()
    for message in messages:
        check.add(message)
    return check.problems()


class RequestCheck:
    """The same check fed one message at a time, so that a growing conversation is read once."""

    __slots__ = ("_count", "_earlier", "_found", "_ids", "_open")

    def __init__(self) -> None:
        self._count = 0
        self._found: list[str] = []
        self._ids: set[str] = set()
        self._earlier: set[str] = set()  # ids of the check this one was copied from; shared, never changed here
        self._open: list[str] = []  # calls of the latest assistant message that have no result yet

    def copy(self) -> RequestCheck:
        """A check that goes on from here, to be used before this one goes on itself."""
        twin = RequestCheck()
        twin._count = self._count
        twin._found, twin._open = self._found.copy(), self._open.copy()
        twin._earlier = self._ids | self._earlier if self._earlier else self._ids
        return twin

    def problems(self) -> list[str]:
        """Everything found so far, and what would be missing if the request ended here."""
        if not self._count:
            return ["the request has no messages"]
        return self._found + [f"the request ends, but {self._unanswered()}"] * bool(self._open)

    def add(self, message: Any) -> None:
        role = message.get("role") if isinstance(message, dict) else None
        if role not in _ROLES:
            self._report(f"unknown role {role!r}; use one of {', '.join(_ROLES)}")
        elif role == "tool":
            self._result(message)
        else:
            self._turn(role, message)
        self._count += 1

    def _turn(self, role: str, message: dict[str, Any]) -> None:
        if self._open:
            self._report(f"{role} message although {self._unanswered()}")
            self._open.clear()
        if role == "system" and self._count:
            self._report("system message after the first place")
        calls = message.get("tool_calls") if role == "assistant" else None
        self._content(role, message, may_be_empty=bool(calls))
        for call in calls or ():
            self._call(call)

    def _content(self, role: str, message: dict[str, Any], *, may_be_empty: bool) -> None:
        content = message.get("content")
        if not isinstance(content, str):
            self._report(f"{role} content is {content!r}; send a string, and an empty one rather than null")
        elif not content.strip() and not may_be_empty:
            self._report(f"{role} content is empty")

    def _result(self, message: dict[str, Any]) -> None:
        self._content("tool", message, may_be_empty=True)
        call_id = message.get("tool_call_id")
        if call_id in self._open:
            self._open.remove(call_id)
        else:
            self._report(f"tool result for {call_id!r}, which no unanswered call before it has")

    def _call(self, call: Any) -> None:
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict) or call.get("type") != "function":
            self._report(f"tool call {call!r} is not of type 'function'")
            return
        call_id = call.get("id")
        if not isinstance(call_id, str) or not call_id:
            self._report(f"tool call id is {call_id!r}; send a non-empty string")
        elif call_id in self._ids or call_id in self._earlier:
            self._report(f"tool call id {call_id!r} is used twice")
        if isinstance(call_id, str):
            self._ids.add(call_id)
            self._open.append(call_id)
        if not is_tool_name(function.get("name")):
            self._report(f"tool name {function.get('name')!r} is not 1 to {_NAME_LENGTH} letters, digits, '_' or '-'")
        if not _is_json_object(function.get("arguments")):
            self._report(f"arguments of {call_id!r} are not the text of a JSON object: {function.get('arguments')!r}")

    def _unanswered(self) -> str:
        return f"these calls have no result yet: {', '.join(self._open)}"

    def _report(self, problem: str) -> None:
        self._found.append(f"message {self._count + 1}: {problem}")


def is_tool_name(name: object) -> bool:
    """True for a name every provider accepts (without `re`, which `import looplet` does not load)."""
    if not isinstance(name, str) or not 0 < len(name) <= _NAME_LENGTH:
        return False
    return name.isascii() and name.replace("_", "a").replace("-", "a").isalnum()


def _is_json_object(text: object) -> bool:
    import json  # not at import time: the mock is loaded by `import looplet`

    try:
        return isinstance(text, str) and isinstance(json.loads(text), dict)
    except ValueError:
        return False

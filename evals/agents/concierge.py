"""A small agent for a very small model: three tools without side effects."""

from __future__ import annotations

from typing import Any

from looplet import LoopConfig, Run, composable_loop, tool

ROOMS = {"single": 80, "double": 120, "suite": 300}


@tool
def room_price(room: str) -> dict[str, Any]:
    """Price of a room for one night. Rooms: single, double, suite."""
    return {"room": room, "price": ROOMS.get(room.lower())}


@tool
def greet(name: str) -> str:
    """Greet a guest by name."""
    return f"Welcome, {name}!"


def agent(task: Any, llm: Any) -> Run:
    config = LoopConfig(max_steps=4, max_tokens=120, temperature=0.0)
    return composable_loop(llm=llm, task=task, tools=[room_price, greet], config=config)

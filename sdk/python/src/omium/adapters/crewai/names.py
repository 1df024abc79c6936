"""How steps are named: by the role of the agent and the name of its task."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_speaker: ContextVar[str | None] = ContextVar("omium_crewai_speaker", default=None)
_service: ContextVar[str | None] = ContextVar("omium_crewai_service", default=None)


def _short(text: object) -> str:
    return " ".join(str(text).split())[:80]


def speaks(agent: Any, task: Any) -> None:
    """The model is about to be called for this agent and task, as far as the framework says so."""
    role = getattr(agent, "role", None)
    name = getattr(task, "name", None)
    if role and name:
        _speaker.set(f"{_short(role)} ({_short(name)})")
    else:
        _speaker.set(_short(role) if role else None)


@contextmanager
def service(name: str) -> Generator[None]:
    """What the model is asked meanwhile is asked by this part of the framework, whoever spoke last."""
    before = _service.set(name)
    try:
        yield
    finally:
        _service.reset(before)


def label_of(model: str) -> str:
    """`researcher (find sources): gpt-4o`, `memory: gpt-4o`, as far as they are known."""
    speaker = _service.get() or _speaker.get()
    return f"{speaker}: {model}" if speaker else model

"""What the code of one run shares across its threads: its context, and what must be the same in every attempt."""

from __future__ import annotations

import threading
import uuid
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from ...context import Context
from ...replay.run import Run
from ..journal import current_run, from_thread

_IDS = uuid.UUID("6f6d6975-6d00-5000-8000-637265776169")


@dataclass(slots=True)
class World:
    run: Run
    ctx: Context
    lock: threading.Lock = field(default_factory=threading.Lock)
    cached: dict[str, Any] = field(default_factory=dict[str, Any])
    """answers of tools, see tools.py"""
    outputs: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """of the tasks that were completed"""
    methods: int = 0
    """of flows, that have finished"""
    ids: int = 0
    now_ms: float | None = None

    def next_id(self) -> str:
        """An id that looks random and is the same in every attempt, when ids are asked for in the same order."""
        with self.lock:
            self.ids += 1
            return str(uuid.uuid5(_IDS, f"{self.run.execution_id}/{self.ids}"))

    def clock_ms(self) -> float:
        """The recorded time at which the run first asked for one."""
        with self.lock:
            if self.now_ms is None:
                self.now_ms = float(from_thread(self.run, self.ctx.now))
            return self.now_ms


_world: ContextVar[World | None] = ContextVar("omium_crewai", default=None)


def enter(world: World) -> None:
    """From here on this thread, and all that it starts, runs code of that run."""
    _world.set(world)


def here() -> World | None:
    """The world of the run whose own code runs; None outside of runs and inside of steps."""
    return None if current_run() is None else _world.get()

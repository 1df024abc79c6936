"""What a run needs from whoever hosts it: the worker, or the test harness."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import random
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from ..protocol import WorkerMessage

if TYPE_CHECKING:
    from ..agent import AnyAgent
    from ..client.checkpoints import NewCheckpoint
    from ..llm.model import LlmSettings
    from .run import Run

EndReason: TypeAlias = Literal[
    "completed", "failed", "suspended", "cancelled", "paused", "timed_out", "fenced", "abandoned"
]
"""How an attempt ends."""


class RunPort(Protocol):
    """The host of a run. Its methods are called on its loop."""

    loop: asyncio.AbstractEventLoop
    executor: Executor
    """where step functions run that are not async"""
    log: logging.Logger
    llm: LlmSettings

    def send(self, message: WorkerMessage) -> None:
        """Hands a message to the engine, in order; never raises."""
        ...

    def schedule(self, run: Run) -> None:
        """`run.turn()` is to be called once, when the run's code stands still."""
        ...

    def finished(self, run: Run) -> None:
        """The run is over for this process."""
        ...

    def waiting(self, run: Run) -> None:
        """Nothing of the run can go on until something resolves."""
        ...

    def keep(self, state: NewCheckpoint) -> None:
        """Has a state stored for people to look at, some time soon; never raises, nothing waits for it."""
        ...

    def now(self) -> float:
        """ms since the epoch"""
        ...

    def after(self, ms: float, callback: Callable[[], None]) -> Callable[[], None]:
        """Calls back after `ms`; gives a function that prevents it."""
        ...

    def uuid(self) -> str: ...

    def random(self) -> float:
        """0 <= n < 1"""
        ...

    def substitute(self, name: str, fn: Callable[..., Any]) -> Callable[..., Any]:
        """What runs in a step's place, in tests."""
        ...

    def met(self, agent: AnyAgent) -> None:
        """A child is about to be called by its agent, not only by its id."""
        ...


class LivePort:
    """The part of a host that is the same wherever runs live outside of tests: real time, chance, and nothing in a step's place."""

    loop: asyncio.AbstractEventLoop

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        # timers belong to no run, whoever asked for them
        self._context = contextvars.Context()

    def now(self) -> float:
        return time.time_ns() / 1_000_000

    def after(self, ms: float, callback: Callable[[], None]) -> Callable[[], None]:
        return self.loop.call_later(ms / 1000, callback, context=self._context).cancel

    def uuid(self) -> str:
        return str(uuid.uuid4())

    def random(self) -> float:
        return random.random()

    def substitute(self, name: str, fn: Callable[..., Any]) -> Callable[..., Any]:
        return fn

    def met(self, agent: AnyAgent) -> None:
        pass


class Turns:
    """Gives runs their turns: one release each, once their code stands still."""

    # a run whose code spins (`while ...: await asyncio.sleep(0)`) is released all the same after so many looks
    _PATIENCE = 10_000
    # code in other threads goes on while this one rests, and not while it looks
    _REST_S = 0.0005

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._due: dict[Run, int] = {}
        self._armed: asyncio.Handle | None = None
        # turns belong to no run, whoever asked for them
        self._context = contextvars.Context()

    @property
    def empty(self) -> bool:
        return not self._due

    @property
    def resting(self) -> bool:
        """All that is due waits for code in other threads."""
        return isinstance(self._armed, asyncio.TimerHandle)

    def schedule(self, run: Run) -> None:
        if run not in self._due:
            self._due[run] = 0
            if self._armed is not None and self.resting:
                self._armed.cancel()
                self._armed = None
        self._arm()

    def _arm(self) -> None:
        if self._armed is not None:
            return
        if any(looks == 0 or not run.activity.threaded for run, looks in self._due.items()):
            self._armed = self._loop.call_soon(self._serve, context=self._context)
        else:
            self._armed = self._loop.call_later(self._REST_S, self._serve, context=self._context)

    def _serve(self) -> None:
        self._armed = None
        due = self._due
        self._due = {}
        for run, looks in due.items():
            if run.activity.still or looks >= self._PATIENCE:
                run.turn()
            else:
                self._due[run] = looks + 1
        if self._due:
            self._arm()

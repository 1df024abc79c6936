"""The runs of a worker that have processes of their own."""

from __future__ import annotations

import asyncio

from ..isolation import IsolatedRun, IsolatedRunPort, Limits, Nursery
from ..isolation.limits import WATCH_EVERY_S
from ..protocol import EngineMessage
from .residency import Residency


class IsolatedRuns:
    """Whose attempts execute where, what they may take, and when a process that waits is sent away."""

    def __init__(
        self,
        nursery: Nursery,
        agents: frozenset[str],
        fresh: frozenset[str],
        limits: Limits,
        loop: asyncio.AbstractEventLoop,
        resident_s: float,
        max_resident: int,
    ) -> None:
        self.agents = agents
        self._fresh = fresh
        # a process that waits costs more memory than a run does: only so many stay as may run
        self.residency = Residency(loop, resident_s, max_resident)
        self._nursery = nursery
        self._limits = limits
        self._loop = loop
        self._processes: set[IsolatedRun] = set()
        self._watch: asyncio.TimerHandle | None = None

    def run(self, assign: EngineMessage, port: IsolatedRunPort) -> IsolatedRun:
        """A new process's run."""
        fresh = assign.get("agentId", "") in self._fresh
        run = IsolatedRun(assign, port, self._nursery, self._limits, lambda: self._processes.discard(run), fresh=fresh)
        self._processes.add(run)
        if self._watch is None and (self._limits.memory_mb is not None or self._limits.stall_s is not None):
            self._look()
        return run

    def close(self) -> None:
        """Kills every process."""
        if self._watch is not None:
            self._watch.cancel()
        self.residency.close()
        self._nursery.close()

    def _look(self) -> None:
        for run in list(self._processes):
            run.look()
        self._watch = self._loop.call_later(WATCH_EVERY_S, self._look)

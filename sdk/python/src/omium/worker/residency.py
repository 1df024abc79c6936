"""Sends runs away that wait for long, or that are too many: they come back when something resolves."""

from __future__ import annotations

import asyncio
import contextvars
import time

from .hosted_run import HostedRun

_CHECK_EVERY_S = 0.25


class Residency:
    """Runs that wait in memory, oldest first."""

    def __init__(self, loop: asyncio.AbstractEventLoop, resident_s: float, max_resident: int) -> None:
        self._loop = loop
        self._resident_s = resident_s
        self._max_resident = max_resident
        self._since: dict[HostedRun, float] = {}
        self._context = contextvars.Context()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, run: HostedRun) -> None:
        """The run waits as of now."""
        self._since.pop(run, None)
        self._since[run] = time.monotonic()
        while len(self._since) > self._max_resident:
            self._send(next(iter(self._since)))
        if self._timer is None:
            self._arm()

    def remove(self, run: HostedRun) -> None:
        self._since.pop(run, None)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._since.clear()

    def _arm(self) -> None:
        delay = min(_CHECK_EVERY_S, max(0.01, self._resident_s / 2))
        self._timer = self._loop.call_later(delay, self._check, context=self._context)

    def _check(self) -> None:
        self._timer = None
        now = time.monotonic()
        for run, since in list(self._since.items()):
            if not run.waiting:
                self._since.pop(run, None)
            elif now - since >= self._resident_s:
                self._send(run)
            else:
                break
        if self._since:
            self._arm()

    def _send(self, run: HostedRun) -> None:
        self._since.pop(run, None)
        if run.waiting:
            run.suspend("waiting")

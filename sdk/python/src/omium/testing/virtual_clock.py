"""Time that passes only when the harness says so."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable


class VirtualClock:
    """ms since the epoch, from a given start."""

    def __init__(self, start_ms: float) -> None:
        self._now = start_ms
        self._order = itertools.count()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._cancelled: set[int] = set()

    def now(self) -> float:
        return self._now

    def at(self, time_ms: float, callback: Callable[[], None]) -> Callable[[], None]:
        """Calls back at a time; gives a function that prevents it."""
        order = next(self._order)
        heapq.heappush(self._timers, (max(time_ms, self._now), order, callback))
        return lambda: self._cancelled.add(order)

    @property
    def has_timers(self) -> bool:
        while self._timers and self._timers[0][1] in self._cancelled:
            self._cancelled.discard(heapq.heappop(self._timers)[1])
        return bool(self._timers)

    def advance(self) -> None:
        """Jumps to the earliest timer and fires it; those of one instant fire one by one, in the order of their setting."""
        if self.has_timers:
            self._now, _, callback = heapq.heappop(self._timers)
            callback()

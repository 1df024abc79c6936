"""Up to where reads of a thread have to be current, also when another gateway answers them."""

from __future__ import annotations

import threading

from ...client.checkpoints import ThreadReceipt

_THREADS_KEPT = 10_000


class Positions:
    """The newest write that is known of each thread. May be shared by threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._newest: dict[str, str] = {}

    def of(self, thread: str) -> str | None:
        return self._newest.get(thread)

    def remember(self, receipt: ThreadReceipt) -> None:
        thread, position = receipt["thread"], receipt["position"]
        with self._lock:
            known = self._newest.pop(thread, None)
            # answers to two writes at once may come in another order than the writes
            self._newest[thread] = position if known is None or _offset(known) < _offset(position) else known
            if len(self._newest) > _THREADS_KEPT:
                del self._newest[next(iter(self._newest))]


def _offset(position: str) -> int:
    """A thread stays in one partition of the log."""
    return int(position.rpartition(":")[2])

"""Stores what frameworks give as their state, beside the runs.

1. Nothing waits for it: a state is queued, and stored when its turn comes. States of one run are stored in their order.
2. It is bounded. What does not fit is dropped, the oldest first, and counted in a warning.
3. A state that is stored already, by an earlier attempt, is left as it is.
4. A state that cannot be stored is a warning, no more: runs are carried by their journal.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from collections import OrderedDict, deque

from ..client import AsyncClient
from ..client.checkpoints import NewCheckpoint
from ..errors import OmiumError

_MOST_OF_A_RUN = 32
_MOST_RUNS = 256
_AT_ONCE = 4
_CLOSE_WITHIN_S = 3.0
_WARN_EVERY_S = 30.0


class StateKeeper:
    """See the module's invariants. All methods are called on one loop."""

    def __init__(self, client: AsyncClient, log: logging.Logger) -> None:
        self._client = client
        self._log = log
        # by thread, those that have waited longest first
        self._waiting: OrderedDict[str, deque[NewCheckpoint]] = OrderedDict()
        self._busy: set[str] = set()
        self._senders: set[asyncio.Task[None]] = set()
        self._context = contextvars.Context()
        self._failures = 0
        self._warned_at = float("-inf")
        self._warned_of = 0

    def keep(self, state: NewCheckpoint) -> None:
        """Has the state stored."""
        thread = state["thread"]
        queue = self._waiting.setdefault(thread, deque())
        queue.append(state)
        if len(queue) > _MOST_OF_A_RUN:
            queue.popleft()
            self._lost("they come faster than they can be stored")
        if len(self._waiting) > _MOST_RUNS:
            _, dropped = self._waiting.popitem(last=False)
            self._lost("too many runs wait for theirs to be stored", len(dropped))
        if len(self._senders) < _AT_ONCE and self._next() is not None:
            # belongs to no run
            sender = asyncio.get_running_loop().create_task(self._send(), context=self._context.copy())
            self._senders.add(sender)
            sender.add_done_callback(self._senders.discard)

    async def close(self) -> None:
        """Gives what waits a moment to be stored."""
        if self._senders:
            await asyncio.wait(self._senders, timeout=_CLOSE_WITHIN_S)
        for sender in list(self._senders):
            sender.cancel()
        self._waiting.clear()

    def _next(self) -> str | None:
        return next((thread for thread in self._waiting if thread not in self._busy), None)

    async def _send(self) -> None:
        while (thread := self._next()) is not None:
            self._busy.add(thread)
            queue = self._waiting[thread]
            state = queue.popleft()
            if not queue:
                del self._waiting[thread]
            try:
                await self._client.checkpoints.store(state)
            except OmiumError as error:
                if error.code != "checkpoint_conflict":
                    self._lost(f"{error.code}: {error}")
            except Exception as error:
                # whatever is wrong with one state, the next may be stored
                self._lost(f"{type(error).__name__}: {error}")
            finally:
                self._busy.discard(thread)

    def _lost(self, why: str, states: int = 1) -> None:
        self._failures += states
        now = time.monotonic()
        if now - self._warned_at < _WARN_EVERY_S:
            return
        lost = self._failures - self._warned_of
        self._warned_at, self._warned_of = now, self._failures
        self._log.warning("%d state(s) of frameworks could not be stored; their runs go on: %s", lost, why)

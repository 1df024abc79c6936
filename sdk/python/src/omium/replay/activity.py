"""Whose code is running, and when a run's code stands still.

Replay needs to know when the code of one run can't go on, among many runs that share an event loop. asyncio has no such
notion: a result that reaches a future wakes its task one iteration later, a `gather` around it two iterations later. So
`StillLoop` counts, for every run, the callbacks that are ready and have not run.

1. A callback belongs to the run whose context it carries; asyncio hands the context of a task on to all it wakes.
2. Code inside a step belongs to the step: it is not counted, however long it is busy.
3. A thread that the run's code started counts as well, until it ends or waits for a recorded call.
4. A run whose count is zero can only go on when something outside of it happens: a release, or I/O of its own.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

if TYPE_CHECKING:
    from .run import Run

_T = TypeVar("_T")


class Activity:
    """The ready callbacks and the tasks of one run's own code."""

    __slots__ = ("_ready", "tasks", "threads")

    def __init__(self) -> None:
        self._ready: set[asyncio.Handle] = set()
        self.threads = 0
        """threads that run its code and do not wait for a recorded call"""
        self.tasks: WeakSet[asyncio.Task[Any]] = WeakSet()

    @property
    def still(self) -> bool:
        """Nothing is ready to run. A handle that was cancelled never runs and does not count."""
        if self._ready and any(handle.cancelled() for handle in self._ready):
            self._ready = {handle for handle in self._ready if not handle.cancelled()}
        return not self._ready and self.threads <= 0

    def add(self, handle: asyncio.Handle) -> None:
        self._ready.add(handle)

    def discard(self, handle: asyncio.Handle) -> None:
        self._ready.discard(handle)


@dataclass(frozen=True, slots=True)
class Ambient:
    """Whose code is running: of a run, and of which of its steps."""

    run: Run
    inside_step: str | None
    """set inside a step function"""


ambient: ContextVar[Ambient | None] = ContextVar("omium_ambient", default=None)


class StillLoop(asyncio.SelectorEventLoop):
    """An event loop that knows which runs stand still; workers and the test harness run on one."""

    def call_soon(
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        owner = ambient.get() if context is None else context.get(ambient)
        if owner is None or owner.inside_step is not None:
            return super().call_soon(callback, *args, context=context)
        activity = owner.run.activity
        held: list[asyncio.Handle] = []

        def counted() -> None:
            activity.discard(held[0])
            callback(*args)

        handle = super().call_soon(counted, context=context)
        held.append(handle)
        activity.add(handle)
        return handle

    def run_in_executor(self, executor: Executor | None, func: Callable[..., _T], *args: Any) -> asyncio.Future[_T]:
        owner = ambient.get()
        if owner is not None and (executor is None or isinstance(executor, ThreadPoolExecutor)):
            # asyncio leaves the context behind, and with it whose code runs in the thread and in which step
            func = partial(contextvars.copy_context().run, func)
        future = super().run_in_executor(executor, func, *args)
        if owner is not None and owner.inside_step is None:
            activity = owner.run.activity
            activity.threads += 1

            def ended(_: object) -> None:
                activity.threads -= 1

            future.add_done_callback(ended)
        return future

    def create_task(self, coro: Generator[Any, None, _T] | Coroutine[Any, Any, _T], **options: Any) -> asyncio.Task[_T]:
        task: asyncio.Task[_T] = super().create_task(coro, **options)
        context: contextvars.Context | None = options.get("context")
        owner = ambient.get() if context is None else context.get(ambient)
        if owner is not None and owner.inside_step is None:
            owner.run.activity.tasks.add(task)
        return task

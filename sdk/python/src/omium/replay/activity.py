"""Whose code is running, and when a run's code stands still.

Replay needs to know when the code of one run can't go on, among many runs that share an event loop. asyncio has no such
notion: a result that reaches a future wakes its task one iteration later, a `gather` around it two iterations later. So
`StillLoop` counts, for every run, the callbacks that are ready and have not run.

1. A callback belongs to the run whose context it carries; asyncio hands the context of a task on to all it wakes.
2. Code inside a step belongs to the step: it is not counted, however long it is busy.
3. A thread that the run's code started counts as well, until it ends or waits for a recorded call.
4. A loop that the run's code runs in a thread of its own (`CodeLoop`) counts by its callbacks, and its thread does not.
   A callback that blocks in a recorded call is still counted as ready; the call counts against it.
5. A run whose count is zero can only go on when something outside of it happens: a release, or I/O of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
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


class _Ready:
    """A callback that is ready, or that runs."""

    __slots__ = ("handle",)

    def __init__(self) -> None:
        self.handle: asyncio.Handle | None = None


class Activity:
    """The ready callbacks, the tasks and the threads of one run's own code."""

    __slots__ = ("_lock", "_ready", "_threads", "tasks", "threaded")

    def __init__(self) -> None:
        self._ready: set[_Ready] = set()
        self._threads = 0
        self._lock = threading.Lock()
        self.threaded = False
        """some of it has run in threads"""
        self.tasks: WeakSet[asyncio.Task[Any]] = WeakSet()

    @property
    def still(self) -> bool:
        """Nothing runs or is ready to. A handle that was cancelled never runs and does not count."""
        if self._ready:
            for one in tuple(self._ready):
                if one.handle is not None and one.handle.cancelled():
                    self._ready.discard(one)
        return len(self._ready) + self._threads <= 0

    def thread_began(self) -> None:
        """A thread runs the run's code, or goes on with it. To be paired; from any thread."""
        with self._lock:
            self._threads += 1
            self.threaded = True

    def thread_ended(self) -> None:
        """A thread of the run's code has ended, or waits for a recorded call."""
        with self._lock:
            self._threads -= 1

    def cancel_tasks(self, why: str) -> None:
        """Ends what still runs of the run's code. Called on the host's loop."""
        here = asyncio.get_running_loop()
        for task in list(self.tasks):
            if task.done():
                continue
            # what it raises in its end is nobody's business any more, and no error in the worker's log
            task.add_done_callback(_forget)
            loop = task.get_loop()
            if loop is here:
                task.cancel(why)
            else:
                # a loop in another thread has to be woken; one that was closed has nothing left to end
                with contextlib.suppress(RuntimeError):
                    loop.call_soon_threadsafe(task.cancel, why)

    def add(self, ready: _Ready) -> None:
        self._ready.add(ready)

    def discard(self, ready: _Ready) -> None:
        self._ready.discard(ready)


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
        return _counted(super().call_soon, callback, args, context)

    def call_soon_threadsafe(
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        return _counted(super().call_soon_threadsafe, callback, args, context)

    def run_in_executor(self, executor: Executor | None, func: Callable[..., _T], *args: Any) -> asyncio.Future[_T]:
        owner = ambient.get()
        if owner is not None and (executor is None or isinstance(executor, ThreadPoolExecutor)):
            # asyncio leaves the context behind, and with it whose code runs in the thread and in which step
            func = partial(contextvars.copy_context().run, func)
        future = super().run_in_executor(executor, func, *args)
        if owner is not None and owner.inside_step is None:
            activity = owner.run.activity
            activity.thread_began()
            future.add_done_callback(lambda _: activity.thread_ended())
        return future

    def create_task(self, coro: Generator[Any, None, _T] | Coroutine[Any, Any, _T], **options: Any) -> asyncio.Task[_T]:
        task: asyncio.Task[_T] = super().create_task(coro, **options)
        context: contextvars.Context | None = options.get("context")
        owner = ambient.get() if context is None else context.get(ambient)
        if owner is not None and owner.inside_step is None:
            owner.run.activity.tasks.add(task)
        return task


def _forget(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()


def _counted(
    schedule: Callable[..., asyncio.Handle],
    callback: Callable[..., object],
    args: tuple[Any, ...],
    context: contextvars.Context | None,
    default: Activity | None = None,
) -> asyncio.Handle:
    owner = ambient.get() if context is None else context.get(ambient)
    if owner is not None and owner.inside_step is not None:
        return schedule(callback, *args, context=context)
    activity = default if owner is None else owner.run.activity
    if activity is None:
        return schedule(callback, *args, context=context)
    ready = _Ready()

    def counted() -> None:
        try:
            callback(*args)
        finally:
            activity.discard(ready)

    activity.add(ready)
    ready.handle = schedule(counted, context=context)
    return ready.handle


class CodeLoop(StillLoop):
    """A loop that code of a run runs in a thread of its own, as `asyncio.run` does. All that is ready on it is of that run."""

    def __init__(self, activity: Activity) -> None:
        super().__init__()
        self._activity = activity

    def call_soon(
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        return _counted(super(StillLoop, self).call_soon, callback, args, context, self._activity)

    def call_soon_threadsafe(
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        return _counted(super(StillLoop, self).call_soon_threadsafe, callback, args, context, self._activity)

    def run_forever(self) -> None:
        self._activity.thread_ended()
        try:
            super().run_forever()
        finally:
            self._activity.thread_began()

    async def shutdown_default_executor(self, *args: Any) -> None:
        # a thread waits for those of the executor, while nothing on this loop is ready
        self._activity.thread_began()
        try:
            await super().shutdown_default_executor(*args)
        finally:
            self._activity.thread_ended()


class CodeLoopPolicy(asyncio.DefaultEventLoopPolicy):
    """Gives a `CodeLoop` to code of a run that makes itself a loop, any other what it gets without Omium."""

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        owner = ambient.get()
        if owner is None or owner.inside_step is not None:
            return super().new_event_loop()
        return CodeLoop(owner.run.activity)

"""Calls that a framework makes, recorded and answered from the record.

1. A call is told apart by what it asks: its path is the hash of its request and how often this very request was made in
   this run. The order in which a framework makes its calls may differ between attempts, their paths do not.
2. It is released like every call: one at a time, in the order of the log, when the run's code stands still. A thread of
   the run's code counts as code, and stands still while it waits here.
3. A call that is not in the record while something recorded has not been asked for is held, then a mismatch; it is never
   made.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Literal, TypeVar

from ..context import Effect, ask_step
from ..errors import OmiumError
from ..json import JsonValue, request_hash_of
from ..policy import Retry, RetryPolicy
from ..replay.activity import StillLoop, ambient
from ..replay.run import Run
from ..replay.step_call import Reconcile

_T = TypeVar("_T")


def hush(*loggers: str) -> None:
    """Keeps out of the worker's log what a framework says about each message (with its content), unless the user has set a
    level, and about being cancelled: a run that ends or waits is no error."""
    for name in loggers:
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.WARNING)
        if _no_cancellation not in logger.filters:
            logger.addFilter(_no_cancellation)


def _no_cancellation(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else sys.exception()
    return not isinstance(error, asyncio.CancelledError)


async def under(
    name: contextvars.ContextVar[str | None], value: str | None, items: AsyncIterator[_T]
) -> AsyncIterator[_T]:
    """The items of a generator, whose own code finds the value in the context; that of its consumer does not."""
    while True:
        before = name.get()
        name.set(value)
        try:
            item = await anext(items)
        except StopAsyncIteration:
            return
        finally:
            name.set(before)
        yield item


def current_run() -> Run | None:
    """The run whose own code is running; None outside of runs and inside of steps."""
    current = ambient.get()
    return None if current is None or current.inside_step is not None else current.run


async def record_call(
    run: Run,
    label: str,
    name: str,
    request: JsonValue,
    fn: Callable[..., Any],
    *,
    kind: Literal["llm", "tool"],
    retry: Retry | bool | None = None,
    base_retry: RetryPolicy | None = None,
    effect: bool | Effect | None = None,
    reserve_micro_credits: int | None = None,
    reconcile: Reconcile | None = None,
) -> Any:
    """The recorded result of a call, or that of `fn`. Raises OmiumError as a step does."""
    path = run.framework_calls.next(label, request_hash_of(request))
    return await ask_step(
        run,
        path,
        name[:200] or label,
        fn,
        kind=kind,
        input=request,
        retry=retry,
        base_retry=base_retry,
        effect=effect,
        reserve_micro_credits=reserve_micro_credits,
        reconcile=reconcile,
    )


def from_thread(run: Run, call: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Makes an async call of the run's from a thread of its code, and waits for it there.

    Raises OmiumError `invalid_request` on the loop itself, which would wait for itself for ever.
    """
    try:
        on_loop = asyncio.get_running_loop() is run.port.loop
    except RuntimeError:
        on_loop = False
    if on_loop:
        raise OmiumError(
            "invalid_request",
            "a blocking call was made on the worker's event loop: use the async variant (ainvoke, AsyncOpenAI), "
            "or make it from a function that is not async",
        )
    return _asked(run, call, from_thread=True).result()


async def from_loop(run: Run, call: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Makes an async call of the run's from whichever loop its code runs on, and waits for it there."""
    here = asyncio.get_running_loop()
    if here is run.port.loop:
        return await call()
    # a loop of the run's own tells by itself whether anything on it is ready
    return await asyncio.wrap_future(_asked(run, call, from_thread=not isinstance(here, StillLoop)))


def _asked(run: Run, call: Callable[[], Coroutine[Any, Any, Any]], *, from_thread: bool) -> Future[Any]:
    """The answer of a call that is made on the run's loop. A thread that waits for it stands still until then."""
    answer: Future[Any] = Future()

    async def ask() -> Any:
        if from_thread:
            run.activity.thread_ended()
        try:
            return await call()
        finally:
            if from_thread:
                run.activity.thread_began()

    def ended(task: asyncio.Task[Any]) -> None:
        # also a task that was cancelled before it began: whoever waits must not wait for ever
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if not answer.set_running_or_notify_cancel():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(task.result())

    def begin() -> None:
        if run.closed:
            answer.set_exception(asyncio.CancelledError())
        else:
            run.port.loop.create_task(ask()).add_done_callback(ended)

    run.port.loop.call_soon_threadsafe(begin, context=contextvars.copy_context())
    return answer


def on_this_loop(run: Run, fn: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Coroutine[Any, Any, Any]]:
    """`fn`, bound to the loop of its caller: connections and locks that it uses belong to that loop, wherever its step runs."""
    here = asyncio.get_running_loop()
    if here is run.port.loop:
        return fn

    async def there(*args: Any) -> Any:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(fn(*args), here))

    return there

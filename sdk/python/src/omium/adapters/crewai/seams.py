"""Where CrewAI is changed while it runs in a worker, and why. Outside of runs all of it behaves as it does without Omium.

1. Threads that it starts by itself are counted as the run's code (see replay/activity.py).
2. Times and ids that can come into a prompt are recorded or derived.
3. What it would wait for or store beside the journal it does not, where that would change or slow a replay.
"""

# The framework's insides.
# pyright: basic, reportPrivateUsage=false, reportPrivateImportUsage=false, reportDeprecated=false

from __future__ import annotations

import asyncio
import contextvars
import datetime as dt
import logging
import os
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, cast

from crewai import Flow
from crewai.agents import agent_executor
from crewai.events import crewai_event_bus
from crewai.events.event_bus import CrewAIEventsBus
from crewai.events.types.flow_events import MethodExecutionFinishedEvent, MethodExecutionStartedEvent
from crewai.events.types.task_events import TaskCompletedEvent, TaskStartedEvent
from crewai.flow import runtime as flow_runtime
from crewai.flow.flow_config import flow_config
from crewai.llms.base_llm import BaseLLM
from crewai.task import Task
from crewai.utilities import prompts
from crewai.utilities.rpm_controller import RPMController
from crewai.utilities.task_output_storage_handler import TaskOutputStorageHandler

from ...replay.activity import Activity, CodeLoopPolicy
from ..native_state import keep_state
from . import memory, names, tools
from .outputs import state_of, task_output
from .people import Questions
from .world import World, here

_originals: dict[str, Any] = {}


def install() -> None:
    """Once for the process."""
    if _originals:
        return
    _originals["execute_async"] = Task.execute_async
    _originals["check_or_wait"] = RPMController.check_or_wait
    _originals["call_started"] = BaseLLM._emit_call_started_event
    _originals["uuid4"] = flow_runtime.uuid4
    _originals["emit"] = CrewAIEventsBus.emit
    _originals["bus"] = CrewAIEventsBus._ensure_executor_initialized
    asyncio.set_event_loop_policy(CodeLoopPolicy())
    Task.execute_async = _execute_async  # type: ignore[method-assign]
    RPMController.check_or_wait = _check_or_wait  # type: ignore[method-assign]
    BaseLLM._emit_call_started_event = _call_started  # type: ignore[method-assign]
    CrewAIEventsBus._ensure_executor_initialized = _start_bus  # type: ignore[method-assign]
    CrewAIEventsBus.emit = _emit  # type: ignore[method-assign]
    agent_executor.ThreadPoolExecutor = _CountedPool  # type: ignore[misc]
    flow_runtime.uuid4 = _uuid4
    prompts.datetime = _RecordedTime  # type: ignore[misc]
    for name in ("update", "add", "reset"):
        _store_nothing(name)
    questions = Questions()
    flow_config.hitl_provider = cast(Any, questions)
    flow_config.input_provider = questions
    tools.install()
    memory.install(_CountedPool, _RecordedTime, _uuid4)
    _show_progress()
    for logger in ("", "crewai.llms.base_llm"):
        logging.getLogger(logger).addFilter(_is_of_use)
    os.register_at_fork(after_in_child=_renew_bus)


# ---- threads


class _Joined(Future[Any]):
    """The result of a thread of the run. Whoever waits for it hands on what counts it, and gets it back with the result."""

    def __init__(self, activity: Activity) -> None:
        super().__init__()
        self._activity = activity
        self._guard = threading.Lock()
        self._awaited = False
        self.add_done_callback(self._ended)

    def _ended(self, _: object) -> None:
        with self._guard:
            if self._awaited:
                return
        self._activity.thread_ended()

    def result(self, timeout: float | None = None) -> Any:
        with self._guard:
            waits = not self.done() and not self._awaited
            if waits:
                self._awaited = True
        if waits:
            self._activity.thread_ended()
        return super().result(timeout)


def _execute_async(self: Task, agent: Any = None, context: Any = None, tools: Any = None) -> Future[Any]:
    world = here()
    if world is None:
        return cast("Future[Any]", _originals["execute_async"](self, agent, context, tools))
    activity = world.run.activity
    future = _Joined(activity)

    def execute() -> None:
        try:
            self._execute_task_async(agent, context, tools, future)
        except BaseException as error:
            # the run is over: whoever waits for this task must not wait for ever
            future.set_exception(error)

    activity.thread_began()
    threading.Thread(target=contextvars.copy_context().run, args=(execute,), daemon=True).start()
    return future


class _CountedPool(ThreadPoolExecutor):
    """A pool whose maker waits for it: the maker counts for the first of the threads, each other for itself."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._open = 0
        self._guard = threading.Lock()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **options: Any) -> Future[Any]:
        world = here()
        if world is None:
            return super().submit(fn, *args, **options)
        activity = world.run.activity
        with self._guard:
            if self._open > 0:
                activity.thread_began()
            self._open += 1

        def ended(_: object) -> None:
            with self._guard:
                self._open -= 1
                if self._open > 0:
                    activity.thread_ended()

        future = super().submit(fn, *args, **options)
        future.add_done_callback(ended)
        return future


def _start_bus(self: CrewAIEventsBus) -> None:
    # the loop of the event bus is started by whoever emits first, and belongs to no run
    contextvars.Context().run(_originals["bus"], self)


def _renew_bus() -> None:
    # its threads do not live on in a forked process; the first event there starts others
    crewai_event_bus._executor_initialized = False


def _emit(self: CrewAIEventsBus, source: Any, event: Any) -> Future[None] | None:
    world = here()
    if world is not None:
        _keep_state(world, source, event)
    handled = cast("Future[None] | None", _originals["emit"](self, source, event))
    if world is None or handled is None:
        return handled
    # handlers are run by threads of the bus; code that waits for them has not come to a stand
    activity = world.run.activity
    told: Future[None] = Future()

    def done(_: object) -> None:
        # first whoever waits is woken, then its waker ends
        if told.set_running_or_notify_cancel():
            told.set_result(None)
        activity.thread_ended()

    activity.thread_began()
    handled.add_done_callback(done)
    return told


# ---- times and ids


class _RecordedTime(dt.datetime):
    """The clock of prompts with a date in them."""

    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> Any:
        world = here()
        return dt.datetime.now(tz) if world is None else dt.datetime.fromtimestamp(world.clock_ms() / 1000, tz)

    @classmethod
    def utcnow(cls) -> Any:
        return cls.now(dt.UTC).replace(tzinfo=None)


def _uuid4() -> uuid.UUID:
    world = here()
    return cast(uuid.UUID, _originals["uuid4"]()) if world is None else uuid.UUID(world.next_id())


# ---- waits and stores


def _check_or_wait(self: RPMController) -> bool:
    world = here()
    # a recorded call costs the provider nothing
    return True if world is not None and world.run.replaying else bool(_originals["check_or_wait"](self))


def _store_nothing(name: str) -> None:
    original = getattr(TaskOutputStorageHandler, name)

    def store(self: TaskOutputStorageHandler, *args: Any, **options: Any) -> Any:
        # one database for all crews of the process; the journal has it all
        return original(self, *args, **options) if here() is None else None

    setattr(TaskOutputStorageHandler, name, store)


# ---- what is kept and shown


def _keep_state(world: World, source: Any, event: Any) -> None:
    """The moments at which CrewAI's state has changed."""
    if isinstance(event, TaskCompletedEvent):
        with world.lock:
            world.outputs.append(task_output(event.output))
            outputs = list(world.outputs)
        label = f"after {_role(event.task)}: {getattr(event.task, 'name', None) or 'a task'}"
        keep_state(world.run, "crewai", f"task-{len(outputs)}", lambda: {"tasks": outputs}, label=label)
    elif isinstance(event, MethodExecutionFinishedEvent) and isinstance(source, Flow):
        with world.lock:
            world.methods += 1
            number = world.methods
        flow = cast("Flow[Any]", source)
        label = f"after {event.method_name}"
        keep_state(world.run, "crewai", f"method-{number}", lambda: {"state": state_of(flow)}, label=label)


def _call_started(self: BaseLLM, *args: Any, **options: Any) -> None:
    names.speaks(options.get("from_agent"), options.get("from_task"))
    _originals["call_started"](self, *args, **options)


def _show_progress() -> None:
    bus = crewai_event_bus

    def task_started(source: Any, event: TaskStartedEvent) -> None:
        _show("task", getattr(event.task, "name", None), f"{_role(event.task)} began\n")

    def task_completed(source: Any, event: TaskCompletedEvent) -> None:
        _show("task", getattr(event.task, "name", None), f"{_role(event.task)} finished: {event.output.raw[:1000]}\n")

    def method_started(source: Any, event: MethodExecutionStartedEvent) -> None:
        _show("method", event.method_name, "began\n")

    def method_finished(source: Any, event: MethodExecutionFinishedEvent) -> None:
        _show("method", event.method_name, "finished\n")

    bus.on(TaskStartedEvent)(task_started)
    bus.on(TaskCompletedEvent)(task_completed)
    bus.on(MethodExecutionStartedEvent)(method_started)
    bus.on(MethodExecutionFinishedEvent)(method_finished)


def _is_of_use(record: logging.LogRecord) -> bool:
    # each call of a model is a step, with its tokens; the length of requests to unknown models is a guess that nobody can help
    return not str(record.msg).startswith(
        ("OpenAI API usage: ", "OpenAI: Successfully validated tool ", "Using an approximate input token count ")
    )


def _role(task: Any) -> str:
    return " ".join(str(getattr(getattr(task, "agent", None), "role", "")).split())


def _show(kind: str, name: object, text: str) -> None:
    """Live output; no event, so that nothing depends on it."""
    world = here()
    if world is None or world.run.replaying or world.run.closed:
        return
    path = f"{kind}:{' '.join(str(name or 'unnamed').split())[:200]}"
    message = {"type": "delta", **world.run.ids, "path": path, "text": text}
    # by nobody's code: it must not keep the run from standing still
    world.run.port.loop.call_soon_threadsafe(world.run.port.send, message, context=contextvars.Context())

"""One attempt in a process of its own: one event loop, one `Run`, and a port that talks to the worker.

1. The process ends when its run is over, or when the worker's end of the socket closes, whatever user code is doing.
2. Standard output and error go to the worker; nothing that user code writes can get between the messages.
3. What user code forks has no part in the run: it can't send for it, and it ends when it comes back from user code.
"""

from __future__ import annotations

import asyncio
import contextvars
import faulthandler
import json
import logging
import os
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, cast

from ..agent import AnyAgent
from ..client.checkpoints import NewCheckpoint
from ..errors import OmiumError
from ..llm.model import LlmSettings
from ..protocol import EngineMessage, WorkerMessage, refusal_of, text_of
from ..replay.activity import StillLoop
from ..replay.port import LivePort, Turns
from ..replay.run import Run
from .limits import CANCEL_GRACE_S, bound_address_space

_CLEAN_UP_S = CANCEL_GRACE_S / 2
"""What user code's `finally` blocks get once the run is over; the worker kills after twice that."""


@dataclass(frozen=True, slots=True)
class AttemptSettings:
    agents: Mapping[str, AnyAgent]
    llm: Callable[[], LlmSettings]
    threads: int
    memory_mb: int | None
    log: logging.Logger


def run_attempt(settings: AttemptSettings, channel: socket.socket, output: int) -> NoReturn:
    """Runs what the worker assigns, then ends this process."""
    _take_over_output(output)
    _be_the_first_to_be_killed()
    if settings.memory_mb is not None:
        bound_address_space(settings.memory_mb)
    # forks would draw the same numbers; Python's own generator is seeded anew by itself
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        cast("Any", numpy).random.seed()
    lines = channel.makefile("rb")
    first = lines.readline()
    if not first:
        os._exit(0)
    assign = cast(EngineMessage, json.loads(first))
    with asyncio.Runner(loop_factory=StillLoop) as runner:
        runner.run(_execute(settings, channel, lines, assign))
    raise AssertionError("unreachable: the attempt ends its process")


async def _execute(settings: AttemptSettings, channel: socket.socket, lines: Any, assign: EngineMessage) -> None:
    port = _Port(settings, channel)
    run = Run(assign, settings.agents[assign.get("agentId", "")], port)
    port.run = run
    outside = contextvars.Context()

    def read() -> None:
        try:
            for line in lines:
                port.loop.call_soon_threadsafe(_receive, run, json.loads(line), context=outside)
        finally:
            # the worker is gone, and with it this attempt
            os._exit(0)

    threading.Thread(target=read, name="omium-read", daemon=True).start()
    await port.over.wait()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        await asyncio.wait(others, timeout=_CLEAN_UP_S)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(0)


def _receive(run: Run, message: dict[str, Any]) -> None:
    match message["type"]:
        case "drain":
            run.drain()
        case "suspend":
            if run.waiting:
                run.suspend("waiting")
        case _:
            run.receive(cast(EngineMessage, message))


def _take_over_output(output: int) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(nothing)
    os.close(output)
    # a process that dies must have said what it said
    for stream in (sys.stdout, sys.stderr):
        cast("Any", stream).reconfigure(line_buffering=True)
    faulthandler.enable(2, all_threads=False)


def _be_the_first_to_be_killed() -> None:
    """When the machine runs out of memory, better a run than the worker."""
    try:
        Path("/proc/self/oom_score_adj").write_text("500")
    except OSError:
        return


class _Port(LivePort):
    """What the run needs."""

    def __init__(self, settings: AttemptSettings, channel: socket.socket) -> None:
        super().__init__(asyncio.get_running_loop())
        self.executor: Executor = ThreadPoolExecutor(settings.threads, thread_name_prefix="omium-step")
        self.loop.set_default_executor(ThreadPoolExecutor(settings.threads, thread_name_prefix="omium-code"))
        self.log = settings.log
        self.llm = settings.llm()
        self.over = asyncio.Event()
        self.run: Run | None = None
        self._turns = Turns(self.loop)
        self._channel = channel
        self._pid = os.getpid()
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        """In what user code forked: the run's socket belongs to the run."""
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, self._channel.fileno(), inheritable=False)
        os.close(nothing)

    def send(self, message: WorkerMessage) -> None:
        if os.getpid() != self._pid:
            # what user code forked has come back from it
            os._exit(0)
        try:
            text = text_of(message)
        except OmiumError as error:
            answer = refusal_of(message, error)
            if answer is not None and self.run is not None:
                self.loop.call_soon(self.run.receive, answer, context=self._context)
            return
        try:
            self._channel.sendall(f"{text}\n".encode())
        except OSError:
            os._exit(0)

    def schedule(self, run: Run) -> None:
        self._turns.schedule(run)

    def finished(self, run: Run) -> None:
        self.over.set()

    def waiting(self, run: Run) -> None:
        pass

    def keep(self, state: NewCheckpoint) -> None:
        if self.run is not None and not self.run.over:
            self.send({"type": "keep", **self.run.ids, "state": state})

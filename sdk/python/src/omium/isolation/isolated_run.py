"""A run whose attempt executes in a process of its own, as the worker sees it: it passes messages on, and watches.

1. What the process sends about another run than its own, or that is no message of a run, ends it.
2. The run is over for the worker when the process has said so and the engine has acknowledged it, when the engine stops
   it, or when the process ends before: then its attempt is given up with the reason and the last lines that it wrote.
3. A process that outlives its run is killed. It gets a short grace to clean up.
4. A limit that is exceeded ends the process, and its attempt with a coded failure, which the run's policy judges.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import time
from collections.abc import Callable
from typing import Any, Literal, Protocol, cast

from ..client.checkpoints import NewCheckpoint
from ..errors import OmiumError, clip
from ..json import dumps
from ..protocol import EngineMessage, WorkerMessage
from .limits import CANCEL_GRACE_S, Limits, memory_exceeded, resident_bytes, stalled
from .nursery import Nursery
from .output import Output
from .wire import LINE_LIMIT

_REQUESTS = frozenset(
    (
        "step_started",
        "step_completed",
        "step_failed",
        "step_reconciled",
        "timer_start",
        "wait_start",
        "approval_request",
        "child_start",
        "complete",
        "fail",
        "suspend",
    )
)
_ENDS = frozenset(("complete", "fail", "suspend"))
_REMARKS = frozenset(("waiting", "delta", "abandon"))
_LAST_WORDS_S = 1.0
"""How long to wait for the rest of a dead process's output, and for word of how it ended."""
_DETAIL_LIMIT = 2000
_EXIT_GRACE_S = 5.0
_IMPORT_S = 120.0
"""What a fresh process may take to import the agents before its silence counts as a stall."""


class IsolatedRunPort(Protocol):
    """The worker around the run. Called on its loop."""

    loop: asyncio.AbstractEventLoop
    log: logging.Logger

    def send_text(self, text: str) -> None:
        """Hands a message, written already, to the engine."""
        ...

    def keep(self, state: NewCheckpoint) -> None:
        """Has a state stored for people to look at."""
        ...

    def finished(self, run: Any) -> None: ...
    def waiting(self, run: Any) -> None: ...


class IsolatedRun:
    """See the module's invariants. All methods are called on the worker's loop."""

    def __init__(
        self,
        assign: EngineMessage,
        port: IsolatedRunPort,
        nursery: Nursery,
        limits: Limits,
        gone: Callable[[], None],
        *,
        fresh: bool = False,
    ) -> None:
        self.execution_id: str = assign.get("executionId", "")
        self.attempt: int = assign.get("attempt", 0)
        self.over = False
        self.waiting = False
        self.pid: int | None = None
        self._port = port
        self._nursery = nursery
        self._limits = limits
        self._gone = gone
        self._last_seq = 0
        self._ending_seq: int | None = None
        self._concluded = False
        self._failing: OmiumError | None = None
        self._active_at = time.monotonic()
        self._importing = fresh
        # steps that have begun and not come back, by path: what a stall is blamed on
        self._begun: dict[str, str] = {}
        self._how: str | None = None
        self._closed = False
        self._silent = False
        self._buried = False
        self._last_words: asyncio.TimerHandle | None = None
        name = f"{self.execution_id}#{self.attempt}"
        log = port.log.getChild("run")
        self._output = Output(lambda line: log.info("%s: %s", name, line))
        self._number, channel, output = nursery.spawn(self) if fresh else nursery.fork(self)
        self._lines = _Lines(self._line, self._channel_closed)
        self._transport: asyncio.WriteTransport | None = None
        self._unsent: list[bytes] = []
        self._opening = port.loop.create_task(self._open(channel, output))
        self._write(cast("dict[str, Any]", assign))

    async def _open(self, channel: socket.socket, output: int) -> None:
        loop = self._port.loop
        await loop.connect_read_pipe(lambda: _Bytes(self._output.feed, self._output_closed), os.fdopen(output, "rb", 0))
        channel.setblocking(False)
        # a socket that is connected already, of whatever family
        transport, _ = await loop.create_connection(lambda: self._lines, sock=channel)
        self._transport = transport
        for data in self._unsent:
            transport.write(data)
        self._unsent.clear()

    def _write(self, message: dict[str, Any]) -> None:
        data = f"{dumps(message)}\n".encode()
        if self._transport is None:
            self._unsent.append(data)
        elif not self._closed:
            self._transport.write(data)

    # ---- from the engine

    def receive(self, message: EngineMessage) -> None:
        """Takes a message about this attempt, in the order of arrival."""
        if self.over:
            return
        self._active_at = time.monotonic()
        if self._failing is not None:
            self._answered_failure(message)
            return
        self._write(cast("dict[str, Any]", message))
        match message["type"]:
            case "stop":
                self._leave(message.get("reason", "fenced"))
            case "nack" if message.get("error", {}).get("code") == "attempt_fenced":
                self._leave("fenced")
            case "ack" if message.get("seq") == self._ending_seq:
                self._concluded = True
                self._kill_later(_EXIT_GRACE_S)
            case "nack" if message.get("seq") == self._ending_seq:
                self._ending_seq = None
            case "resolve":
                self.waiting = False
            case _:
                pass

    def _answered_failure(self, message: EngineMessage) -> None:
        """Our word for the process that is gone is the last of this attempt, whatever is said to it."""
        if message["type"] == "stop" or message.get("seq") == self._last_seq:
            if message["type"] == "nack":
                self._port.send_text(dumps(self._abandonment(str(self._failing))))
            self._finish()

    # ---- from the worker

    def drain(self) -> None:
        """Lets what runs come to its recorded result, begins nothing new, then suspends."""
        if not self.over:
            self._write({"type": "drain"})

    def suspend(self, reason: Literal["waiting", "drained"]) -> None:
        """Gives the run back and ends its process: it is assigned anew when something resolves."""
        if not self.over:
            self._write({"type": "suspend"} if reason == "waiting" else {"type": "drain"})

    def abandon(self, detail: str) -> None:
        """The worker can't go on with this run; the platform hands it to another."""
        if self.over:
            return
        self._port.send_text(dumps(self._abandonment(detail)))
        self._finish()
        self._nursery.kill(self._number)

    def end(self, reason: str) -> None:
        """Nothing of this attempt counts any more."""
        if self.over:
            return
        self._write({"type": "stop", "executionId": self.execution_id, "attempt": self.attempt, "reason": "fenced"})
        self._leave(reason)

    def look(self) -> None:
        """Ends the attempt when it exceeds a limit. Called again and again."""
        if self.over or self._concluded or self._failing is not None:
            return
        memory_mb, stall_s = self._limits.memory_mb, self._limits.stall_s
        if memory_mb is not None and self.pid is not None:
            used = resident_bytes(self.pid)
            if used is not None and used > memory_mb * 1024 * 1024:
                self._fail(memory_exceeded(memory_mb, used))
                return
        if stall_s is None or self.waiting:
            return
        if time.monotonic() - self._active_at > stall_s + (_IMPORT_S if self._importing else 0):
            self._fail(stalled(stall_s, next(iter(self._begun.values()), None)))

    def _fail(self, error: OmiumError) -> None:
        self._port.log.error("%s attempt %d: %s", self.execution_id, self.attempt, error)
        self._failing = error
        self._nursery.kill(self._number)
        self._last_seq += 1
        ids = {"executionId": self.execution_id, "attempt": self.attempt, "seq": self._last_seq}
        self._port.send_text(dumps({"type": "fail", **ids, "error": error.to_failure()}))

    def _leave(self, reason: str) -> None:
        self._finish()
        self._kill_later(CANCEL_GRACE_S)

    def _kill_later(self, delay_s: float) -> None:
        self._port.loop.call_later(delay_s, self._nursery.kill, self._number)

    def _finish(self) -> None:
        if not self.over:
            self.over = True
            self._port.finished(self)

    def _abandonment(self, detail: str) -> WorkerMessage:
        ids = {"executionId": self.execution_id, "attempt": self.attempt}
        return {"type": "abandon", **ids, "detail": clip(detail, _DETAIL_LIMIT)}

    # ---- from the process

    def _line(self, line: bytes) -> None:
        if self.over or self._failing is not None:
            return
        self._active_at = time.monotonic()
        self._importing = False
        try:
            text = line.decode()
            message = cast("dict[str, Any]", json.loads(text))
            kind: str = message["type"]
            ours = (message["executionId"], message["attempt"]) == (self.execution_id, self.attempt)
            if not ours or (kind not in _REQUESTS and kind not in _REMARKS and kind != "keep"):
                raise ValueError("it is about something else")
            if kind == "keep":
                self._keep(cast(NewCheckpoint, message["state"]))
                return
            if kind in _REQUESTS:
                self._last_seq = int(message["seq"])
        except (ValueError, KeyError, TypeError) as error:
            self.abandon(f"protocol_violation: the run's process sent what is no message of its run: {error}")
            return
        self._port.send_text(text)
        self.waiting = kind == "waiting" or (self.waiting and kind == "delta")
        match kind:
            case "waiting":
                self._port.waiting(self)
            case "abandon":
                self._finish()
                self._kill_later(CANCEL_GRACE_S)
            case "step_started":
                self._begun[message["path"]] = message["name"]
            case "step_completed" | "step_failed":
                self._begun.pop(message["path"], None)
            case _ if kind in _ENDS:
                self._ending_seq = self._last_seq
            case _:
                pass

    def _keep(self, state: NewCheckpoint) -> None:
        """What is for the worker, not for the engine."""
        if state["thread"] != self.execution_id:
            raise ValueError("it is about something else")
        self._port.keep(state)

    # ---- the end of the process

    def started(self, pid: int) -> None:
        self.pid = pid

    def ended(self, how: str) -> None:
        self._how = how
        self._died()

    def _channel_closed(self) -> None:
        self._closed = True
        self._died()

    def _output_closed(self) -> None:
        self._output.end()
        self._silent = True
        self._died()

    def _died(self) -> None:
        """Puts together what is known, once all is or after a moment: whoever it forked may hold its output open."""
        if self._how is not None and self._closed and self._silent:
            self._bury()
        elif self._last_words is None:
            self._last_words = self._port.loop.call_later(_LAST_WORDS_S, self._bury)

    def _bury(self) -> None:
        if self._buried:
            return
        self._buried = True
        if self._last_words is not None:
            self._last_words.cancel()
        self._nursery.kill(self._number)
        self._gone()
        if self.over or self._failing is not None:
            return
        if self._concluded:
            self._finish()
            return
        wrote = self._output.last_lines
        detail = (
            f"worker_lost: the process of attempt {self.attempt} ended ({self._how or 'it closed its connection'}) before "
            f"its run did; {f'the last that it wrote:{chr(10)}{wrote}' if wrote else 'it wrote nothing'}"
        )
        self._port.log.error("%s: %s", self.execution_id, detail)
        self._port.send_text(dumps(self._abandonment(detail)))
        self._finish()


class _Lines(asyncio.Protocol):
    """Whole lines of a stream."""

    def __init__(self, line: Callable[[bytes], None], closed: Callable[[], None]) -> None:
        self._line = line
        self._closed = closed
        self._parts: list[bytes] = []
        self._size = 0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        *lines, rest = data.split(b"\n")
        if lines:
            lines[0] = b"".join((*self._parts, lines[0]))
            self._parts, self._size = [], 0
            for line in lines:
                self._line(line)
        if rest:
            self._parts.append(rest)
            self._size += len(rest)
            if self._size > LINE_LIMIT and self._transport is not None:
                self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed()


class _Bytes(asyncio.Protocol):
    def __init__(self, feed: Callable[[bytes], None], closed: Callable[[], None]) -> None:
        self._feed = feed
        self._closed = closed

    def data_received(self, data: bytes) -> None:
        self._feed(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed()

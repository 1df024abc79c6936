"""One WebSocket to one engine, and the runs that it assigned.

1. A run lives and dies with the connection that assigned it: when the socket closes the engine has fenced its attempt.
2. What arrives for an attempt that is not the newest known is dropped.
3. The socket has two threads of its own, one that reads and one that writes and beats; runs are only touched on the loop.
   So user code that blocks the loop does not cost the worker its lease, and the loop never waits for a slow network.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import queue
import threading
from collections.abc import Callable
from typing import Protocol, cast

from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from ..errors import Failure, OmiumError
from ..json import dumps
from ..protocol import SUBPROTOCOL, EngineMessage, WorkerMessage, parse_frame, refusal_of, text_of
from .hosted_run import HostedRun

_HANDSHAKE_TIMEOUT_S = 5.0
_MAX_PAYLOAD_BYTES = 64 * 1024 * 1024
_FRAME_LIMIT = 1024 * 1024
"""A frame is closed when its JSON gets longer than this, characters."""
_PING_INTERVAL_S = 1.0
_PING_TIMEOUT_S = 5.0

_HEARTBEAT = '{"type":"heartbeat"}'


class ConnectionEvents(Protocol):
    """Called on the loop."""

    def welcomed(self, endpoint: str) -> None: ...
    def assigned(self, assign: EngineMessage, connection: EngineConnection) -> HostedRun | None:
        """Gives the run that is to execute the assignment, not begun."""
        ...

    def refused(self, endpoint: str, error: Failure) -> None:
        """For good: the engine does not want this worker as it is."""
        ...

    def closed(self, connection: EngineConnection) -> None: ...


class EngineConnection:
    """See the module's invariants. `open` and what follows are called on the loop."""

    def __init__(
        self,
        endpoint: str,
        hello: WorkerMessage,
        events: ConnectionEvents,
        loop: asyncio.AbstractEventLoop,
        log: logging.Logger,
    ) -> None:
        self.endpoint = endpoint
        self.runs: dict[str, HostedRun] = {}
        self.drained = False
        self._events = events
        self._loop = loop
        self._log = log
        self._outbox: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._beat_every_s: float | None = None
        self._socket: ClientConnection | None = None
        self._ended = False
        self._context = contextvars.Context()
        self._outbox.put(dumps(hello))
        self._reader = threading.Thread(target=self._read, name=f"omium-read-{endpoint}", daemon=True)
        self._reader.start()

    def send(self, message: WorkerMessage) -> None:
        """Hands a message to the writer; those of one moment share a frame. One that is too large is refused here."""
        try:
            text = text_of(message)
        except OmiumError as error:
            answer = refusal_of(message, error)
            if answer is not None:
                self._loop.call_soon(self._received, [answer], context=self._context)
            return
        self._outbox.put(text)

    def send_text(self, text: str) -> None:
        """Hands over a message that is written already."""
        self._outbox.put(text)

    def close(self) -> None:
        """Sends what waits, then closes."""
        self._outbox.put(None)

    def terminate(self) -> None:
        """Cuts the connection."""
        self._ended = True
        if self._socket is not None:
            threading.Thread(target=_cut, args=(self._socket,), daemon=True).start()
        self._outbox.put(None)

    # ---- in the threads of the socket

    def _read(self) -> None:
        try:
            with connect(
                self.endpoint,
                subprotocols=[Subprotocol(SUBPROTOCOL)],
                compression=None,
                open_timeout=_HANDSHAKE_TIMEOUT_S,
                ping_interval=_PING_INTERVAL_S,
                ping_timeout=_PING_TIMEOUT_S,
                close_timeout=1,
                max_size=_MAX_PAYLOAD_BYTES,
                user_agent_header=None,
                proxy=None,
            ) as socket:
                self._serve(cast(ClientConnection, socket))
        except OmiumError as error:
            self._log.error("leaving the engine at %s: %s", self.endpoint, error)
        except (OSError, WebSocketException) as error:
            self._log.warning("no connection to the engine at %s: %s", self.endpoint, error)
        finally:
            self._outbox.put(None)
            self._on_loop(self._closed)

    def _serve(self, socket: ClientConnection) -> None:
        self._socket = socket
        if self._ended:
            return
        name = f"omium-write-{self.endpoint}"
        threading.Thread(target=self._write, args=(socket,), name=name, daemon=True).start()
        for frame in socket:
            messages = parse_frame(frame)
            for message in messages:
                if message["type"] == "welcome":
                    # three times as often as the engine asks for; the first beat wakes the writer to the interval
                    self._beat_every_s = max(0.01, message.get("heartbeatIntervalMs", 0) / 3000)
                    self._outbox.put(_HEARTBEAT)
            self._on_loop(self._received, messages)

    def _write(self, socket: ClientConnection) -> None:
        try:
            while True:
                try:
                    message = self._outbox.get(timeout=self._beat_every_s)
                except queue.Empty:
                    socket.send(f"[{_HEARTBEAT}]")
                    continue
                parts: list[str] = []
                size = 0
                ending = message is None
                while message is not None:
                    parts.append(message)
                    size += len(message)
                    if size > _FRAME_LIMIT:
                        break
                    try:
                        message = self._outbox.get_nowait()
                        ending = message is None
                    except queue.Empty:
                        break
                if parts:
                    socket.send(f"[{','.join(parts)}]")
                if ending:
                    socket.close()
                    return
        except (OSError, WebSocketException):
            # the reader hears of it as well and tells; nothing sent from now on counts
            _cut(socket)

    def _on_loop(self, callback: Callable[..., object], *args: object) -> None:
        # a loop that is closed is that of a worker that has ended
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback, *args, context=self._context)

    # ---- on the loop

    def _received(self, messages: list[EngineMessage]) -> None:
        for message in messages:
            if self._ended:
                return
            try:
                self._handle(message)
            except OmiumError as error:
                self._log.error("closing the connection to the engine at %s: %s", self.endpoint, error)
                self.terminate()

    def _handle(self, message: EngineMessage) -> None:
        match message["type"]:
            case "welcome":
                self._events.welcomed(self.endpoint)
            case "refused" if "error" in message:
                self._events.refused(self.endpoint, message["error"])
            case "drained":
                self.drained = True
            case "assign":
                self._assign(message)
            case _:
                run = self.runs.get(message.get("executionId", ""))
                if run is not None and run.attempt == message.get("attempt"):
                    run.receive(message)

    def _assign(self, message: EngineMessage) -> None:
        execution_id, attempt = message.get("executionId", ""), message.get("attempt", 0)
        older = self.runs.get(execution_id)
        if older is not None:
            if older.attempt >= attempt:
                raise OmiumError(
                    "protocol_violation",
                    f"attempt {attempt} of {execution_id} was assigned after {older.attempt}",
                )
            older.end("fenced")
        run = self._events.assigned(message, self)
        if run is not None:
            self.runs[execution_id] = run
        else:
            detail = f'this worker has no agent "{message.get("agentId")}"'
            self.send({"type": "abandon", "executionId": execution_id, "attempt": attempt, "detail": detail})

    def _closed(self) -> None:
        self._ended = True
        for run in list(self.runs.values()):
            run.end("fenced")
        self.runs.clear()
        self._events.closed(self)


def _cut(socket: ClientConnection) -> None:
    """Ends a connection without the peer's consent: it may be dead."""
    with contextlib.suppress(OSError):
        socket.close_socket()

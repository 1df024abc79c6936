"""A scripted engine and gateway for tests of the worker: the real WebSocket protocol over TCP, executions kept in memory by
the harness's rules. It has no log and no durability; the real ones are the execution engine and the gateway.
"""

import contextlib
import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve
from websockets.typing import Subprotocol

from omium.agent import AnyAgent
from omium.errors import Failure
from omium.json import JsonValue
from omium.protocol import EngineMessage, WorkerMessage
from omium.testing.execution import Outcome, TestExecution
from omium.testing.virtual_clock import VirtualClock

KEY = "om_test_key"


class _RealClock(VirtualClock):
    def now(self) -> float:
        return time.time() * 1000

    def at(self, time_ms: float, callback: Callable[[], None]) -> Callable[[], None]:
        timer = threading.Timer(max(0.0, time_ms - self.now()) / 1000, callback)
        timer.start()
        return timer.cancel


class ScriptedEngine:
    """Everything happens under one lock, in the threads of the connections."""

    def __init__(
        self,
        *,
        heartbeat_ms: float = 250,
        tap: Callable[[WorkerMessage], Any] | None = None,
        reassign: bool = False,
    ) -> None:
        self.clock: VirtualClock = _RealClock(0)
        self.messages: list[WorkerMessage] = []
        self.heartbeats = 0
        self.states: list[dict[str, Any]] = []
        """checkpoints that were to be stored"""
        self.sockets: list[ServerConnection] = []
        self._tap = tap
        self._reassign = reassign
        self._heartbeat_ms = heartbeat_ms
        self._lock = threading.RLock()
        self._homes: dict[str, ServerConnection] = {}
        self._executions: dict[str, TestExecution] = {}
        self._waiting: list[TestExecution] = []
        self._server = serve(
            self._connected, "127.0.0.1", 0, subprotocols=[Subprotocol("omium.worker.v1")], close_timeout=0.2
        )
        endpoint = f"ws://127.0.0.1:{self._server.socket.getsockname()[1]}"

        states = self.states

        class Gateway(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                known = self.headers["authorization"] == f"Bearer {KEY}"
                problem = {"code": "unauthenticated", "detail": "no", "retryable": False}
                reply = {"token": "token", "endpoints": [endpoint]} if known else problem
                body = self.rfile.read(int(self.headers.get("content-length", "0")))
                if self.path == "/v1/checkpoints":
                    states.append(json.loads(body))
                self.send_response(200 if known else 401)
                self.end_headers()
                self.wfile.write(json.dumps(reply).encode())

            def log_message(self, format: str, *args: Any) -> None: ...

        self._gateway = ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
        self.url = f"http://127.0.0.1:{self._gateway.server_address[1]}"
        for serving in (self._server.serve_forever, self._gateway.serve_forever):
            threading.Thread(target=serving, daemon=True).start()

    def run(self, execution_id: str, agent: AnyAgent, given: JsonValue = None) -> "Finished":
        """Requests a run."""
        finished = Finished()
        with self._lock:
            execution = TestExecution(self, execution_id, agent, given, [], finished.end)
            self._executions[execution_id] = execution
            self._dispatch(execution)
        return finished

    def signal(self, execution_id: str, name: str, value: JsonValue) -> None:
        with self._lock:
            self._executions[execution_id].signal(name, value)

    def cut(self) -> None:
        """Cuts every connection, as a network does: the attempts on them are lost."""
        for socket in list(self.sockets):
            socket.close_socket()

    def close(self) -> None:
        self._server.shutdown()
        self.cut()
        self._gateway.shutdown()
        self._gateway.server_close()

    # ---- ExecutionHost

    def start_attempt(self, execution: TestExecution) -> None:
        self._homes[execution.id] = self.sockets[0]
        self.deliver(execution.assign)

    def stop_attempt(self, execution: TestExecution) -> None:
        self._homes.pop(execution.id, None)

    def deliver(self, message: EngineMessage) -> None:
        execution_id = message.get("executionId", "")
        home = self._homes.get(execution_id)
        if home is not None:
            self.send(home, message)
        elif execution_id in self._executions:
            # suspended: something it waits for has settled
            self._dispatch(self._executions[execution_id])

    def start_child(
        self, message: WorkerMessage, budget_micro_credits: int | None, done: Callable[[Outcome, int], None]
    ) -> None:
        raise NotImplementedError("no children here")

    def budget_of(self, agent_id: str) -> int | None:
        return None

    def approve(self, title: str, path: str, details: JsonValue) -> None:
        return None

    def crashes_after(self, path: str) -> bool:
        return False

    # ---- connections

    def send(self, socket: ServerConnection, message: object) -> None:
        with contextlib.suppress(ConnectionClosed):
            socket.send(json.dumps([message]))

    def _dispatch(self, execution: TestExecution) -> None:
        if self.sockets:
            execution.begin()
        else:
            self._waiting.append(execution)

    def _connected(self, socket: ServerConnection) -> None:
        try:
            for frame in socket:
                with self._lock:
                    for message in json.loads(frame):
                        self._handle(socket, message)
        except (ConnectionClosed, OSError):
            pass
        with self._lock:
            if socket in self.sockets:
                self.sockets.remove(socket)
            for execution in list(self._executions.values()):
                if self._homes.get(execution.id) is socket:
                    if self.sockets:
                        execution.crash()
                    else:
                        del self._homes[execution.id]
                        self._waiting.append(execution)

    def _handle(self, socket: ServerConnection, message: WorkerMessage) -> None:
        if message["type"] == "heartbeat":
            self.heartbeats += 1
            return
        self.messages.append(message)
        if self._tap is not None:
            instead = self._tap(message)
            if instead is not None:
                self.send(socket, instead)
                return
        match message["type"]:
            case "hello":
                welcome = {"protocol": 1, "sessionId": "ses", "leaseMs": 800}
                self.send(socket, {"type": "welcome", **welcome, "heartbeatIntervalMs": self._heartbeat_ms})
                self.sockets.append(socket)
                waiting, self._waiting = self._waiting, []
                for execution in waiting:
                    execution.begin()
            case "drain":
                if socket in self.sockets:
                    self.sockets.remove(socket)
            case "suspend":
                ids = {key: message[key] for key in ("executionId", "attempt", "seq")}
                self.send(socket, {"type": "ack", **ids})
                self._homes.pop(message["executionId"], None)
                if message["reason"] == "drained":
                    self._dispatch(self._executions[message["executionId"]])
            case "abandon" if self._reassign:
                self._executions[message["executionId"]].crash()
            case _:
                execution = self._executions.get(message["executionId"])
                if execution is not None:
                    execution.receive(message)
                if message["type"] in ("complete", "fail"):
                    ids = {key: message[key] for key in ("executionId", "attempt", "seq")}
                    self.send(socket, {"type": "ack", **ids})
        if socket not in self.sockets and socket not in self._homes.values():
            self.send(socket, {"type": "drained"})


class Finished:
    """The end of a run."""

    def __init__(self) -> None:
        self._ended = threading.Event()
        self._outcome: Outcome | None = None

    def end(self, outcome: Outcome, _spent: int) -> None:
        self._outcome = outcome
        self._ended.set()

    def output(self, seconds: float = 60) -> JsonValue:
        assert self._ended.wait(seconds), f"the run has not ended within {seconds} s"
        assert self._outcome is not None
        assert self._outcome.status == "completed", self._outcome
        return self._outcome.output

    def error(self) -> Failure:
        assert self._ended.wait(60), "the run has not ended within 60 s"
        assert self._outcome is not None
        assert self._outcome.error is not None, self._outcome
        return self._outcome.error

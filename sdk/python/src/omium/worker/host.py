"""A worker's inside: its connections to the engines and the runs that came over them, on one loop.

1. It asks the gateway where the engines are, connects to each, and comes back when a connection breaks.
2. A drain takes no new runs, lets running steps come to their record, and hands every run on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from concurrent.futures import Executor, ThreadPoolExecutor

from ..agent import AnyAgent
from ..client import AsyncClient
from ..client.checkpoints import NewCheckpoint
from ..errors import Failure, OmiumError
from ..isolation import IsolatedRun
from ..llm.model import LlmSettings
from ..llm.openai import OpenAiCompatible
from ..protocol import PROTOCOL_VERSION, EngineMessage, WorkerMessage
from ..replay.port import LivePort, Turns
from ..replay.run import Run
from .engine_connection import EngineConnection
from .hosted_run import HostedRun
from .isolated_runs import IsolatedRuns
from .residency import Residency
from .state_keeper import StateKeeper

_REFRESH_EVERY_S = 3.0
_RECONNECT_BASE_S = 0.05
_RECONNECT_MAX_S = 2.0


class Host:
    """See the module's invariants. All methods are called on its loop."""

    def __init__(
        self,
        *,
        worker_id: str,
        runtime: str,
        agents: dict[str, AnyAgent],
        client: AsyncClient,
        slots: int,
        threads: int,
        llm: LlmSettings,
        resident_s: float,
        max_resident: int,
        drain_timeout_s: float,
        log: logging.Logger,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.executor: Executor = ThreadPoolExecutor(threads, thread_name_prefix="omium-step")
        # code of runs that is not async; it may wait for recorded calls, which steps in threads answer
        self.loop.set_default_executor(ThreadPoolExecutor(threads, thread_name_prefix="omium-code"))
        self.llm = llm
        self.log = log
        self.turns = Turns(self.loop)
        self.residency = Residency(self.loop, resident_s, max_resident)
        self.states = StateKeeper(client, log)
        self._worker_id = worker_id
        self._runtime = runtime
        self._agents = agents
        self._client = client
        self._slots = slots
        self._drain_timeout_s = drain_timeout_s
        self._connections: dict[str, EngineConnection] = {}
        self._failures: dict[str, int] = {}
        self._ready: asyncio.Future[None] = self.loop.create_future()
        self._token = ""
        self._endpoints: list[str] = []
        self._refresher: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._state = "new"
        self._isolated: IsolatedRuns | None = None

    @property
    def runs(self) -> int:
        return sum(len(connection.runs) for connection in list(self._connections.values()))

    def isolate(self, isolated: IsolatedRuns) -> None:
        """Some agents' runs get processes."""
        self._isolated = isolated

    def residency_of(self, run: HostedRun) -> Residency:
        return (
            self._isolated.residency if self._isolated is not None and isinstance(run, IsolatedRun) else self.residency
        )

    async def start(self) -> None:
        self._state = "running"
        self._refresher = asyncio.ensure_future(self._keep_connected())
        await asyncio.shield(self._ready)

    async def drain(self) -> None:
        if self._state != "running":
            return
        self._state = "draining"
        self.log.info("draining %d runs", self.runs)
        for connection_ in list(self._connections.values()):
            connection_.send({"type": "drain"})
            for run in list(connection_.runs.values()):
                run.drain()
        deadline = time.monotonic() + self._drain_timeout_s
        while time.monotonic() < deadline:
            if all(not one.runs and one.drained for one in self._connections.values()):
                return
            await asyncio.sleep(0.01)
        for connection_ in list(self._connections.values()):
            for run in list(connection_.runs.values()):
                run.abandon(f"the worker drained for {self._drain_timeout_s:g} s and a step was still running")

    async def stop(self) -> None:
        if self._state == "stopped":
            return
        self._state = "stopped"
        if self._refresher is not None:
            self._refresher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._refresher
        self.residency.close()
        if not self._ready.done():
            self._ready.set_exception(OmiumError("unavailable", "the worker was stopped before an engine welcomed it"))
            self._ready.exception()
        for connection_ in list(self._connections.values()):
            connection_.close()
        deadline = time.monotonic() + 1
        while self._connections and time.monotonic() < deadline:  # noqa: ASYNC110 - bounded, and once
            await asyncio.sleep(0.005)
        for connection_ in list(self._connections.values()):
            connection_.terminate()
        if self._isolated is not None:
            self._isolated.close()
        await self.states.close()
        await self._client.close()
        if isinstance(self.llm.complete, OpenAiCompatible):
            await self.llm.complete.close()
        self.executor.shutdown(wait=False, cancel_futures=True)

    # ---- where the engines are

    async def _keep_connected(self) -> None:
        while True:
            await self._discover()
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), _REFRESH_EVERY_S)

    async def _discover(self) -> None:
        try:
            reply = await self._client.connect_worker()
            self._token = reply["token"]
            self._endpoints = reply["endpoints"]
        except OmiumError as error:
            if error.code in ("unauthenticated", "forbidden"):
                self._give_up(error)
            self.log.warning("the gateway does not say where the engines are: %s: %s", error.code, error)
        if self._state != "running":
            return
        for endpoint in self._endpoints:
            if endpoint not in self._connections:
                self._connect(endpoint)

    def _connect(self, endpoint: str) -> None:
        hello: WorkerMessage = {
            "type": "hello",
            "protocol": PROTOCOL_VERSION,
            "token": self._token,
            "workerId": self._worker_id,
            "runtime": self._runtime,
            "agents": [{**agent.definition, "runtime": self._runtime} for agent in self._agents.values()],
            "slots": self._slots,
        }
        self._connections[endpoint] = EngineConnection(endpoint, hello, self, self.loop, self.log)

    def _give_up(self, error: OmiumError) -> None:
        if not self._ready.done():
            self._ready.set_exception(error)
            # start() looks at it, when somebody waits there
            self._ready.exception()

    # ---- ConnectionEvents

    def welcomed(self, endpoint: str) -> None:
        self._failures.pop(endpoint, None)
        self.log.info("connected to the engine at %s", endpoint)
        if not self._ready.done():
            self._ready.set_result(None)

    def assigned(self, assign: EngineMessage, connection: EngineConnection) -> HostedRun | None:
        agent = self._agents.get(assign.get("agentId", ""))
        if agent is None:
            return None
        port = _Port(self, connection)
        if self._isolated is not None and agent.id in self._isolated.agents:
            return self._isolated.run(assign, port)
        return Run(assign, agent, port)

    def refused(self, endpoint: str, error: Failure) -> None:
        self.log.error("the engine at %s refused this worker: %s: %s", endpoint, error["code"], error["detail"])
        # a token that ran out is renewed by the next refresh; a protocol that differs stays so
        if error["code"] == "protocol_unsupported":
            self._give_up(OmiumError.from_failure(error))

    def closed(self, connection: EngineConnection) -> None:
        endpoint = connection.endpoint
        if self._connections.get(endpoint) is connection:
            del self._connections[endpoint]
        if self._state != "running":
            return
        failures = self._failures.get(endpoint, 0) + 1
        self._failures[endpoint] = failures
        backoff = min(_RECONNECT_MAX_S, _RECONNECT_BASE_S * 2 ** min(failures, 10))
        self.loop.call_later(backoff * (0.5 + random.random() / 2), self._wake.set)


class _Port(LivePort):
    """What runs of one connection need."""

    def __init__(self, host: Host, connection: EngineConnection) -> None:
        super().__init__(host.loop)
        self.executor = host.executor
        self.log = host.log
        self.llm = host.llm
        self._host = host
        self._connection = connection

    def send(self, message: WorkerMessage) -> None:
        self._connection.send(message)

    def send_text(self, text: str) -> None:
        self._connection.send_text(text)

    def schedule(self, run: Run) -> None:
        self._host.turns.schedule(run)

    def finished(self, run: HostedRun) -> None:
        if self._connection.runs.get(run.execution_id) is run:
            del self._connection.runs[run.execution_id]
        self._host.residency_of(run).remove(run)

    def waiting(self, run: HostedRun) -> None:
        self._host.residency_of(run).add(run)

    def keep(self, state: NewCheckpoint) -> None:
        self._host.states.keep(state)

"""A worker: connects out to every engine and runs the agents it is given.

1. Its runs live on one event loop of its own, a `StillLoop`, either in the thread that calls `run` or in one that `start`
   makes; nothing else touches them.
2. It asks the gateway where the engines are, connects to each, and comes back when a connection breaks.
3. On SIGTERM and SIGINT (under `run`) it drains: no new runs, running steps come to their record, every run is handed on.
4. Attempts of isolated agents (under `run`) execute in processes of their own; none of their code runs in this one.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Literal, NoReturn, TypeAlias, TypeVar

from ..agent import RUNTIME, AnyAgent
from ..client import AsyncClient
from ..errors import OmiumError
from ..ids import new_id
from ..isolation import Limits, Nursery
from ..isolation.attempt import AttemptSettings, run_attempt
from ..llm.model import Complete, LlmSettings, PriceTable
from ..llm.openai import OpenAiCompatible
from ..llm.prices import default_prices
from ..replay.activity import StillLoop
from ..settings import connection
from .host import Host
from .isolated_runs import IsolatedRuns

_SLOTS = 100
_SLOTS_OF_PROCESSES = 16
"""A process takes 50 to 110 MB of its own where a framework is in it."""
_T = TypeVar("_T")

Isolation: TypeAlias = Literal["auto", "process", "none"]


class Worker:
    """A worker of the platform. Unset options come from `OMIUM_URL`, `OMIUM_API_KEY`, `OPENAI_BASE_URL`, `OPENAI_API_KEY`.

    `slots`: runs of one engine process that may execute user code at the same time: 100, or 16 where runs get processes.
    `isolation`: `process` executes every attempt in a process of its own, `none` all of them in this one; `auto` isolates
    the objects of frameworks. Only `run` isolates, since it is called in a process's main thread before there are others.
    `memory_limit_mb`, `stall_timeout`: of one attempt's process, MiB and seconds; see `isolation.Limits`.
    `fresh`: the command by which a new interpreter imports the same agents and runs one attempt, for agents that are not
    `forkable`; `omium worker` has one.
    `threads`: step functions that are not async and may run at the same time.
    `resident`: how long a run that waits stays in memory, seconds; `max_resident`: how many may.
    `code`: what version of the agents this is; shown with every attempt, so that workers that differ can be told apart.
    `drain_timeout`: how long running steps may take to end when the worker drains, seconds.
    Raises OmiumError `settings_invalid`.
    """

    def __init__(
        self,
        agents: Sequence[AnyAgent],
        *,
        url: str | None = None,
        api_key: str | None = None,
        slots: int | None = None,
        threads: int = 64,
        complete: Complete | None = None,
        prices: PriceTable = default_prices,
        resident: float = 10.0,
        max_resident: int = 10_000,
        drain_timeout: float = 30.0,
        isolation: Isolation = "auto",
        memory_limit_mb: int | None = None,
        stall_timeout: float | None = None,
        fresh: Sequence[str] = (),
        code: str | None = None,
        logger: logging.Logger | None = None,
    ) -> None:
        self.id = f"{new_id('wrk')}@{socket.gethostname()}"[:200]
        self._connection = connection(url, api_key)
        self._agents = {agent.id: agent for agent in agents}
        if len(self._agents) != len(agents):
            raise OmiumError("settings_invalid", "two agents of the worker have the same id")
        self._isolated = frozenset(
            agent.id for agent in agents if isolation == "process" or (isolation == "auto" and agent.isolated)
        )
        self._fresh = frozenset(agent.id for agent in agents if agent.id in self._isolated and not _is_forkable(agent))
        self._fresh_command = fresh
        self._must_isolate = isolation == "process"
        self._limits = Limits(memory_limit_mb, stall_timeout)
        self._runtime = RUNTIME if code is None else f"{RUNTIME}, code {code}"[:200]
        self._slots = slots or (_SLOTS_OF_PROCESSES if self._isolated else _SLOTS)
        self._threads = threads
        self._complete = complete
        self._prices = prices
        self._resident = resident
        self._max_resident = max_resident
        self._drain_timeout = drain_timeout
        self._log = logger or logging.getLogger("omium.worker")
        self._host: Host | None = None
        self._thread: threading.Thread | None = None

    @property
    def runs(self) -> int:
        """Runs that this process holds now."""
        return self._host.runs if self._host else 0

    def run(self, *, on_ready: Callable[[], None] | None = None, attached: bool = False) -> None:
        """Runs until SIGTERM or SIGINT, drains, and ends the process as the signal would have.

        `attached`: the end of standard input, a pipe, counts as SIGTERM: whoever started the worker is gone.
        `on_ready` is called when the first engine has welcomed the worker.
        Raises OmiumError when the worker is refused for good, or can make no more processes for its runs. Must be called
        in the main thread, before other threads are started.
        """
        caught: list[signal.Signals] = []
        died: list[OmiumError] = []
        nursery = self._make_nursery()

        async def main() -> None:
            host = self._make_host()
            ended = asyncio.Event()

            def zygote_died() -> None:
                died.append(
                    OmiumError("unavailable", "the process that runs are forked from died: start the worker anew")
                )
                ended.set()

            if nursery is not None:
                nursery.attach(host.loop, zygote_died)
                host.isolate(
                    IsolatedRuns(
                        nursery,
                        self._isolated,
                        self._fresh,
                        self._limits,
                        host.loop,
                        self._resident,
                        self._slots,
                    )
                )

            def on_signal(received: signal.Signals) -> None:
                caught.append(received)
                self._log.info("ending on %s", received.name)
                # a second one ends the process at once
                for one in (signal.SIGTERM, signal.SIGINT):
                    host.loop.remove_signal_handler(one)
                ended.set()

            for one in (signal.SIGTERM, signal.SIGINT):
                host.loop.add_signal_handler(one, on_signal, one)
            if attached:
                host.loop.add_reader(0, _when_closed(0, host.loop, on_signal))
            try:
                starting = asyncio.ensure_future(host.start())
                ending = asyncio.ensure_future(ended.wait())
                await asyncio.wait((starting, ending), return_when=asyncio.FIRST_COMPLETED)
                if starting.done():
                    starting.result()
                    if on_ready is not None:
                        on_ready()
                    await ending
                    await host.drain()
                else:
                    starting.cancel()
            finally:
                await host.stop()

        with asyncio.Runner(loop_factory=StillLoop) as runner:
            runner.run(main())
        if died:
            raise died[0]
        if caught:
            # threads of steps that hang must not keep the process: it ends by the signal
            signal.signal(caught[0], signal.SIG_DFL)
            os.kill(os.getpid(), caught[0])

    async def start(self) -> None:
        """Starts on a loop in a thread of its own, with all runs in this process. Returns when the first engine has welcomed
        the worker.

        Raises OmiumError when it is refused for good; `settings_invalid` when every run is to have a process.
        """
        if self._host is not None:
            raise OmiumError("settings_invalid", "a worker starts once")
        if self._must_isolate:
            raise OmiumError("settings_invalid", "processes can't be forked soundly beside threads: use Worker.run()")
        ready = threading.Event()

        def main() -> None:
            loop = StillLoop()
            asyncio.set_event_loop(loop)

            async def make() -> None:
                self._host = self._make_host()

            loop.run_until_complete(make())
            ready.set()
            loop.run_forever()
            loop.close()

        self._thread = threading.Thread(target=main, name="omium-worker", daemon=True)
        self._thread.start()
        await asyncio.to_thread(ready.wait)
        await self._on_host(lambda host: host.start())

    async def drain(self) -> None:
        """Takes no new runs, records what runs, and hands every run on."""
        await self._on_host(lambda host: host.drain())

    async def stop(self) -> None:
        """Closes all connections; runs that are left are taken over by other workers."""
        host, thread = self._host, self._thread
        if host is None or thread is None or not thread.is_alive():
            return
        await self._on_host(lambda it: it.stop())
        host.loop.call_soon_threadsafe(host.loop.stop)
        await asyncio.to_thread(thread.join)

    def _llm(self) -> LlmSettings:
        complete = self._complete or OpenAiCompatible(
            os.environ.get("OPENAI_BASE_URL") or "https://api.openai.com/v1", os.environ.get("OPENAI_API_KEY")
        )
        return LlmSettings(complete, self._prices)

    def _make_nursery(self) -> Nursery | None:
        if not self._isolated:
            if self._limits != Limits():
                self._log.warning("limits of memory and stalls have no effect: no run has a process of its own")
            return None
        if self._fresh and not self._fresh_command:
            raise OmiumError(
                "settings_invalid",
                f"the processes of runs of {', '.join(sorted(self._fresh))} can't be forked soundly, since what was imported "
                'has native threads: use `omium worker`, or isolation="none"',
            )
        return Nursery(self.begin_attempt, self._log, self._fresh_command if self._fresh else ())

    def begin_attempt(self, channel: socket.socket, output: int) -> NoReturn:
        """Makes this process that of one attempt, and ends it with that: what a fresh interpreter does instead of `run`.

        `channel`: where the run's messages come from; `output`: the descriptor that takes what is written.
        """
        settings = AttemptSettings(self._agents, self._llm, self._threads, self._limits.memory_mb, self._log)
        run_attempt(settings, channel, output)

    def _make_host(self) -> Host:
        host = Host(
            worker_id=self.id,
            runtime=self._runtime,
            agents=self._agents,
            client=AsyncClient(url=self._connection.url, api_key=self._connection.api_key),
            slots=self._slots,
            threads=self._threads,
            llm=self._llm(),
            resident_s=self._resident,
            max_resident=self._max_resident,
            drain_timeout_s=self._drain_timeout,
            log=self._log,
        )
        self._host = host
        return host

    async def _on_host(self, do: Callable[[Host], Coroutine[Any, Any, _T]]) -> _T:
        host = self._host
        if host is None:
            raise OmiumError("settings_invalid", "the worker has not been started")
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(do(host), host.loop))


def _is_forkable(agent: AnyAgent) -> bool:
    return agent.forkable() if callable(agent.forkable) else agent.forkable


def _when_closed(
    descriptor: int, loop: asyncio.AbstractEventLoop, on_signal: Callable[[signal.Signals], None]
) -> Callable[[], None]:
    def look() -> None:
        if not os.read(descriptor, 4096):
            loop.remove_reader(descriptor)
            on_signal(signal.SIGTERM)

    return look

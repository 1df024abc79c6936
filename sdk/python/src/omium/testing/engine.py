"""Runs executions of the harness in this process: messages pass in order, time jumps when nothing else can happen."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, cast

from ..agent import AnyAgent
from ..client.checkpoints import NewCheckpoint
from ..errors import Failure, OmiumError
from ..json import JsonValue, hash_json, plain_json
from ..llm.model import LlmSettings
from ..protocol import EngineMessage, JournalEntry, WorkerMessage
from ..replay.port import Turns
from ..replay.run import Run
from ..replay.step_call import takes_info
from .execution import Outcome, TestExecution
from .virtual_clock import VirtualClock

_REST_OF_THREADS_S = 0.1
"""Real time in which nothing may happen before time jumps, where code runs in threads: one may be about to start another."""

_silent = logging.getLogger("omium.testing")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False


@dataclass(frozen=True, slots=True)
class EngineOptions:
    start_ms: float
    mocks: Mapping[str, Any]
    agents: list[AnyAgent]
    inline_children: bool
    approve: Callable[[str, JsonValue], dict[str, JsonValue] | None]
    crashes_after: Callable[[str], bool]
    llm: LlmSettings
    limit_s: float
    """real time until a run that neither ends nor waits is given up"""
    journal: Sequence[JournalEntry] = ()
    """what the run has recorded before it begins"""
    extras: EngineMessage | None = None
    """further members of each of its `assign` messages"""
    hermetic: bool = False
    """nothing is made that is not recorded"""


class TestEngine:
    """The engine of one harness run."""

    __test__ = False

    def __init__(self, options: EngineOptions, loop: asyncio.AbstractEventLoop, executor: Executor) -> None:
        self.clock = VirtualClock(options.start_ms)
        self.loop = loop
        self.executor = executor
        self.options = options
        self.turns = Turns(loop)
        self.agents = {agent.id: agent for agent in options.agents}
        self.own_timers: dict[Run, int] = {}
        self.draws = 0
        self.runs: dict[str, Run] = {}
        self._executions: dict[str, TestExecution] = {}
        self._inbox: list[Callable[[], None]] = []
        self._mocked: set[asyncio.Task[None]] = set()
        self._asleep_since: float | None = None
        """real time"""

    async def execute(
        self, execution_id: str, agent: AnyAgent, given: JsonValue, signals: list[tuple[str, JsonValue]]
    ) -> TestExecution:
        """Runs one execution (and its children) until it ends or only someone outside could let it go on."""
        self.agents[agent.id] = agent
        execution = TestExecution(
            self, execution_id, agent, given, signals, _ignore, self.options.extras, self.options.journal
        )
        self._begin(execution)
        give_up_at = time.monotonic() + self.options.limit_s
        while execution.outcome is None:
            await self._pass()
            if time.monotonic() > give_up_at:
                # threads of its code would wait for ever, and the test for them
                for run in list(self.runs.values()):
                    run.end("fenced")
                raise OmiumError(
                    "timeout", f"the run neither ended nor waited within {self.options.limit_s:g} s of real time"
                )
        return execution

    def post(self, handle: Callable[[], None]) -> None:
        """For the next pass."""
        self._inbox.append(handle)

    # ---- ExecutionHost

    def deliver(self, message: EngineMessage) -> None:
        run = self.runs.get(message.get("executionId", ""))
        if run is not None:
            self.post(lambda: run.receive(message))

    def start_attempt(self, execution: TestExecution) -> None:
        self.runs[execution.id] = Run(
            execution.assign, execution.agent, _Port(self, execution), hermetic=self.options.hermetic
        )

    def stop_attempt(self, execution: TestExecution) -> None:
        run = self.runs.pop(execution.id, None)
        if run is not None:
            run.end("fenced")

    def budget_of(self, agent_id: str) -> int | None:
        agent = self.agents.get(agent_id)
        return None if agent is None else agent.budget_micro_credits

    def start_child(
        self, message: WorkerMessage, budget_micro_credits: int | None, done: Callable[[Outcome, int], None]
    ) -> None:
        agent_id: str = message["agentId"]
        if agent_id in self.options.mocks:
            task = self.loop.create_task(self._mock_child(agent_id, message["input"], done))
            self._mocked.add(task)
            task.add_done_callback(self._mocked.discard)
            return
        agent = self.agents.get(agent_id)
        if agent is None:
            detail = f'no agent "{agent_id}" in this test: pass it in `agents`, or give `mocks` an answer of that name'
            error = OmiumError("agent_unknown", detail).to_failure()
            self.post(lambda: done(Outcome("failed", error=error), 0))
        elif message["childId"] not in self._executions:
            child = TestExecution(
                self,
                message["childId"],
                agent,
                message["input"],
                [],
                done,
                budget_micro_credits=budget_micro_credits,
            )
            self._begin(child)

    def approve(self, title: str, path: str, details: JsonValue) -> dict[str, JsonValue] | None:
        return self.options.approve(title, details)

    def crashes_after(self, path: str) -> bool:
        return self.options.crashes_after(path)

    # ---- inside

    async def _mock_child(self, agent_id: str, given: JsonValue, done: Callable[[Outcome, int], None]) -> None:
        mock = self.options.mocks[agent_id]
        error: Failure
        try:
            answer = mock(given) if callable(mock) else mock
            answer = await answer if inspect.isawaitable(answer) else answer
            output = plain_json(answer, f"the mock of {agent_id}")
        except Exception as cause:
            error = OmiumError("agent_threw", str(cause), cause=cause).to_failure()
            self.post(lambda: done(Outcome("failed", error=error), 0))
        else:
            self.post(lambda: done(Outcome("completed", output=output), 0))

    def _begin(self, execution: TestExecution) -> None:
        self._executions[execution.id] = execution
        self.post(execution.begin)

    async def _pass(self) -> None:
        """Everything received so far, else the next instant."""
        await asyncio.sleep(0)
        inbox, self._inbox = self._inbox, []
        for handle in inbox:
            handle()
        if inbox or self._inbox:
            self._asleep_since = None
            return
        if not self.turns.empty:
            self._asleep_since = None
            if self.turns.resting:
                await asyncio.sleep(0.0005)
            return
        asleep = not self._mocked and all(
            not run.running and (run.waiting or run in self.own_timers) and run.activity.still
            for run in self.runs.values()
        )
        if not asleep:
            self._asleep_since = None
            await asyncio.sleep(0.0005)
            return
        now = time.monotonic()
        if self._asleep_since is None:
            self._asleep_since = now
        if now - self._asleep_since < _REST_OF_THREADS_S and any(run.activity.threaded for run in self.runs.values()):
            await asyncio.sleep(0.0005)
            return
        self._asleep_since = None
        if self.clock.has_timers:
            self.clock.advance()
        else:
            for execution in reversed(list(self._executions.values())):
                if execution.outcome is None:
                    execution.give_up()


class _Port:
    """What runs of the harness need."""

    def __init__(self, engine: TestEngine, execution: TestExecution) -> None:
        self.loop = engine.loop
        self.executor = engine.executor
        self.log = _silent
        self.llm = engine.options.llm
        self._engine = engine
        self._execution = execution
        self._claims = 0
        """of what was sent and not received yet: it comes at one time"""

    def send(self, message: WorkerMessage) -> None:
        claim = 1 if _draws_on_budget(message) else 0
        self._claims += claim

        def receive() -> None:
            claims, self._claims = self._claims, self._claims - claim
            self._execution.receive(message, claims)

        self._engine.post(receive)

    def schedule(self, run: Run) -> None:
        self._engine.turns.schedule(run)

    def finished(self, run: Run) -> None:
        self._engine.own_timers.pop(run, None)

    def waiting(self, run: Run) -> None:
        pass

    def keep(self, state: NewCheckpoint) -> None:
        self._execution.states.append(state)

    def now(self) -> float:
        return self._engine.clock.now()

    def after(self, ms: float, callback: Callable[[], None]) -> Callable[[], None]:
        timers = self._engine.own_timers
        run = self._engine.runs.get(self._execution.id)

        def count(by: int) -> None:
            if run is None or run.over:
                return
            left = timers.get(run, 0) + by
            if left > 0:
                timers[run] = left
            else:
                timers.pop(run, None)

        def fire() -> None:
            count(-1)
            contextvars.Context().run(callback)

        count(1)
        cancel = self._engine.clock.at(self._engine.clock.now() + ms, fire)

        def prevent() -> None:
            cancel()
            count(-1)

        return prevent

    def uuid(self) -> str:
        digits = hash_json(["uuid", self._draw()])
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:32]}"

    def random(self) -> float:
        return int(hash_json(["random", self._draw()])[:12], 16) / 2**48

    def substitute(self, name: str, fn: Callable[..., Any]) -> Callable[..., Any]:
        mocks = self._engine.options.mocks
        if name not in mocks:
            return fn
        mock = mocks[name]
        if not callable(mock):
            return lambda: mock
        # a function without parameters stands for any
        if takes_info(mock) or not takes_info(fn):
            return cast("Callable[..., Any]", mock)

        def without_info(_: object) -> Any:
            return mock()

        return without_info

    def met(self, agent: AnyAgent) -> None:
        if self._engine.options.inline_children:
            self._engine.agents[agent.id] = agent

    def _draw(self) -> int:
        self._engine.draws += 1
        return self._engine.draws - 1


def _ignore(_outcome: Outcome, _spent: int) -> None: ...


def _draws_on_budget(message: WorkerMessage) -> bool:
    if message["type"] == "step_started":
        return message.get("intent", {}).get("reserveMicroCredits", 0) > 0
    return message["type"] == "child_start"

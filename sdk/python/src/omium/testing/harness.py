"""The harness's face: `run_agent(agent, input, ...)`."""

from __future__ import annotations

import asyncio
import datetime as dt
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeAlias, TypeVar, cast

from ..agent import Agent, AnyAgent
from ..client.checkpoints import NewCheckpoint
from ..errors import OmiumError
from ..json import JsonValue, plain_json
from ..llm.model import ChatRequest, Completion, LlmSettings, PriceTable
from ..llm.prices import default_prices
from ..protocol import EngineMessage, JournalEntry, Recording, RunOverrides
from ..replay.activity import StillLoop
from .engine import EngineOptions, TestEngine
from .execution import AttemptReport, TestExecution

_Out = TypeVar("_Out")

Answer: TypeAlias = "str | Mapping[str, Any]"
"""A model's answer: its text, or members of a `Completion`."""
Llm: TypeAlias = "Sequence[Answer] | Callable[[ChatRequest], Answer | Awaitable[Answer]]"
Approvals: TypeAlias = "bool | Mapping[str, bool | Mapping[str, Any]] | Callable[[str, JsonValue], Any] | None"
CrashAfter: TypeAlias = "str | int | Sequence[str | int]"

_DEFAULT_START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class TestRun(Generic[_Out]):
    """How a run of the harness went."""

    __test__ = False

    status: Literal["completed", "failed", "waiting"]
    error: OmiumError | None
    waiting_for: tuple[str, ...]
    """paths that wait for someone outside, when the status is `waiting`"""
    attempts: list[AttemptReport]
    journal: list[JournalEntry]
    elapsed_ms: float
    """virtual ms that passed"""
    given_output: Any
    states: list[NewCheckpoint]
    """what the framework gave as its state, which the platform keeps among the run's checkpoints"""

    @property
    def output(self) -> _Out:
        """Raises the run's error when it did not complete."""
        if self.status == "completed":
            return cast(_Out, self.given_output)
        raise self.error or OmiumError("execution_conflict", "the run has no output: it waits")

    @property
    def executions(self) -> dict[str, int]:
        """How often each step's function ran, by path, over all attempts."""
        counts: dict[str, int] = {}
        for attempt in self.attempts:
            for path in attempt.executed:
                counts[path] = counts.get(path, 0) + 1
        return counts


def run_agent(
    agent: Agent[Any, _Out],
    input: object = None,
    *,
    mocks: Mapping[str, Any] | None = None,
    signals: Mapping[str, object] | Sequence[tuple[str, object]] = (),
    approvals: Approvals = None,
    children: Literal["inline", "mocked"] = "inline",
    agents: Sequence[AnyAgent] = (),
    llm: Llm = (),
    prices: PriceTable = default_prices,
    crash_after: CrashAfter = (),
    start_time: dt.datetime = _DEFAULT_START,
    execution_id: str = "test-run",
    limit: float = 20.0,
    journal: Sequence[JournalEntry] = (),
    overrides: RunOverrides | None = None,
    simulate_from: Sequence[Recording] | None = None,
) -> TestRun[_Out]:
    """Runs an agent in this process against an engine that follows the protocol's rules, for the tests of agents.

    No platform, no real time: sleeps and timeouts of waits are jumped over; only step functions take what they take.

    `mocks`: by name of step, tool or child agent: what it gives, or a function that runs instead.
    `signals`: that have arrived already, by name; a list of payloads delivers several.
    `approvals`: decisions by the approval's title, or for all; without one an approval waits for its timeout.
    `children`: agents called by object run inline; `"mocked"` lets only `mocks` and `agents` answer.
    `agents`: that are called by id.
    `llm`: answers of the model: texts or completions in order, or a function.
    `crash_after`: kills the attempt right after this path, or that many steps, are recorded; each place once.
    `journal`: what is recorded before the run begins.
    `overrides`: as a run's on the platform.
    `simulate_from`: answers everything but model calls and values; what they lack is a `replay_miss`.
    `limit`: real seconds until a run that neither ends nor waits is an error.
    Raises OmiumError `timeout`; `invalid_request` when an event loop runs in this thread (use `run_agent_async`).
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        raise OmiumError("invalid_request", "an event loop runs in this thread: await run_agent_async(...) instead")
    start_ms = start_time.timestamp() * 1000

    async def main() -> tuple[TestExecution, float]:
        executor = ThreadPoolExecutor(8, thread_name_prefix="omium-step")
        try:
            engine = TestEngine(
                EngineOptions(
                    start_ms=start_ms,
                    mocks=mocks or {},
                    agents=list(agents),
                    inline_children=children == "inline",
                    approve=lambda title, details: _decide(approvals, title, details),
                    crashes_after=_crash_plan(crash_after),
                    llm=LlmSettings(_Scripted(llm), prices),
                    limit_s=limit,
                    journal=journal,
                    extras=_extras(overrides, simulate_from),
                ),
                asyncio.get_running_loop(),
                executor,
            )
            execution = await engine.execute(execution_id, agent, plain_json(input, "the input"), _signals(signals))
            return execution, engine.clock.now()
        finally:
            executor.shutdown(wait=False, cancel_futures=True)

    with asyncio.Runner(loop_factory=StillLoop) as runner:
        execution, now = runner.run(main())
    outcome = execution.outcome
    return TestRun(
        status=outcome.status if outcome else "waiting",
        error=OmiumError.from_failure(outcome.error) if outcome and outcome.error else None,
        waiting_for=outcome.waiting_for if outcome else (),
        attempts=execution.attempts,
        journal=execution.journal,
        elapsed_ms=now - start_ms,
        given_output=outcome.output if outcome else None,
        states=execution.states,
    )


async def run_agent_async(agent: Agent[Any, _Out], input: object = None, **options: Any) -> TestRun[_Out]:
    """`run_agent` for tests that are async themselves: it runs on a loop of its own, in a thread."""
    return await asyncio.to_thread(lambda: run_agent(agent, input, **options))


def _extras(overrides: RunOverrides | None, simulate_from: Sequence[Recording] | None) -> EngineMessage | None:
    extras = cast(EngineMessage, {})
    if overrides is not None:
        extras["overrides"] = overrides
    if simulate_from is not None:
        extras["simulate"] = True
        extras["recordings"] = list(simulate_from)
    return extras or None


class _Scripted:
    """A model that answers by script."""

    def __init__(self, llm: Llm) -> None:
        self._llm = llm
        self._asked = 0

    async def __call__(self, request: ChatRequest, on_delta: Callable[[str], None] | None) -> Completion:
        index = self._asked
        self._asked += 1
        answer: Answer
        if callable(self._llm):
            given = self._llm(request)
            answer = await given if inspect.isawaitable(given) else given
        elif index < len(self._llm):
            answer = self._llm[index]
        else:
            raise OmiumError("model_auth", f"the test has no answer for model call {index + 1}: give `llm` one more")
        members: dict[str, Any] = (
            {"message": {"role": "assistant", "content": answer}} if isinstance(answer, str) else dict(answer)
        )
        message: dict[str, Any] = members.get("message", {"role": "assistant", "content": None})
        finish = "tool_calls" if message.get("tool_calls") else "stop"
        completion = cast(
            Completion, {"message": message, "finishReason": finish, "model": request["model"], **members}
        )
        if on_delta is not None and message.get("content"):
            on_delta(message["content"])
        return completion


def _signals(signals: Mapping[str, object] | Sequence[tuple[str, object]]) -> list[tuple[str, JsonValue]]:
    if not isinstance(signals, Mapping):
        return [(name, plain_json(payload, f'the signal "{name}"')) for name, payload in signals]
    delivered: list[tuple[str, JsonValue]] = []
    for name, given in signals.items():
        payloads = cast("list[object]", given) if isinstance(given, list) else [given]
        delivered.extend((name, plain_json(one, f'the signal "{name}"')) for one in payloads)
    return delivered


def _decide(approvals: Approvals, title: str, details: JsonValue) -> dict[str, JsonValue] | None:
    if callable(approvals):
        given: Any = approvals(title, details)
    elif isinstance(approvals, Mapping):
        given = approvals.get(title)
    else:
        given = approvals
    if given is None:
        return None
    if isinstance(given, bool):
        return {"approved": given, "by": "test"}
    return {"by": "test", **given}


def _crash_plan(crash_after: CrashAfter) -> Callable[[str], bool]:
    """Says yes at each of the given places once."""
    places = {crash_after} if isinstance(crash_after, (str, int)) else set(crash_after)
    recorded = 0

    def crashes(path: str) -> bool:
        nonlocal recorded
        recorded += 1
        for place in (path, recorded):
            if place in places:
                places.discard(place)
                return True
        return False

    return crashes

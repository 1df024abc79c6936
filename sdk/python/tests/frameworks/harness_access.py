"""What tests of adapters look at below the harness: names of steps, and a cancellation while the model hangs."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from scripted_model import ScriptedModel

from omium import Agent
from omium.llm.model import LlmSettings
from omium.llm.prices import default_prices
from omium.replay.activity import StillLoop
from omium.testing import run_agent
from omium.testing.engine import EngineOptions, TestEngine
from omium.testing.execution import TestExecution


def step_names(agent: Agent[Any, Any], given: object) -> list[str]:
    """Names of the steps of a run, in the order of their recording."""
    sent: list[dict[str, Any]] = []
    run_noting(agent, given, sent)
    return [message["name"] for message in sent if message["type"] == "step_completed"]


def run_noting(agent: Agent[Any, Any], given: object, sent: list[dict[str, Any]]) -> str:
    """The output of a run, as a text; `sent` gets what it sends to the engine."""
    receive = TestExecution.receive

    def noting(self: TestExecution, message: Any, claims: int = 1) -> None:
        sent.append(message)
        receive(self, message, claims)

    TestExecution.receive = noting  # type: ignore[method-assign]
    try:
        outcome = run_agent(agent, given, limit=30)
        assert outcome.error is None, outcome.error
        return str(outcome.output)
    finally:
        TestExecution.receive = receive  # type: ignore[method-assign]


def cancelled_in_s(agent: Agent[Any, Any], given: Any, model: ScriptedModel) -> float:
    """Seconds from the cancellation until none of the run's tasks is left."""

    async def main() -> float:
        engine = TestEngine(
            EngineOptions(
                start_ms=0,
                mocks={},
                agents=[],
                inline_children=True,
                approve=lambda title, details: None,
                crashes_after=lambda path: False,
                llm=LlmSettings(None, default_prices),  # type: ignore[arg-type]
                limit_s=20,
            ),
            asyncio.get_running_loop(),
            ThreadPoolExecutor(2),
        )
        executing = asyncio.create_task(engine.execute("cancelled", agent, given, []))
        while not model.calls:  # noqa: ASYNC110 - the model has threads
            await asyncio.sleep(0.01)
        # the call is on its way
        await asyncio.sleep(0.1)
        run = engine.runs["cancelled"]
        began = time.monotonic()
        run.receive({"type": "stop", "reason": "cancelled", "executionId": "cancelled", "attempt": 1})
        while left := [task for task in run.activity.tasks if not task.done()]:
            assert time.monotonic() - began < 20, left
            await asyncio.sleep(0.01)
        took = time.monotonic() - began
        executing.cancel()
        return took

    with asyncio.Runner(loop_factory=StillLoop) as runner:
        return runner.run(main())

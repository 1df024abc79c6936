"""What the TypeScript SDK's `worker.spec.ts` says of it, said of this one."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import omium
from omium import Context, OmiumError, StepInfo, Worker
from omium.agent import AnyAgent
from omium.protocol import WorkerMessage
from scripted_engine import KEY, ScriptedEngine

silent = logging.getLogger("spec.worker")
silent.addHandler(logging.NullHandler())
silent.propagate = False


def until(check: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60
    while not check():
        assert time.monotonic() < deadline, f"not within 60 s: {what}"
        time.sleep(0.002)


class Stage:
    """Engines and workers of one test."""

    def __init__(self) -> None:
        self.engine: ScriptedEngine = ScriptedEngine()
        self._workers: list[Worker] = []

    def script(self, **options: Any) -> ScriptedEngine:
        self.engine.close()
        self.engine = ScriptedEngine(**options)
        return self.engine

    def work(self, *agents: AnyAgent, **options: Any) -> Worker:
        worker = Worker(agents, url=self.engine.url, api_key=KEY, logger=silent, **options)
        self._workers.append(worker)
        asyncio.run(worker.start())
        return worker

    def close(self) -> None:
        for worker in self._workers:
            asyncio.run(worker.stop())
        self.engine.close()


@pytest.fixture
def stage() -> Iterator[Stage]:
    one = Stage()
    yield one
    one.close()


@omium.agent(id="ten")
async def ten(n: int, ctx: Context) -> int:
    total = n
    for _ in range(10):
        total += await ctx.step("add", lambda: 1)
    return total


def test_runs_many_runs_over_one_connection(stage: Stage) -> None:
    worker = stage.work(ten)
    finished = [stage.engine.run(f"run-{n}", ten, n) for n in range(30)]
    assert [one.output() for one in finished] == [n + 10 for n in range(30)]
    until(lambda: worker.runs == 0, "the worker lets go of the runs")


def test_loses_its_connection_and_replays_what_was_recorded(stage: Stage) -> None:
    calls: list[str] = []

    @omium.agent()
    async def cutting(_: None, ctx: Context) -> int:
        await ctx.step("one", lambda: calls.append("one"))

        async def two() -> None:
            calls.append("two")
            if calls.count("two") == 1:
                try:
                    await asyncio.Event().wait()
                finally:
                    calls.append("cancelled")

        await ctx.step("two", two)
        return ctx.attempt

    stage.work(cutting)
    finished = stage.engine.run("run", cutting)
    until(lambda: "two" in calls, "the second step runs")
    stage.engine.cut()
    assert finished.output() == 2
    assert sorted(calls) == ["cancelled", "one", "two", "two"]


def test_beats_while_user_code_blocks_the_loop(stage: Stage) -> None:
    engine = stage.script(heartbeat_ms=30)

    @omium.agent()
    async def rude(_: None, ctx: Context) -> str:
        before = engine.heartbeats
        # what must not be done
        until(lambda: engine.heartbeats > before + 5, "heartbeats while the loop is blocked")
        return "in time"

    stage.work(rude)
    assert engine.run("run", rude).output() == "in time"


def test_marks_only_steps_that_take_long(stage: Stage) -> None:
    def marks() -> list[tuple[str, bool]]:
        return [(m["path"], "intent" in m) for m in list(stage.engine.messages) if m["type"] == "step_started"]

    @omium.agent()
    async def slow(_: None, ctx: Context) -> str:
        def marked(info: StepInfo) -> None:
            until(lambda: ("slow#1", False) in marks(), "a marker")

        # a busy machine may make some of them slow, not all
        for _number in range(20):
            await ctx.step("quick", lambda: 1)
        await ctx.step("slow", marked)
        return "done"

    stage.work(slow)
    assert stage.engine.run("run", slow).output() == "done"
    assert marks()[-1] == ("slow#1", False)
    assert len(marks()) == len(set(marks())) < 20


def test_frees_its_slot_while_it_waits_leaves_and_comes_back(stage: Stage) -> None:
    @omium.agent()
    async def waiter(_: None, ctx: Context) -> Any:
        before = await ctx.step("before", lambda: ctx.attempt)
        return [before, await ctx.wait_for("go"), ctx.attempt]

    worker = stage.work(waiter, resident=0.03)
    finished = stage.engine.run("run", waiter)
    until(lambda: any(m["type"] == "waiting" for m in stage.engine.messages), "the run waits")
    until(lambda: worker.runs == 0, "the run is suspended")
    stage.engine.signal("run", "go", "now")
    assert finished.output() == [1, "now", 2]


def test_drains_what_runs_is_recorded_and_another_worker_goes_on(stage: Stage) -> None:
    calls: list[str] = []
    gate = asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    @omium.agent()
    async def long(_: None, ctx: Context) -> str:
        async def one() -> None:
            calls.append(f"one in attempt {ctx.attempt}")
            loops.append(asyncio.get_running_loop())
            await gate.wait()

        await ctx.step("one", one)
        await ctx.step("two", lambda: calls.append(f"two in attempt {ctx.attempt}"))
        return "done"

    first = stage.work(long)
    finished = stage.engine.run("run", long)
    until(lambda: bool(calls), "the first step runs")
    stage.work(long)

    async def drain() -> None:
        draining = asyncio.ensure_future(first.drain())
        await asyncio.to_thread(
            until, lambda: any(m["type"] == "drain" for m in stage.engine.messages), "the worker drains"
        )
        loops[0].call_soon_threadsafe(gate.set)
        await draining

    asyncio.run(drain())
    assert first.runs == 0
    assert finished.output() == "done"
    assert calls == ["one in attempt 1", "two in attempt 2"]


def test_drops_a_run_that_is_fenced_and_goes_on_with_others(stage: Stage) -> None:
    fenced: list[str] = []

    def fence(message: WorkerMessage) -> Any:
        if message["type"] != "step_completed" or message["executionId"] != "zombie":
            return None
        fenced.append(message["path"])
        ids = {key: message[key] for key in ("executionId", "attempt", "seq")}
        error = {"code": "attempt_fenced", "detail": "a newer attempt owns it", "retryable": False}
        return {"type": "nack", **ids, "error": error}

    engine = stage.script(tap=fence)
    worker = stage.work(ten)
    engine.run("zombie", ten, 1)
    until(lambda: bool(fenced) and worker.runs == 0, "the zombie is dropped")
    assert fenced == ["add#1"]
    assert engine.run("other", ten, 1).output() == 11


def test_hands_back_a_run_of_an_agent_that_it_does_not_have(stage: Stage) -> None:
    @omium.agent()
    async def unknown(_: None, ctx: Context) -> None: ...

    stage.work(ten)
    stage.engine.run("run", unknown)
    until(lambda: any(m["type"] == "abandon" for m in stage.engine.messages), "it is abandoned")


@pytest.mark.parametrize("garbage", ['[{"type":"ack"}]', "{}", "nonsense"])
def test_leaves_an_engine_that_breaks_the_protocol_and_comes_back(stage: Stage, garbage: str) -> None:
    stage.work(ten)
    until(lambda: stage.engine.sockets != [], "the worker is connected")
    left = stage.engine.sockets[0]
    left.send(garbage)
    until(lambda: stage.engine.sockets[:1] not in ([], [left]), "the worker has come back")
    assert stage.engine.run("run", ten, 0).output() == 10


def test_says_at_start_that_its_key_is_refused(stage: Stage) -> None:
    refused = Worker([ten], url=stage.engine.url, api_key="om_other", logger=silent)

    async def main() -> str:
        try:
            await refused.start()
        except OmiumError as error:
            await refused.stop()
            return error.code
        return "welcomed"

    assert asyncio.run(main()) == "unauthenticated"

"""Replay makes the same requests in the same order from any prefix of any interleaving."""

import asyncio
import contextvars
import logging
import os
import random
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from omium import Context, OmiumError, agent
from omium.agent import AnyAgent
from omium.client.checkpoints import NewCheckpoint
from omium.json import request_hash_of
from omium.llm.model import ChatRequest, Completion, LlmSettings
from omium.llm.prices import default_prices
from omium.protocol import JournalEntry, WorkerMessage
from omium.replay.activity import StillLoop
from omium.replay.call import Call
from omium.replay.port import Turns
from omium.replay.run import Run

_RUNS = int(os.environ.get("OMIUM_PROPERTY_RUNS", "150"))
_SEED = int(os.environ.get("OMIUM_PROPERTY_SEED", "20260101"))

Program = tuple[str, Any]


def _program(draw: random.Random, depth: int = 0) -> Program:
    """A random program of nested branches over steps and timers."""
    if depth >= 3 or draw.random() < 0.4:
        kind = draw.choice(["step", "step", "fails", "timer", "own"])
        return kind, draw.choice("abc")
    parts = [_program(draw, depth + 1) for _ in range(draw.randint(1, 4))]
    return draw.choice(["seq", "all", "race", "group", "settled"]), parts


class _TracedRun(Run):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.trace: list[str] = []

    def ask(self, call: Call) -> Any:
        self.trace.append(f"ask {call.path} {call.request_hash}")
        return super().ask(call)


@dataclass
class _Ended:
    trace: list[str]
    settled: list[JournalEntry] = field(default_factory=list[JournalEntry])
    """in the order of their settlement"""
    open: list[JournalEntry] = field(default_factory=list[JournalEntry])
    """timers that had not fired"""
    done: list[str] = field(default_factory=list[str])
    """paths whose function ran or whose timer was started"""
    output: Any = None
    error: Any = None


class _Port:
    def __init__(self, executor: Executor) -> None:
        self.loop = asyncio.get_running_loop()
        self.executor = executor
        self.log = logging.getLogger("spec")
        self.llm = LlmSettings(self._no_model, default_prices)
        self.turns = Turns(self.loop)
        self.sent: list[WorkerMessage] = []
        self.send = self.sent.append
        self.schedule = self.turns.schedule

    async def _no_model(self, request: ChatRequest, on_delta: Callable[[str], None] | None) -> Completion:
        raise OmiumError("model_auth", "no model here")

    def finished(self, run: Run) -> None: ...
    def waiting(self, run: Run) -> None: ...
    def keep(self, state: NewCheckpoint) -> None: ...
    def met(self, agent: AnyAgent) -> None: ...
    def now(self) -> float:
        return 0

    def after(self, ms: float, callback: Callable[[], None]) -> Callable[[], None]:
        return self.loop.call_later(0.005, callback, context=contextvars.Context()).cancel

    def uuid(self) -> str:
        return "uuid"

    def random(self) -> float:
        return 0

    def substitute(self, name: str, fn: Callable[..., Any]) -> Callable[..., Any]:
        return fn


async def _interpret(
    program: Program, ctx: Context, note: Callable[[str], None], step: Callable[[bool], Callable[[], Any]]
) -> Any:
    kind, rest = program
    if kind in ("step", "fails"):
        try:
            got = await ctx.step(rest, step(kind == "fails"), retry=False)
        except OmiumError as error:
            got = error.code
        note(f"got {rest} {got}")
        return got
    if kind == "timer":
        await ctx.sleep(1)
        note("slept")
        return None
    if kind == "own":
        # a chain of tasks and callbacks without any recorded call
        for _ in range(3):
            await asyncio.sleep(0)
        await asyncio.create_task(asyncio.sleep(0))
        return None
    if kind == "seq":
        last = None
        for part in rest:
            last = await _interpret(part, ctx, note, step)
        return last
    parts = [_interpret(part, ctx, note, step) for part in rest]
    if kind == "all":
        return list(await asyncio.gather(*parts))
    if kind == "settled":
        return len(await asyncio.gather(*parts, return_exceptions=True))
    if kind == "group":
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(part) for part in parts]
        return [task.result() for task in tasks]
    winner: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    for part in parts:
        task = asyncio.ensure_future(part)
        _kept.add(task)
        task.add_done_callback(lambda done: None if winner.done() else winner.set_result(done.result()))
    return await winner


_kept: set[Any] = set()


async def _drive(program: Program, journal: list[JournalEntry], draw: random.Random, executor: Executor) -> _Ended:
    """Runs the program over a journal, settling what it starts in an order that `draw` decides."""
    port = _Port(executor)
    running: list[Callable[[], None]] = []
    timers: list[JournalEntry] = []
    results = 0

    def step(fails: bool) -> Callable[[], Any]:
        async def fn() -> str:
            nonlocal results
            gate: asyncio.Future[str] = asyncio.get_running_loop().create_future()

            def settle() -> None:
                nonlocal results
                if gate.done():
                    return
                if fails:
                    gate.set_exception(ValueError("no"))
                else:
                    gate.set_result(f"r{results}")
                    results += 1

            running.append(settle)
            return await gate

        return fn

    @agent(id="program")
    async def subject(_: None, ctx: Context) -> Any:
        return await _interpret(program, ctx, run.trace.append, step)

    ids: Any = {"executionId": "run", "attempt": 1}
    run = _TracedRun(
        {"type": "assign", **ids, "agentId": "program", "input": None, "journalEntries": len(journal)}, subject, port
    )
    ended = _Ended(run.trace, [entry for entry in journal if entry["status"] in ("completed", "failed")])
    ended.open = timers
    receive = cast("Callable[[Any], None]", run.receive)
    receive({"type": "journal", **ids, "entries": list(journal), "last": True})

    def handle(message: WorkerMessage) -> None:
        path, seq = message.get("path", ""), message.get("seq", 0)
        kind = message["type"]
        base: Any = {"path": path, "requestHash": message.get("requestHash")}
        if kind in ("step_completed", "step_failed"):
            base["kind"] = message["kind"]
            failed = kind == "step_failed"
            entry: Any = (
                {**base, "status": "failed", "error": message["error"]}
                if failed
                else {**base, "status": "completed", "value": message["output"]}
            )
            ended.done.append(path)
            ended.settled.append(entry)
            receive({"type": "ack", **ids, "seq": seq, **({"entry": entry} if failed else {})})
        elif kind == "timer_start":
            pending: Any = {**base, "kind": "timer", "status": "pending"}
            timers.append(pending)
            ended.done.append(path)
            receive({"type": "ack", **ids, "seq": seq})
        elif kind in ("complete", "fail"):
            ended.output, ended.error = message.get("output"), message.get("error")
            receive({"type": "ack", **ids, "seq": seq})

    for _ in range(20_000):
        if run.over:
            break
        choices = len(running) + len(timers) + bool(port.sent)
        choice = draw.randrange(choices + 1)
        if choice < len(running):
            running.pop(choice)()
        elif choice < len(running) + len(timers):
            timer = timers.pop(choice - len(running))
            fired: Any = {**timer, "status": "completed", "value": None}
            ended.settled.append(fired)
            receive({"type": "resolve", **ids, "entry": fired})
        elif choice < choices:
            handle(port.sent.pop(0))
        else:
            await asyncio.sleep(0)
            if not choices:
                await asyncio.sleep(0.0005)
    assert run.over, f"the program came to no end: {run.trace}"
    await asyncio.sleep(0)
    return ended


def _until_result(trace: list[str], results: int) -> list[str]:
    """The part of a trace up to and including the reaction to the first `results` results."""
    seen = 0
    for index, text in enumerate(trace):
        if not text.startswith("ask "):
            seen += 1
            if seen > results:
                return trace[:index]
    return trace


def _results(trace: list[str]) -> int:
    return sum(not text.startswith("ask ") for text in trace)


async def _check(seed: int, executor: Executor) -> None:
    draw = random.Random(seed)
    program = _program(draw)
    live = await _drive(program, [], draw, executor)
    assert live.error is None
    prefix = live.settled[: draw.randint(0, len(live.settled))]
    replayed = await _drive(program, prefix, draw, executor)
    assert replayed.error is None
    recorded = {entry["path"] for entry in prefix}
    # nothing recorded is done again
    assert not recorded & set(replayed.done)
    # what user code saw and asked for is the same as far as the record goes
    shared = min(len(prefix), _results(live.trace), _results(replayed.trace))
    assert _until_result(replayed.trace, shared) == _until_result(live.trace, shared)
    # and with the whole record, to the end
    again = await _drive(program, [*live.settled, *live.open], draw, executor)
    assert again.trace == live.trace
    assert again.output == live.output
    assert not {entry["path"] for entry in [*live.settled, *live.open]} & set(again.done)
    # what a race left running has been cancelled with its run
    await asyncio.gather(*_kept, return_exceptions=True)
    _kept.clear()


def test_replays_alike_from_any_prefix() -> None:
    async def main() -> None:
        with ThreadPoolExecutor(1) as executor:
            for number in range(_RUNS):
                seed = _SEED + number
                try:
                    await asyncio.wait_for(_check(seed, executor), 10)
                except BaseException as error:
                    error.add_note(f"reproduce with OMIUM_PROPERTY_SEED={seed} OMIUM_PROPERTY_RUNS=1")
                    raise

    with asyncio.Runner(loop_factory=StillLoop) as runner:
        runner.run(main())


@pytest.mark.parametrize("kind", ["all", "group"])
def test_does_nothing_when_the_next_recorded_result_is_not_asked_for(kind: str) -> None:
    async def main() -> _Ended:
        entry: JournalEntry = {
            "path": "x#1",
            "kind": "step",
            "requestHash": "h",
            "status": "completed",
            "value": 1,
        }
        with ThreadPoolExecutor(1) as executor:
            return await _drive((kind, [("step", "a")]), [entry], random.Random(1), executor)

    with asyncio.Runner(loop_factory=StillLoop) as runner:
        ended = runner.run(main())
    assert ended.error["code"] == "replay_mismatch"
    assert ended.error["data"]["path"] == "x#1"
    assert ended.error["data"]["actual"]["path"] == "a#1"
    assert ended.done == []


class _StoppedClock(_Port):
    """Time passes when the test says so."""

    def __init__(self, executor: Executor) -> None:
        super().__init__(executor)
        self.time_ms = 0.0
        self.graces: list[tuple[float, Callable[[], None]]] = []

    def now(self) -> float:
        return self.time_ms

    def after(self, ms: float, callback: Callable[[], None]) -> Callable[[], None]:
        self.graces.append((ms, callback))
        return lambda: None

    async def something_sent(self) -> None:
        while not self.sent:  # noqa: ASYNC110 - by steps in threads, too
            await asyncio.sleep(0.001)

    async def grace_ends(self, late_ms: float = 0) -> None:
        """The grace is over, and is noticed so much later."""
        [(ms, callback)], self.graces = self.graces, []
        self.time_ms += ms + late_ms
        callback()
        await _settled()


async def _settled() -> None:
    for _ in range(100):
        await asyncio.sleep(0)


async def _suspected(port: _StoppedClock, own: Callable[[], Any]) -> None:
    """A replay that is suspected, as its code asks for another step while its own work goes on."""

    @agent(id="own")
    async def subject(_: None, ctx: Context) -> Any:
        async def recorded() -> Any:
            await own()
            return await ctx.step("recorded", lambda: 1)

        return await asyncio.gather(recorded(), ctx.step("next", lambda: 2))

    ids: Any = {"executionId": "run", "attempt": 2}
    assign: Any = {"type": "assign", **ids, "agentId": "own", "input": None, "journalEntries": 1}
    run = Run(assign, subject, cast("Any", port))
    entry = {
        "path": "recorded#1",
        "kind": "step",
        "requestHash": request_hash_of({"kind": "step"}),
        "status": "completed",
    }
    receive = cast("Callable[[Any], None]", run.receive)
    receive({"type": "journal", **ids, "entries": [{**entry, "value": 1}], "last": True})
    await _settled()


def _on_a_stopped_clock(test: Callable[[_StoppedClock], Any]) -> None:
    async def main() -> None:
        with ThreadPoolExecutor(1) as executor:
            await test(_StoppedClock(executor))

    with asyncio.Runner(loop_factory=StillLoop) as runner:
        runner.run(main())


def test_what_does_not_ask_in_time_for_what_is_recorded_is_a_mismatch() -> None:
    async def test(port: _StoppedClock) -> None:
        await _suspected(port, asyncio.Event().wait)
        await port.grace_ends()
        assert [one["error"]["code"] for one in port.sent] == ["replay_mismatch"]

    _on_a_stopped_clock(test)


def test_time_in_which_the_process_stood_still_is_not_held_against_the_code() -> None:
    async def test(port: _StoppedClock) -> None:
        own = asyncio.Event()
        await _suspected(port, own.wait)
        await port.grace_ends(late_ms=5000)
        assert port.sent == []
        own.set()
        await port.something_sent()
        assert [(one["type"], one.get("path")) for one in port.sent] == [("step_completed", "next#1")]

    _on_a_stopped_clock(test)


def test_code_that_goes_on_just_when_the_grace_ends_is_not_suspected() -> None:
    async def test(port: _StoppedClock) -> None:
        own = asyncio.Event()
        await _suspected(port, own.wait)
        own.set()
        await port.grace_ends()
        await port.something_sent()
        assert [(one["type"], one.get("path")) for one in port.sent] == [("step_completed", "next#1")]

    _on_a_stopped_clock(test)

"""Code of a run in threads and on loops of its own: counted, answered, replayed, ended."""

import asyncio
import threading
import time
from typing import Any

import omium
from omium import Context
from omium.adapters.journal import current_run, from_loop, from_thread, record_call
from omium.replay.activity import Activity, CodeLoop
from omium.testing import run_agent


async def _recorded(name: str, made: list[str]) -> Any:
    run = current_run()
    assert run is not None

    def fn() -> str:
        made.append(name)
        return f"{name} done"

    return await record_call(run, name, name, {"name": name}, fn, kind="tool")


def _on_its_own_loop(activity: Activity, made: list[str], firsts: list[str]) -> list[str]:
    """Two branches on a loop of its own: one async, one in a thread of that loop; which is first is told."""
    run = current_run()
    assert run is not None

    def in_thread() -> str:
        first = from_thread(run, lambda: _recorded("thread 1", made))
        # long enough for the other to be released too early, were this not counted
        time.sleep(0.02)
        second = from_thread(run, lambda: _recorded("thread 2", made))
        return f"{first}, {second}"

    async def on_loop() -> str:
        return str(await from_loop(run, lambda: _recorded("loop", made)))

    async def branch(work: Any) -> str:
        said: str = await work
        firsts.append(said)
        return said

    async def main() -> list[str]:
        return list(await asyncio.gather(branch(asyncio.to_thread(in_thread)), branch(on_loop())))

    with asyncio.Runner(loop_factory=lambda: CodeLoop(activity)) as runner:
        return runner.run(main())


def test_who_is_first_is_the_same_after_every_crash() -> None:
    for crash in ((), 1, 2, 3, [1, 2, 3]):
        made: list[str] = []
        firsts: list[str] = []

        @omium.agent(id="nested")
        async def nested(given: None, ctx: Context) -> list[str]:
            run = current_run()
            assert run is not None
            firsts.clear()  # noqa: B023 - this very run's
            return await asyncio.to_thread(_on_its_own_loop, run.activity, made, firsts)  # noqa: B023

        run = run_agent(nested, crash_after=crash, limit=20)
        assert run.output == ["thread 1 done, thread 2 done", "loop done"]
        assert set(run.executions.values()) == {1}
        order = [entry["path"].split(":")[0] for entry in run.journal]
        # the async branch is done when its one call is; the other when both of its calls are
        expected = "loop" if order.index("loop") < order.index("thread 2") else "thread"
        assert firsts[0].startswith(expected)


def test_threads_of_a_crashed_attempt_end() -> None:
    made: list[str] = []
    ended = threading.Event()

    @omium.agent(id="ending")
    async def ending(given: None, ctx: Context) -> str:
        run = current_run()
        assert run is not None

        def code() -> str:
            try:
                from_thread(run, lambda: _recorded("one", made))
                return str(from_thread(run, lambda: _recorded("two", made)))
            except asyncio.CancelledError:
                ended.set()
                raise

        return await asyncio.to_thread(code)

    assert run_agent(ending, crash_after=1, limit=20).output == "two done"
    assert made == ["one", "two"]
    assert ended.wait(30)


def test_a_task_on_a_loop_of_its_own_is_ended_there() -> None:
    ended = threading.Event()

    @omium.agent(id="sleeping")
    async def sleeping(given: None, ctx: Context) -> str:
        run = current_run()
        assert run is not None

        async def sleep() -> None:
            try:
                await asyncio.sleep(3600)
            finally:
                ended.set()

        def code() -> None:
            with asyncio.Runner(loop_factory=lambda: CodeLoop(run.activity)) as runner:
                runner.run(sleep())

        left = asyncio.create_task(asyncio.to_thread(code))
        await ctx.step("crash here", lambda: None)
        left.cancel()
        return "done"

    assert run_agent(sleeping, crash_after=1, limit=20).output == "done"
    assert ended.wait(30)

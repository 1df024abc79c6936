"""Agents that a worker under test runs in processes of their own. What they find out is in their output."""

# ruff: noqa: ASYNC240, T201 - what these do is what is tested
import asyncio
import ctypes
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import omium
from omium import Context


@omium.agent()
async def where(_: Any, ctx: Context) -> dict[str, int]:
    inside = await ctx.step("inside", os.getpid)
    return {"pid": os.getpid(), "inside": inside, "attempt": ctx.attempt}


@omium.agent()
async def prints(_: Any, ctx: Context) -> str:
    print('[{"type":"complete"}]')
    await ctx.step("say", lambda: print("said in a step"))
    os.write(1, b"written to the descriptor\n")
    return sys.stdin.readline() or "done"


@omium.agent()
async def exits(_: Any, ctx: Context) -> None:
    def tool() -> None:
        print(f"about to end with {os.environ['SOME_API_KEY']}", file=sys.stderr)
        os._exit(3)

    await ctx.step("tool", tool)


@omium.agent()
async def crashes(_: Any, ctx: Context) -> None:
    await ctx.step("tool", lambda: ctypes.string_at(0))


@omium.agent()
async def raises_exit(_: Any, ctx: Context) -> str:
    try:
        await ctx.step("tool", lambda: sys.exit(3), retry=False)
    except omium.OmiumError as error:
        return str(error)
    return "went on"


@omium.agent()
async def forks(_: Any, ctx: Context) -> list[int]:
    def tool() -> int:
        os.fork()
        return os.getpid()

    async def async_tool() -> int:
        os.fork()
        return os.getpid()

    return [await ctx.step("tool", tool), await ctx.step("async tool", async_tool), os.getpid()]


@omium.agent()
async def spawns(path: str, ctx: Context) -> None:
    def tool() -> None:
        sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
        pids = [subprocess.Popen(sleeper, start_new_session=new).pid for new in (False, True)]
        Path(path).write_text(" ".join(map(str, [os.getpid(), *pids])))
        time.sleep(600)

    await ctx.step("tool", tool)


@omium.agent()
async def blocks(path: str, ctx: Context) -> None:
    Path(path).write_text(str(os.getpid()))
    time.sleep(600)  # noqa: ASYNC251 - what must not be done


@omium.agent()
async def cleans_up(path: str, ctx: Context) -> None:
    async def tool() -> None:
        Path(path).write_text(str(os.getpid()))
        try:
            await asyncio.Event().wait()
        finally:
            Path(path).with_suffix(".clean").write_text("yes")

    await ctx.step("tool", tool)


@omium.agent()
async def waits(_: Any, ctx: Context) -> list[Any]:
    before = await ctx.step("before", os.getpid)
    return [before, await ctx.wait_for("go"), os.getpid(), ctx.attempt]


@omium.agent()
async def hoards(size_mb: int, ctx: Context) -> int:
    def tool() -> int:
        hoard = [bytearray(size_mb * 1024 * 1024)]
        while True:
            hoard.append(bytearray(b"x" * 8 * 1024 * 1024))
            time.sleep(0.01)

    return await ctx.step("tool", tool)


@omium.agent()
async def never_returns(_: Any, ctx: Context) -> None:
    await ctx.step("tool", lambda: time.sleep(600))


@omium.agent()
async def returns_much(_: Any, ctx: Context) -> str:
    try:
        return await ctx.step("tool", lambda: "x" * 50_000_000)
    except omium.OmiumError as error:
        return f"{error.code}: {error}"


@omium.agent()
async def outputs_much(_: Any, ctx: Context) -> str:
    return "x" * 50_000_000


@omium.agent()
async def returns_a_set(_: Any, ctx: Context) -> Any:
    return {"state": {"seen": {1, 2}}}


@omium.agent()
async def differs(_: Any, ctx: Context) -> None:
    await ctx.step(f"in process {os.getpid()}", os.getpid)
    await ctx.wait_for("go")


@omium.agent()
async def works(_: Any, ctx: Context) -> dict[str, Any]:
    """Something of everything that is recorded at once."""
    first = await ctx.step("first", os.getpid)
    left, right = await asyncio.gather(ctx.step("left", os.getpid), ctx.step("right", os.getpid))
    ordered = await ctx.step("order", lambda info: f"ordered {info.attempt}", effect=True)
    named = await ctx.step("name", lambda: "named")
    last = await ctx.step("last", os.getpid)
    return {
        "ordered": ordered,
        "named": named,
        "attempt": ctx.attempt,
        "pids": [first, left, right, last],
        "id": ctx.execution_id,
    }

"""Agents that do not survive a fork, as their import started what a forked process has not."""

# ruff: noqa: ASYNC240 - what these do is what is tested
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import omium
from isolation_agents import hoards
from omium import Context

importer = os.getpid()
threading.Thread(target=threading.Event().wait, name="native", daemon=True).start()


@omium.agent()
async def fresh(_: Any, ctx: Context) -> list[Any]:
    alive = any(one.name == "native" for one in threading.enumerate())
    return [sys.argv[1], os.getpid() == importer, alive, await ctx.step("inside", os.getpid)]


@omium.agent()
async def hangs(path: str, ctx: Context) -> None:
    Path(path).write_text(str(os.getpid()))
    time.sleep(600)  # noqa: ASYNC251 - what must not be done


@omium.agent()
async def forked(_: Any, ctx: Context) -> list[Any]:
    return [sys.argv[1], os.getpid() == importer]


for one in (fresh, hangs, hoards):
    one.forkable = False

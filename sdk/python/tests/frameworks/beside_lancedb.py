"""An agent that can be forked, in a process in which LanceDB is open and has its native threads."""

import atexit
import os
import shutil
import tempfile
from typing import Any

import lancedb

import omium
from omium import Context

folder = tempfile.mkdtemp(prefix="omium-lancedb-")
atexit.register(shutil.rmtree, folder, ignore_errors=True)
table = lancedb.connect(folder).create_table("seas", [{"vector": [0.0, 1.0], "name": "north"}])
assert table.search([0.0, 1.0]).limit(1).to_list()[0]["name"] == "north"
threads = len(os.listdir("/proc/self/task"))


@omium.agent()
async def plain(given: Any, ctx: Context) -> list[int]:
    # steps run in threads of their own
    first = await ctx.step("first", os.getpid)
    second = await ctx.step("second", os.getppid)
    return [threads, first, second]

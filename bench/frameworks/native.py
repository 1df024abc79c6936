"""Times a program without Omium: `native.py module runs calls` prints the ms of one call, a line for each run."""

import asyncio
import importlib
import sys


async def main() -> None:
    module, runs, calls = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    native = importlib.import_module(module).native
    for _ in range(runs):
        print(await native(calls), flush=True)


asyncio.run(main())

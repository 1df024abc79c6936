# ruff: noqa: ASYNC240, ASYNC251 - it blocks where the bench kills it
"""The bench's LangGraph program: a node that asks the model, as often as the input says, one call after the other.

A program of the bench exports `team` (what `omium worker` runs) and `native(calls)` (the same without Omium, in ms a call).
The input is {"calls": n, "block": file or null}: in front of the last call the first process that comes there writes its
process id to the file, and blocks. The output is {"pid", "private_kib"} of the process that ended the run.
"""

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import Any

from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict


class State(TypedDict, total=False):
    calls: int
    block: str | None
    done: int
    said: str
    pid: int
    private_kib: int


async def step(state: State) -> dict[str, Any]:
    done = state.get("done", 0)
    marker = state.get("block")
    if marker and done == state["calls"] - 1 and not Path(marker).exists():
        Path(f"{marker}.new").write_text(str(os.getpid()))
        Path(f"{marker}.new").rename(marker)
        time.sleep(600)
    answer = await model.ainvoke(f"call {done} of {state['calls']} after {state.get('said', '')[:40]}")
    return {"done": done + 1, "said": str(answer.content)}


async def measure(state: State) -> dict[str, Any]:
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    private = sum(int(line.split()[1]) for line in lines if line.startswith("Private"))
    return {"pid": os.getpid(), "private_kib": private}


model = ChatOpenAI(model="omium-local-scripted")
graph = StateGraph(State)
graph.add_node("step", step)
graph.add_node("measure", measure)
graph.add_edge(START, "step")
graph.add_conditional_edges("step", lambda state: "step" if state["done"] < state["calls"] else "measure")
graph.add_edge("measure", END)
team = graph.compile()


async def native(calls: int) -> float:
    """ms of one call, without Omium."""
    begin = time.perf_counter()
    await team.ainvoke({"calls": calls, "block": None}, {"recursion_limit": calls + 5})
    return (time.perf_counter() - begin) * 1000 / calls


if __name__ == "__main__":
    runs, calls = int(sys.argv[1]), int(sys.argv[2])

    async def main() -> None:
        for _ in range(runs):
            print(await native(calls), flush=True)  # noqa: T201 - read by the bench

    asyncio.run(main())

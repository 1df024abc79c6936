"""The bench's LangGraph program: a node that asks the model, as often as the input says, one call after the other.

A program of the bench exports `team` (what `omium worker` runs) and `native(calls)` (the same without Omium, in ms a call).
It is told {"calls": n, "block": file or null}: in front of the last call it blocks once, see marks.py. Its output holds
{"pid", "private_kib"} of the process that ended the run.
"""

import time
from typing import Any

from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, StateGraph
from marks import block_once, report
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
    if done == state["calls"] - 1:
        block_once(state.get("block"))
    answer = await model.ainvoke(
        f"call {done} of {state['calls']} after {state.get('said', '')[:40]}"
    )
    return {"done": done + 1, "said": str(answer.content)}


model = ChatOpenAI(model="omium-local-scripted")
graph = StateGraph(State)
graph.add_node("step", step)
graph.add_node("measure", lambda state: report())
graph.add_edge(START, "step")
graph.add_conditional_edges(
    "step", lambda state: "step" if state["done"] < state["calls"] else "measure"
)
graph.add_edge("measure", END)
team = graph.compile()


async def native(calls: int) -> float:
    """ms of one call, without Omium."""
    begin = time.perf_counter()
    await team.ainvoke({"calls": calls, "block": None}, {"recursion_limit": calls + 5})
    return (time.perf_counter() - begin) * 1000 / calls

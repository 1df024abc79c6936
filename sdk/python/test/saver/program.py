"""A LangGraph program of three nodes that writes down what it does and takes its time, to be killed in the middle."""

from __future__ import annotations

import operator
import os
import sys
import time
from typing import Annotated, Any, TypedDict

from langgraph.graph import END, START, StateGraph

from omium.adapters.langgraph_saver import OmiumCheckpointSaver


class State(TypedDict):
    done: Annotated[list[str], operator.add]


def node(name: str) -> Any:
    def run(_: State) -> State:
        with open(os.environ["WORK_LOG"], "a") as log:
            log.write(f"{name}\n")
        print(f"ran {name}", flush=True)
        time.sleep(float(os.environ["NODE_S"]))
        return {"done": [name]}

    return run


builder = StateGraph(State)
names = [f"n{i}" for i in range(1, 7)]
for name in names:
    builder.add_node(name, node(name))
for before, after in zip([START, *names], [*names, END], strict=True):
    builder.add_edge(before, after)

graph = builder.compile(checkpointer=OmiumCheckpointSaver())
config: Any = {"configurable": {"thread_id": sys.argv[1]}}
started = bool(graph.get_state(config).values)
result = graph.invoke(None if started else {"done": []}, config, durability="sync")
print(f"result {','.join(result['done'])}", flush=True)

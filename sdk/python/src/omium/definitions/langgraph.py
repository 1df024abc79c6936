"""A team as a LangGraph graph: a node for each task, an agent that calls tools in each."""

from __future__ import annotations

import inspect
import operator
from typing import Annotated, Any, TypedDict

from langchain_core.tools import StructuredTool
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, StateGraph
from langgraph.prebuilt import create_react_agent

from ..adapters.langgraph import EFFECT_TAG
from .team import Team
from .tools import BuiltTool


class State(TypedDict):
    given: Any
    said: Annotated[dict[str, str], operator.or_]


def build(team: Team) -> Any:
    """The graph, compiled. Its state holds the input (`given`) and what each task said (`said`)."""
    definition = team.definition
    graph = StateGraph(State)
    for name, task in definition.tasks.items():
        graph.add_node(name, _node(team, name))
        if not task.after:
            graph.add_edge(START, name)
        elif len(task.after) == 1:
            graph.add_edge(task.after[0], name)
        else:
            graph.add_edge(task.after, name)
    followed = {before for task in definition.tasks.values() for before in task.after}
    for name in definition.tasks:
        if name not in followed:
            graph.add_edge(name, END)
    return graph.compile()


def _node(team: Team, name: str) -> Any:
    task = team.definition.tasks[name]
    agent = team.definition.agents[task.agent]
    model = ChatOpenAI(model=team.definition.model_of(agent), max_retries=0, **team.parameters_of(agent))
    tools = [_tool(one) for one in team.tools_of(agent)]
    worker: Any = create_react_agent(model, tools, prompt=team.system_of(agent), name=task.agent)

    async def node(state: State) -> dict[str, Any]:
        prompt = team.prompt_of(task, state["given"], state.get("said") or {})
        asked = {"messages": [{"role": "user", "content": prompt}]}
        # a turn is an answer of the model and its tool calls: two steps of the graph
        result = await worker.ainvoke(asked, {"recursion_limit": 2 * agent.max_turns + 1})
        return {"said": {name: str(result["messages"][-1].text)}}

    return node


def _tool(built: BuiltTool) -> StructuredTool:
    made: dict[str, Any] = {"coroutine" if inspect.iscoroutinefunction(built.fn) else "func": built.fn}
    return StructuredTool.from_function(
        **made,
        name=built.name,
        description=built.description,
        args_schema=built.input,
        tags=[EFFECT_TAG] if built.effect else None,
        handle_tool_error=True,
    )

"""A team as a LangGraph graph: a node for each task, in which its agent answers and calls tools."""

from __future__ import annotations

import asyncio
import inspect
import operator
from typing import Annotated, Any, TypedDict, cast

from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import StructuredTool
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, StateGraph

from ..adapters.tools import EFFECT_TAG
from ..errors import OmiumError
from .team import Built, Team
from .tools import BuiltTool


class State(TypedDict):
    given: Any
    said: Annotated[dict[str, str], operator.or_]


def build(team: Team) -> Built:
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
    return Built(graph.compile(), lambda given: {"given": given, "said": {}}, operator.itemgetter("said"))


def _node(team: Team, name: str) -> Any:
    task = team.definition.tasks[name]
    agent = team.definition.agents[task.agent]
    tools = {one.name: _tool(one) for one in team.tools_of(agent)}
    chat = ChatOpenAI(model=team.definition.model_of(agent), max_retries=0, **team.parameters_of(agent))
    model: Any = chat.bind_tools(list(tools.values())) if tools else chat

    async def node(state: State) -> dict[str, Any]:
        prompt = team.prompt_of(task, state["given"], state.get("said") or {})
        messages: list[Any] = [SystemMessage(team.system_of(agent)), HumanMessage(prompt)]
        for _ in range(agent.max_turns):
            answer = await model.ainvoke(messages)
            calls = [*answer.tool_calls, *answer.invalid_tool_calls]
            if not calls:
                return {"said": {name: str(answer.text)}}
            messages.append(answer)
            messages.extend(await asyncio.gather(*(_call(tools, call) for call in calls)))
        raise OmiumError(
            "step_failed",
            f"{task.agent} still calls tools in task {name} after {agent.max_turns} turns; raise its max_turns",
            retryable=False,
        )

    return node


async def _call(tools: dict[str, StructuredTool], call: Any) -> ToolMessage:
    """The answer to a tool call; what is wrong with the call, or goes wrong in the tool, is told to the model."""
    tool = tools.get(call["name"])
    try:
        if call["type"] == "invalid_tool_call":
            raise ValueError(f"the arguments are no JSON: {call['args']}")
        if tool is None:
            raise ValueError(f'there is no tool "{call["name"]}"; there are: {", ".join(tools)}')
        return cast(ToolMessage, await tool.ainvoke(call))
    except OmiumError:
        raise
    except Exception as error:
        return ToolMessage(f"error: {error}", tool_call_id=call["id"], name=call["name"], status="error")


def _tool(built: BuiltTool) -> StructuredTool:
    made: dict[str, Any] = {"coroutine" if inspect.iscoroutinefunction(built.fn) else "func": built.fn}
    return StructuredTool.from_function(
        **made,
        name=built.name,
        description=built.description,
        args_schema=built.input,
        tags=[EFFECT_TAG] if built.effect else None,
    )

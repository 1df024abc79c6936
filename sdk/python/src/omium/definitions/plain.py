"""A team of agents that call models through `ctx.llm`: every answer and every tool call is recorded."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from pydantic import BaseModel

from ..context import Context
from ..json import JsonValue
from ..llm.model import ChatMessage, Tool
from .team import Team
from .tools import BuiltTool


def build(team: Team) -> Callable[[JsonValue, Context], Awaitable[Any]]:
    """The function of the agent."""

    async def run(given: JsonValue, ctx: Context) -> Any:
        return team.output_of(await team.answers(lambda name, said: _answer(team, name, given, said, ctx)))

    return run


async def _answer(team: Team, name: str, given: JsonValue, said: Mapping[str, str], ctx: Context) -> str:
    task = team.definition.tasks[name]
    agent = team.definition.agents[task.agent]
    messages: list[ChatMessage] = [
        {"role": "system", "content": team.system_of(agent)},
        {"role": "user", "content": team.prompt_of(task, given, said)},
    ]
    model = team.definition.model_of(agent)
    parameters = team.parameters_of(agent)
    if not agent.tools:
        answer = await ctx.llm.chat(model=model, messages=messages, key=name, stream=True, **parameters)
        return answer["content"]
    tools = [_tool(one) for one in team.tools_of(agent)]
    result = await ctx.llm.run(
        model=model, messages=messages, tools=tools, key=name, stream=True, max_turns=agent.max_turns, **parameters
    )
    return result["content"]


def _tool(built: BuiltTool) -> Tool:
    return Tool(
        built.name, built.input, partial(_call, built.fn), description=built.description, effect=built.effect or None
    )


def _call(fn: Callable[..., Any], given: BaseModel) -> Any:
    return fn(**{name: getattr(given, name) for name in type(given).model_fields})

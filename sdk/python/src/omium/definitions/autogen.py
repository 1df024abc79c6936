"""A team as a GraphFlow of AutoGen: a participant for each task, in which an AssistantAgent answers and calls tools."""

# the framework's own types are partly unknown
# pyright: basic

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from autogen_agentchat.agents import AssistantAgent, BaseChatAgent
from autogen_agentchat.base import Response
from autogen_agentchat.messages import BaseChatMessage, TextMessage, ToolCallSummaryMessage
from autogen_agentchat.teams import DiGraphBuilder, GraphFlow
from autogen_core import CancellationToken
from autogen_core.models import ModelFamily, ModelInfo
from autogen_core.tools import BaseTool
from autogen_ext.models.openai import OpenAIChatCompletionClient
from pydantic import BaseModel

from ..adapters.journal import current_run
from ..adapters.tools import EFFECT_TAG, end_run
from ..errors import OmiumError
from ..json import dumps
from .team import Built, Team, identifiers_of
from .tools import BuiltTool

_USER = "user"
"""Who says what the input is, to AutoGen."""


def build(team: Team) -> Built:
    """A function that makes the graph. It is told the input as JSON; participants are called like their tasks."""
    definition = team.definition
    names = identifiers_of(definition.tasks, taken=(_USER, "DiGraphStopAgent"))
    tasks = {called: name for name, called in names.items()}

    def make() -> GraphFlow:
        members = {name: _Member(team, name, tasks) for name in definition.tasks}
        graph = DiGraphBuilder()
        for member in members.values():
            graph.add_node(member)
        for name, task in definition.tasks.items():
            for before in task.after:
                graph.add_edge(members[before], members[name])
        return GraphFlow(graph.get_participants(), graph=graph.build())

    # what can't be made is said when the worker starts
    make()

    def said_of(output: Any) -> Mapping[str, str]:
        return {tasks[one["source"]]: one["content"] for one in output["messages"] if _is_answer(one, tasks)}

    return Built(make, lambda given: dumps(given), said_of)


def _is_answer(message: Mapping[str, Any], tasks: Mapping[str, str]) -> bool:
    return message["type"] == "TextMessage" and message["source"] in tasks


class _Member(BaseChatAgent):
    """Does one task, once it has heard the input and what the tasks before it said."""

    def __init__(self, team: Team, task: str, tasks: Mapping[str, str]) -> None:
        called = next(called for called, name in tasks.items() if name == task)
        super().__init__(called, description=task)
        self._team = team
        self._task = task
        self._tasks = tasks
        self._given: Any = None
        self._said: dict[str, str] = {}
        agent = team.definition.agents[team.definition.tasks[task].agent]
        self._max_turns = agent.max_turns
        self._assistant = AssistantAgent(
            called,
            OpenAIChatCompletionClient(
                model=team.definition.model_of(agent),
                model_info=ModelInfo(
                    vision=False,
                    function_calling=True,
                    json_output=True,
                    structured_output=True,
                    family=ModelFamily.UNKNOWN,
                ),
                max_retries=0,
                **cast("Any", team.parameters_of(agent)),
            ),
            system_message=team.system_of(agent),
            tools=[_Tool(one) for one in team.tools_of(agent)],
            max_tool_iterations=agent.max_turns,
        )

    @property
    def produced_message_types(self) -> Sequence[type[BaseChatMessage]]:
        return (TextMessage,)

    async def on_messages(self, messages: Sequence[BaseChatMessage], cancellation_token: CancellationToken) -> Response:
        for message in messages:
            if message.source == _USER:
                self._given = json.loads(message.to_text())
            elif message.source in self._tasks:
                self._said[self._tasks[message.source]] = message.to_text()
        task = self._team.definition.tasks[self._task]
        asked = TextMessage(content=self._team.prompt_of(task, self._given, self._said), source=_USER)
        answer = (await self._assistant.on_messages([asked], cancellation_token)).chat_message
        run = current_run()
        if isinstance(answer, ToolCallSummaryMessage) and run is not None:
            said = f"{task.agent} still calls tools in task {self._task} after {self._max_turns} turns; raise its max_turns"
            await end_run(run, OmiumError("step_failed", said, retryable=False))
        return Response(chat_message=TextMessage(content=answer.to_text(), source=self.name))

    async def on_reset(self, cancellation_token: CancellationToken) -> None:
        self._given = None
        self._said.clear()
        await self._assistant.on_reset(cancellation_token)


class _Tool(BaseTool[BaseModel, Any]):
    def __init__(self, built: BuiltTool) -> None:
        super().__init__(built.input, cast("type[Any]", Any), built.name, built.description)
        self.tags = [EFFECT_TAG] if built.effect else []
        self._fn = built.fn

    async def run(self, args: BaseModel, cancellation_token: CancellationToken) -> Any:
        result = self._fn(**{name: getattr(args, name) for name in type(args).model_fields})
        return await result if inspect.isawaitable(result) else result

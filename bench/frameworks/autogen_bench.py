"""The bench's AutoGen program: a writer who has the turn as often as the task says, then somebody who reports.

The task is the JSON of what the others are told; see langgraph_bench.py.
"""

import json
import time
from collections.abc import Sequence
from typing import Any

from autogen_agentchat.agents import AssistantAgent, BaseChatAgent
from autogen_agentchat.base import Response
from autogen_agentchat.conditions import SourceMatchTermination
from autogen_agentchat.messages import BaseChatMessage, TextMessage
from autogen_agentchat.teams import SelectorGroupChat
from autogen_core import CancellationToken
from autogen_core.model_context import BufferedChatCompletionContext
from autogen_core.models import ModelFamily, ModelInfo
from autogen_ext.models.openai import OpenAIChatCompletionClient
from marks import block_once, report


class Reporter(BaseChatAgent):
    """Says what its process is."""

    @property
    def produced_message_types(self) -> Sequence[type[BaseChatMessage]]:
        return (TextMessage,)

    async def on_messages(
        self, messages: Sequence[BaseChatMessage], cancellation_token: CancellationToken
    ) -> Response:
        return Response(
            chat_message=TextMessage(source=self.name, content=json.dumps(report()))
        )

    async def on_reset(self, cancellation_token: CancellationToken) -> None: ...


def choose(messages: Sequence[Any]) -> str:
    told = json.loads(messages[0].content)
    done = sum(
        message.source == "writer"
        for message in messages
        if isinstance(message, TextMessage)
    )
    if done == told["calls"] - 1:
        block_once(told["block"])
    return "writer" if done < told["calls"] else "reporter"


def make() -> SelectorGroupChat:
    writer = AssistantAgent(
        "writer",
        model,
        model_context=BufferedChatCompletionContext(2),
        system_message="You write.",
    )
    members = [writer, Reporter("reporter", "Reports.")]
    return SelectorGroupChat(
        members,
        model,
        selector_func=choose,
        termination_condition=SourceMatchTermination(["reporter"]),
    )


abilities = ModelInfo(
    vision=False,
    function_calling=True,
    json_output=True,
    family=ModelFamily.UNKNOWN,
    structured_output=True,
)
model = OpenAIChatCompletionClient(model="omium-local-scripted", model_info=abilities)
team = make()


async def native(calls: int) -> float:
    """ms of one call, without Omium."""
    made = make()
    begin = time.perf_counter()
    await made.run(task=json.dumps({"calls": calls, "block": None}))
    return (time.perf_counter() - begin) * 1000 / calls

"""Teams that tests of the adapter run."""

from typing import Any

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import (
    DiGraphBuilder,
    GraphFlow,
    RoundRobinGroupChat,
)
from autogen_core.models import ModelFamily
from autogen_core.tools import FunctionTool
from autogen_ext.models.openai import OpenAIChatCompletionClient
from scripted_model import ScriptedModel

from omium import current_step


def client_of(model: ScriptedModel) -> OpenAIChatCompletionClient:
    return OpenAIChatCompletionClient(
        model="scripted",
        base_url=model.base_url,
        api_key="x",
        model_info={
            "vision": False,
            "function_calling": True,
            "json_output": True,
            "family": ModelFamily.UNKNOWN,
            "structured_output": True,
        },
    )


def buyer_of(client: Any, effects: list[str], *, streaming: bool = False, sync: bool = True) -> AssistantAgent:
    def note(thing: str) -> str:
        step = current_step()
        assert step is not None
        effects.append(f"{thing} {step.idempotency_key}")
        return f"bought {thing}"

    def buy(thing: str) -> str:
        """Buys something."""
        return note(thing)

    async def abuy(thing: str) -> str:
        """Buys something."""
        return note(thing)

    tool = buy if sync else abuy
    tool.tags = ["omium:effect"]  # type: ignore[attr-defined]
    wrapped = FunctionTool(tool, name="buy", description="Buys something.")
    order = 'use buy({"thing": "paper"})'
    return AssistantAgent("buyer", client, tools=[wrapped], system_message=order, model_client_stream=streaming)


def round_robin(model: ScriptedModel, effects: list[str], *, streaming: bool = False, sync: bool = True) -> Any:
    client = client_of(model)
    planner = AssistantAgent("planner", client, model_client_stream=streaming, system_message=None)
    writer = AssistantAgent("writer", client, model_client_stream=streaming, system_message=None)
    return RoundRobinGroupChat(
        [planner, buyer_of(client, effects, streaming=streaming, sync=sync), writer], max_turns=3
    )


def graph(model: ScriptedModel, effects: list[str], *, streaming: bool = False, sync: bool = True) -> Any:
    """A planner, a reader and a critic in parallel, a buyer who waits for both, a writer."""
    client = client_of(model)

    def agent(name: str) -> AssistantAgent:
        return AssistantAgent(name, client, model_client_stream=streaming, system_message=f"You are the {name}.")

    planner, reader, critic, writer = map(agent, ("planner", "reader", "critic", "writer"))
    buyer = buyer_of(client, effects, streaming=streaming, sync=sync)
    builder = DiGraphBuilder()
    for one in (planner, reader, critic, buyer, writer):
        builder.add_node(one)
    builder.add_edge(planner, reader).add_edge(planner, critic)
    builder.add_edge(reader, buyer).add_edge(critic, buyer).add_edge(buyer, writer)
    return GraphFlow([planner, reader, critic, buyer, writer], graph=builder.build())

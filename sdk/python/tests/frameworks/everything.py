"""One object of each framework, as `omium worker` finds them, for the test of what leaves the machine."""

import os
from typing import Any

from autogen_agentchat.agents import AssistantAgent
from autogen_core.models import ModelFamily, ModelInfo
from autogen_ext.models.openai import OpenAIChatCompletionClient
from crewai import LLM, Crew, Task
from crewai import Agent as Member
from langchain_openai import ChatOpenAI
from langgraph.graph import START, StateGraph
from openai import AsyncOpenAI
from semantic_kernel.agents import ChatCompletionAgent
from semantic_kernel.connectors.ai.open_ai import OpenAIChatCompletion
from typing_extensions import TypedDict

URL = os.environ["OPENAI_BASE_URL"]


class Said(TypedDict, total=False):
    text: str


async def say(state: Said) -> dict[str, Any]:
    return {"text": str((await ChatOpenAI(model="scripted").ainvoke(state["text"])).content)}


graph = StateGraph(Said).add_node("say", say).add_edge(START, "say").compile()

member = Member(role="writer", goal="write", backstory="writes", llm=LLM(model="openai/scripted", base_url=URL))
crew = Crew(agents=[member], tasks=[Task(description="write about {topic}", expected_output="text", agent=member)])

info = ModelInfo(
    vision=False, function_calling=True, json_output=True, family=ModelFamily.UNKNOWN, structured_output=True
)
team = AssistantAgent("writer", OpenAIChatCompletionClient(model="scripted", base_url=URL, model_info=info))

kernel_agent = ChatCompletionAgent(
    name="writer",
    service=OpenAIChatCompletion(ai_model_id="scripted", async_client=AsyncOpenAI(base_url=URL, max_retries=0)),
)

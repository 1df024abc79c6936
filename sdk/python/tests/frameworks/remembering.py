"""A crew with memory and knowledge, and other teams, as `omium worker` finds them: their stores are open once this is imported."""

import os
import sys

from crewai import LLM, Agent, Crew, Flow, Task
from crewai.flow import start
from crewai.knowledge.source.string_knowledge_source import StringKnowledgeSource
from crewai.memory.unified_memory import Memory
from crewai.tools import tool

from isolated_tools import look_around

URL = os.environ["OPENAI_BASE_URL"]
embedder = {"provider": "openai", "config": {"api_key": "x", "api_base": URL, "model_name": "scripted-embedding"}}
llm = LLM(model="openai/scripted", base_url=URL, api_key="x")


@tool("look_around")
def look(word: str) -> str:
    """Tells where it is."""
    return f"{look_around(word)} of omium {sys.argv[1]}"


def _crew(**stores: object) -> Crew:
    writer = Agent(role="writer", goal="write", backstory="Writes.", llm=llm, tools=[look])
    wanted = 'use look_around({"word": "tides"})'
    return Crew(
        agents=[writer],
        tasks=[
            Task(name="plan", description=wanted, expected_output="a plan", agent=writer),
            Task(name="write", description="write about the tides", expected_output="a text", agent=writer),
        ],
        **stores,
    )


remembers = _crew(
    memory=Memory(llm=llm, embedder=embedder),
    knowledge_sources=[StringKnowledgeSource(content="The tide at Saint-Malo rises by twelve metres.")],
    embedder=embedder,
)
plain = _crew()


class Team(Flow):  # type: ignore[type-arg]
    @start()
    def work(self) -> str:
        return str(_crew(memory=Memory(llm=llm, embedder=embedder)).kickoff())

"""A crew with memory, as `omium worker` finds it: its store is opened before the processes of runs are forked."""

import os

from crewai import LLM, Agent, Crew, Task
from crewai.memory.unified_memory import Memory

URL = os.environ["OPENAI_BASE_URL"]
embedder = {"provider": "openai", "config": {"api_key": "x", "api_base": URL, "model_name": "scripted-embedding"}}
llm = LLM(model="openai/scripted", base_url=URL, api_key="x")
writer = Agent(role="writer", goal="write", backstory="Writes.", llm=llm)
crew = Crew(
    agents=[writer],
    tasks=[Task(name="write", description="write about the tides", expected_output="a text", agent=writer)],
    memory=Memory(llm=llm, embedder=embedder),
)

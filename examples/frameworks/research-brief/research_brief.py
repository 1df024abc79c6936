"""Writes a brief in which every sentence names its source: two researchers at the same time, a critic, a writer.

A CrewAI program. Nothing in it knows of Omium.
"""

import json
import os

from crewai import LLM, Agent, Crew, Task
from crewai.tools import tool

import library

llm = LLM(
    model=f"openai/{os.environ.get('OMIUM_EXAMPLE_MODEL', 'omium-local-scripted')}",
    base_url=os.environ.get("OPENAI_BASE_URL"),
)


@tool("search_library")
def search_library(query: str) -> str:
    """Finds the passages of the library that fit a query best. Use a few telling words."""
    return json.dumps(library.search(query))


@tool("read_document")
def read_document(document: str) -> str:
    """Gives the title and all passages of a document, by an id that search_library gave."""
    return json.dumps(library.document(document))


@tool("read_passage")
def read_passage(passage: str) -> str:
    """Gives the text of a passage (`document#number`), or says that there is no such passage."""
    found = library.passages().get(passage)
    return json.dumps({"passage": passage, "found": found is not None, "text": found[2] if found else ""})


def researcher() -> Agent:
    return Agent(
        role="a researcher",
        goal="answer questions from the library alone",
        backstory="You search first, then read the most promising documents, and claim nothing that they do not say.",
        llm=llm,
        tools=[search_library, read_document],
    )


critic = Agent(
    role="the critic",
    goal="let nothing pass that its source does not carry",
    backstory="You look up every passage that is cited.",
    llm=llm,
    tools=[read_passage],
)
writer = Agent(
    role="the writer",
    goal="a short brief that its readers can check",
    backstory="You put the passage in square brackets behind every sentence, and add nothing to what was found.",
    llm=llm,
)

FINDINGS = 'JSON: {"question": "...", "findings": [{"claim": "one sentence", "citation": "<document>#<number>"}]}'

mechanism = Task(
    name="mechanism",
    description="Research in the library: {question}",
    expected_output=FINDINGS,
    agent=researcher(),
    async_execution=True,
)
limits = Task(
    name="limits",
    description="Research in the library: What can go wrong with {subject}?",
    expected_output=FINDINGS,
    agent=researcher(),
    async_execution=True,
)
criticism = Task(
    name="criticism",
    description="Check every finding: does the cited passage exist, and does it carry the claim?",
    expected_output='JSON: {"verdict": "accept" or "revise", "problems": [{"claim": "word for word", "problem": "..."}]}',
    agent=critic,
    context=[mechanism, limits],
)
writing = Task(
    name="writing",
    description="Write the brief that answers: {question} Leave out what the critic disputes.",
    expected_output="Markdown, a section for each question that was researched, with a list of the sources at its end",
    agent=writer,
    context=[mechanism, limits, criticism],
)

brief = Crew(
    name="research brief",
    agents=[mechanism.agent, limits.agent, critic, writer],
    tasks=[mechanism, limits, criticism, writing],
)

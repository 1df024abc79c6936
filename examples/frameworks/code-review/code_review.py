"""Reviews a source file: three reviewers at the same time, one list of findings, a verdict, a review on file.

A LangGraph program. Nothing in it knows of Omium but the tag of the tool that has an effect.
"""

import json
import operator
import os
from pathlib import Path
from typing import Annotated, Any, Literal

from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, StateGraph
from pydantic import BaseModel
from typing_extensions import TypedDict

PROJECT = Path(os.environ.get("REVIEW_PROJECT", Path(__file__).parents[3])).resolve()
REVIEWS = Path(os.environ.get("REVIEWS", "reviews"))

llm = ChatOpenAI(model=os.environ.get("OMIUM_EXAMPLE_MODEL", "omium-local-scripted"))


class Finding(BaseModel):
    line: int
    severity: Literal["low", "medium", "high"]
    finding: str
    quote: str


class Findings(BaseModel):
    findings: list[Finding]


class Verdict(BaseModel):
    verdict: Literal["approve", "request_changes"]
    summary: str
    fix_first: list[str]


class Review(TypedDict, total=False):
    """What comes out."""

    path: str
    findings: list[dict[str, Any]]
    verdict: dict[str, Any]
    review: str
    filed: str


class State(Review, total=False):
    source: str
    found: Annotated[list[dict[str, Any]], operator.add]


@tool
def read_source(path: str) -> str:
    """Gives a source file of the project with numbered lines."""
    file = (PROJECT / path).resolve()
    if not file.is_relative_to(PROJECT):
        raise ValueError(f"{path} is outside of the project")
    lines = file.read_text(encoding="utf-8").splitlines()
    return "\n".join(f"{number:4}| {line}" for number, line in enumerate(lines, 1))


@tool
def file_review(path: str, review: str) -> str:
    """Puts a review on file, next to earlier ones of the same source."""
    file = REVIEWS / f"{path.replace('/', '.')}.md"
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as log:
        log.write(review + "\n")
    return str(file)


file_review.tags = ["omium:effect"]

CARES_FOR = {
    "correctness": "Look for errors that vanish, input that is trusted, types that are claimed and not checked.",
    "security": "Look for ways in, secrets that get out, and requests that cost too much.",
    "style": "Look for what the next reader stumbles over: length, names, numbers, missing documentation.",
}


async def read(state: State) -> State:
    return {"source": await read_source.ainvoke({"path": state["path"]})}


def reviewer(of: str) -> Any:
    async def review(state: State) -> State:
        prompt = f"You are a reviewer of {of}. {CARES_FOR[of]} Quote the line that each finding is about."
        said = await llm.with_structured_output(Findings, method="json_schema").ainvoke(
            [("system", prompt), ("user", state["source"])]
        )
        findings = Findings.model_validate(said).findings
        return {"found": [{"reviewer": of, **one.model_dump()} for one in findings]}

    return review


def merge(state: State) -> State:
    """The order of parallel reviewers means nothing: findings are listed by their place in the file."""
    return {"findings": sorted(state["found"], key=lambda one: (one["line"], one["reviewer"]))}


async def decide(state: State) -> State:
    said = await llm.with_structured_output(Verdict, method="json_schema").ainvoke(
        [
            (
                "system",
                "You are the lead of a review. Decide whether this file may stay as it is, and what to mend first.",
            ),
            ("user", json.dumps({"findings": state["findings"]})),
        ]
    )
    return {"verdict": Verdict.model_validate(said).model_dump()}


async def publish(state: State) -> State:
    verdict = state["verdict"]
    lines = [
        f"- line {one['line']} ({one['reviewer']}, {one['severity']}): {one['finding']}" for one in state["findings"]
    ]
    review = "\n".join([f"# {state['path']}: {verdict['verdict']}", "", verdict["summary"], "", *lines])
    filed = await file_review.ainvoke({"path": state["path"], "review": review})
    return {"review": review, "filed": filed}


builder = StateGraph(State, output_schema=Review)
builder.add_node("read", read)
builder.add_edge(START, "read")
for one in CARES_FOR:
    builder.add_node(one, reviewer(one))
    builder.add_edge("read", one)
builder.add_node("merge", merge)
builder.add_node("decide", decide)
builder.add_node("publish", publish)
builder.add_edge(list(CARES_FOR), "merge")
builder.add_edge("merge", "decide")
builder.add_edge("decide", "publish")
builder.add_edge("publish", END)
review = builder.compile()

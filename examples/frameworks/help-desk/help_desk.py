"""Answers a letter that asks for several things: a LangGraph supervisor hands its parts to an AutoGen team and to a CrewAI
crew, which run at the same time as runs of their own, and puts their answers together.

What makes them durable runs of their own is `call_agent`; without Omium one would call the team and the crew here.
"""

import json
import operator
import os
from typing import Annotated, Any, Literal

from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send
from omium import call_agent
from pydantic import BaseModel
from typing_extensions import TypedDict

llm = ChatOpenAI(model=os.environ.get("OMIUM_EXAMPLE_MODEL", "omium-local-scripted"))

TEAMS = {
    "support": "one customer's ticket: orders, charges, refunds, invoices, errors of runs and what to do about them",
    "brief": "how distributed systems work: leases, locks, fencing tokens, retries, idempotency, clocks, consensus, replication",
}


class Assignment(BaseModel):
    team: Literal["support", "brief"]
    task: str


class Plan(BaseModel):
    assignments: list[Assignment]


class Reply(TypedDict, total=False):
    """What comes out."""

    assignments: list[dict[str, str]]
    reply: str


class State(Reply, total=False):
    request: str
    answers: Annotated[list[dict[str, Any]], operator.add]


SUPERVISOR = "You are the supervisor of a help desk."


async def supervise(state: State) -> State:
    asked = json.dumps({"request": state["request"], "teams": TEAMS})
    said = await llm.with_structured_output(Plan, method="json_schema").ainvoke(
        [("system", f"{SUPERVISOR} Give each part of the request to the team that can answer it."), ("user", asked)]
    )
    return {"assignments": [one.model_dump() for one in Plan.model_validate(said).assignments]}


def assign(state: State) -> list[Send]:
    return [Send(one["team"], one["task"]) for one in state["assignments"]]


async def support(task: str) -> State:
    """The AutoGen team of ../support-triage."""
    output: Any = await call_agent("support", task)
    return {"answers": [{"team": "support", "answer": output["answer"].replace("CLOSED", "").strip()}]}


async def brief(task: str) -> State:
    """The CrewAI crew of ../research-brief."""
    subject = task.strip().rstrip("?")
    output: Any = await call_agent("brief", {"question": task, "subject": subject})
    return {"answers": [{"team": "brief", "answer": output["raw"]}]}


async def reply(state: State) -> State:
    # which team was faster means nothing
    answers = sorted(state["answers"], key=lambda one: list(TEAMS).index(one["team"]))
    asked = json.dumps({"request": state["request"], "answers": answers})
    said = await llm.ainvoke([("system", f"{SUPERVISOR} Write one reply of the teams' answers."), ("user", asked)])
    return {"reply": str(said.content)}


builder = StateGraph(State, output_schema=Reply)
builder.add_node("supervise", supervise)
builder.add_node("support", support)
builder.add_node("brief", brief)
builder.add_node("reply", reply)
builder.add_edge(START, "supervise")
builder.add_conditional_edges("supervise", assign, ["support", "brief"])
builder.add_edge("support", "reply")
builder.add_edge("brief", "reply")
builder.add_edge("reply", END)
desk = builder.compile()

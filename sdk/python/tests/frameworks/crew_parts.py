"""Crews and flows that tests of the adapter run, and how they crash them."""

import functools
import re
from typing import Any

from crewai import LLM, Agent, Crew, Flow, Task
from crewai.flow.flow import and_, listen, or_, router, start
from crewai.tools import tool
from pydantic import BaseModel
from scripted_model import ScriptedModel

from omium import Agent as DurableAgent
from omium import current_step
from omium.testing import TestRun, run_agent


@functools.cache
def llm_at(base_url: str, streaming: bool) -> LLM:
    # each has clients of its own, which take longest of all to make
    return LLM(model="openai/scripted", base_url=base_url, api_key="x", stream=streaming)


def llm_of(model: ScriptedModel, *, streaming: bool = False) -> LLM:
    return llm_at(model.base_url, streaming)


def member(role: str, model: ScriptedModel, **options: Any) -> Agent:
    return Agent(**{"role": role, "goal": "its goal", "backstory": "Its story.", "llm": llm_of(model), **options})


def job(name: str, description: str, who: Agent | None = None, **options: Any) -> Task:
    return Task(name=name, description=description, expected_output="a text", agent=who, **options)


def briefly(asked: dict[str, Any]) -> str:
    """An answer by what is asked, which does not grow with the history: `plan tides` is answered by `<plan tides>`."""
    text = str(asked["messages"][1]["content"])
    return f"<{re.search('Current Task: (.*)', text)[1].strip()}>"  # type: ignore[index]


def run(agent: DurableAgent[Any, Any], given: object = None, **options: Any) -> TestRun[Any]:
    return run_agent(agent, given, limit=30, **options)


def sweep(model: ScriptedModel, agent: DurableAgent[Any, Any], given: object = None, **options: Any) -> TestRun[Any]:
    """Runs undisturbed, then crashes after every record in turn, then after all of them; nothing is made twice."""
    calm = run(agent, given, **options)
    assert calm.error is None, calm.error
    records = len([entry for entry in calm.journal if entry["status"] in ("completed", "failed")])
    for crash in [*([one] for one in range(1, records + 1)), list(range(1, records + 1))]:
        again = run(agent, given, crash_after=crash, **options)
        assert again.error is None, f"crash {crash}: {again.error}"
        assert again.output == calm.output
        assert set(again.executions.values()) <= {1}, f"crash {crash}"
        assert len(again.attempts) == len(crash) + 1
    return calm


class Shop:
    """A tool with an effect, and what it did."""

    def __init__(self) -> None:
        self.bought: list[str] = []

        @tool("buy")
        def buy(thing: str) -> str:
            """Buys something."""
            step = current_step()
            assert step is not None
            self.bought.append(f"{thing} {step.idempotency_key}")
            return f"bought {thing}"

        buy.func.tags = ["omium:effect"]  # type: ignore[attr-defined]
        self.tool = buy


def team(model: ScriptedModel, shop: Shop, *, streaming: bool = False) -> Crew:
    """A planner, two readers in parallel, a buyer with a tool, a writer."""
    roles = ("planner", "reader", "critic", "writer")
    planner, reader, critic, writer = (member(role, model, llm=llm_of(model, streaming=streaming)) for role in roles)
    buyer = member("buyer", model, tools=[shop.tool])
    plan = job("plan", "plan {topic}", planner)
    read = job("read", "read {topic}", reader, context=[plan], async_execution=True)
    criticise = job("criticise", "criticise {topic}", critic, context=[plan], async_execution=True)
    order = job("order", 'use buy({"thing": "paper"})', buyer)
    write = job("write", "write {topic}", writer, context=[read, criticise, order])
    return Crew(agents=[planner, reader, critic, buyer, writer], tasks=[plan, read, criticise, order, write])


class Finding(BaseModel):
    text: str
    certain: bool


def flow_of(model: ScriptedModel, firsts: list[str] | None = None) -> type[Flow[Any]]:
    def crew_of(role: str, text: str) -> Crew:
        one = member(role, model)
        return Crew(agents=[one], tasks=[job(role, text, one)])

    class Research(Flow[dict[str, Any]]):
        @start()
        def read(self) -> str:
            return crew_of("reader", f"read {self.state['topic']}").kickoff().raw

        @start()
        async def criticise(self) -> str:
            return (await crew_of("critic", f"criticise {self.state['topic']}").akickoff()).raw

        @listen(or_(read, criticise))
        def first(self, given: str) -> None:
            self.state["first"] = given
            if firsts is not None:
                firsts.append(given)

        @router(and_(read, criticise))
        async def decide(self) -> str:
            more = await crew_of("judge", "judge").kickoff_async()
            return "good" if more.raw else "bad"

        @listen("good")
        def write(self) -> Finding:
            text = crew_of("writer", f"write for {self.state['id']}").kickoff().raw
            return Finding(text=text, certain=True)

    return Research

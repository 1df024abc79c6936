"""Real flows, people in them, and crews as the templates declare them."""

import json
from typing import Any

import pytest
from crew_parts import briefly, flow_of, job, llm_of, member, run, sweep
from crewai import Agent, Crew, Flow, Task
from crewai.flow.flow import listen, start
from crewai.flow.human_feedback import human_feedback
from crewai.project import CrewBase, agent, crew, task
from scripted_model import ScriptedModel

from omium.adapters.crewai import durable

# CrewAI's own use of what it has deprecated
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def test_flows_with_parallel_crews_come_out_the_same(model: ScriptedModel) -> None:
    model.script = lambda asked: briefly(asked)
    agent = durable(flow_of(model), id="research")
    calm = run(agent, {"topic": "tides"})
    assert calm.error is None
    assert calm.output["output"]["text"].startswith("<write for ")
    assert calm.output["output"]["certain"] is True
    assert calm.output["state"]["topic"] == "tides"
    assert "id" not in calm.output["state"]
    assert len(calm.journal) == 4
    for crash in ([1], [2], [3], [4], [1, 2, 3, 4]):
        again = run(agent, {"topic": "tides"}, crash_after=crash)
        assert again.error is None, f"crash {crash}"
        assert again.output["output"] == calm.output["output"]
        assert set(again.executions.values()) == {1}, f"crash {crash}"


def test_who_finished_first_is_what_the_log_says(model: ScriptedModel) -> None:
    model.script = lambda asked: briefly(asked)
    for _ in range(3):
        firsts: list[str] = []
        agent = durable(flow_of(model, firsts), id="research")
        again = run(agent, {"topic": "tides"}, crash_after=[2, 3, 4])
        assert again.error is None
        # told once in each attempt that came so far
        assert len(firsts) >= 3
        assert set(firsts) == {again.output["state"]["first"]}


def test_people_review_the_answer_of_a_task(model: ScriptedModel) -> None:
    model.script = lambda asked: f"answer {len(asked['messages'])}"
    writer = member("writer", model)
    crew = Crew(agents=[writer], tasks=[job("draft", "write it", writer, human_input=True)])
    agent = durable(crew, id="reviewed")
    waiting = run(agent)
    assert (waiting.status, waiting.waiting_for) == ("waiting", ("approve:draft#1",))

    seen: list[Any] = []

    def decide(title: str, details: Any) -> Any:
        seen.append((title, details["answer"], details["agent"]))
        good = details["answer"] != "answer 2"
        return {"approved": good, "comment": None if good else "shorter"}

    calm = sweep(model, agent, approvals=decide)
    assert seen[:2] == [
        ("Is the answer of draft good?", "answer 2", "writer"),
        ("Is the answer of draft good?", calm.output["raw"], "writer"),
    ]
    asked = [json.loads(one)[0] for one in model.calls]
    assert any("shorter" in str(messages[-1]["content"]) for messages in asked)


def test_people_in_a_flow(model: ScriptedModel) -> None:
    model.script = lambda asked: "plain"

    class Reviewed(Flow[dict[str, Any]]):
        @start()
        def greet(self) -> str:
            return str(self.ask("What is your name?"))

        @listen(greet)
        @human_feedback(message="What do you think?")
        def think(self, name: str) -> str:
            return f"hello {name}"

        @listen(think)
        @human_feedback(message="Publish?", emit=["approved", "rejected"], llm=llm_of(model))
        def publish(self, said: Any) -> str:
            return f"{said.output}: {said.feedback}"

        @listen("approved")
        def published(self) -> str:
            return f"published {self.last_human_feedback.output}"

    model.script = lambda asked: '{"outcome": "approved"}'
    agent = durable(Reviewed, id="reviewed")
    first = run(agent)
    assert first.waiting_for == ("wait:resume:What is your name?#1",)
    second = run(agent, signals={"resume": "Ann"})
    assert second.waiting_for == ("wait:resume:think#1",)
    signals = {"resume": [{"text": "Ann"}, "fine"]}
    third = run(agent, signals=signals)
    assert third.waiting_for == ("approve:publish#1",)
    calm = sweep(model, agent, signals=signals, approvals={"Publish?": True})
    assert calm.output["output"] == "published hello Ann: fine"


@CrewBase
class Declared:
    """As CrewAI's own templates have it."""

    model: ScriptedModel

    @agent
    def writer(self) -> Agent:
        return member("writer", self.model)

    @task
    def draft(self) -> Task:
        return job("draft", "draft {topic}", self.writer())

    @crew
    def crew(self) -> Crew:
        return Crew(agents=self.agents, tasks=self.tasks)


def test_declared_crews_and_flow_instances(model: ScriptedModel) -> None:
    model.script = lambda asked: briefly(asked)
    Declared.model = model
    for given in (Declared, Declared(), lambda: Declared().crew()):
        assert run(durable(given, id="declared"), {"topic": "tides"}).output["raw"] == "<draft tides>"
    flow = flow_of(model)()
    agent = durable(flow, id="research")
    for topic in ("tides", "moons"):
        assert run(agent, {"topic": topic}).output["state"]["topic"] == topic

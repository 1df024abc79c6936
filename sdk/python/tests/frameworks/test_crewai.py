"""Real crews and flows: every crash in turn, no recorded model or tool call made again."""

import datetime as dt
import functools
import json
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from crewai import LLM, Agent, Crew, Flow, Process, Task
from crewai.flow.flow import and_, listen, or_, router, start
from crewai.flow.human_feedback import human_feedback
from crewai.project import CrewBase, agent, crew, task
from crewai.tools import BaseTool, tool
from crewai.tools.tool_failure import ToolFailure
from no_network import no_network
from pydantic import BaseModel
from scripted_model import ScriptedModel

from omium import Agent as DurableAgent
from omium import OmiumError, current_step
from omium.adapters.crewai import durable
from omium.cli import load_agents
from omium.testing import TestRun, run_agent

__all__ = ["no_network"]

# CrewAI's own use of what it has deprecated
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    one = ScriptedModel()
    yield one
    one.close()


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


@pytest.mark.parametrize("streaming", [False, True])
def test_resumes_from_every_record_without_repeating_a_call(model: ScriptedModel, streaming: bool) -> None:
    shop = Shop()
    calm = sweep(model, durable(team(model, shop, streaming=streaming), id="team"), {"topic": "tides"})
    assert "write tides" in calm.output["raw"]
    assert "bought paper" in calm.output["raw"]
    assert [(one["name"], one["agent"]) for one in calm.output["tasks"]] == [
        ("plan", "planner"),
        ("read", "reader"),
        ("criticise", "critic"),
        ("order", "buyer"),
        ("write", "writer"),
    ]
    assert sorted(entry["path"].split(":")[0] for entry in calm.journal) == ["buy", *["completions"] * 6]
    # once undisturbed, once for each of seven crashes, once for all of them
    assert len(shop.bought) == 9
    # the key is the platform's, and the same in every attempt
    assert len(set(shop.bought)) == 1
    assert shop.bought[0].startswith("paper test-run/buy:")


def test_a_run_does_not_see_the_one_before(model: ScriptedModel) -> None:
    crew = team(model, Shop())
    agent = durable(crew, id="team")
    first = run(agent, {"topic": "tides"})
    second = run(agent, {"topic": "moons"})
    assert "write tides" in first.output["raw"]
    assert "write moons" in second.output["raw"]
    assert crew.tasks[0].description == "plan {topic}"
    assert crew.tasks[0].output is None


def test_steps_are_named_by_who_asks(model: ScriptedModel) -> None:
    names: list[str] = []
    agent = durable(team(model, Shop()), id="team")
    with recorded_names(names):
        run(agent, {"topic": "tides"})
    assert sorted(names) == [
        "buy",
        "buyer (order): scripted",
        "buyer (order): scripted",
        "critic (criticise): scripted",
        "planner (plan): scripted",
        "reader (read): scripted",
        "writer (write): scripted",
    ]


class recorded_names:
    def __init__(self, names: list[str]) -> None:
        self.names = names

    def __enter__(self) -> None:
        from omium.replay.step_call import StepCall

        self.original = StepCall._report_completion
        names = self.names
        original = self.original

        def report(step: StepCall) -> None:
            names.append(step._plan.name)
            original(step)

        StepCall._report_completion = report  # type: ignore[method-assign]

    def __exit__(self, *_: object) -> None:
        from omium.replay.step_call import StepCall

        StepCall._report_completion = self.original  # type: ignore[method-assign]


def test_a_manager_delegates(model: ScriptedModel) -> None:
    def script(asked: dict[str, Any]) -> str | None:
        # the manager delegates once; the worker answers
        return None if asked.get("tools") and asked["messages"][-1]["role"] != "tool" else "done"

    model.script = script
    worker = member("worker", model)
    order = {"task": "dig", "context": "a hole", "coworker": "worker"}
    crew = Crew(
        agents=[worker],
        tasks=[job("dig", f"use delegate_work_to_coworker({json.dumps(order)})")],
        process=Process.hierarchical,
        manager_llm=llm_of(model),
    )
    calm = sweep(model, durable(crew, id="managed"))
    # the manager, the worker, the manager again: delegation is no step of its own
    assert [entry["kind"] for entry in calm.journal] == ["llm"] * 3
    assert calm.output["raw"] == "done"


def test_a_tool_that_runs_a_crew_is_code_when_it_says_so(model: ScriptedModel) -> None:
    class Ask(BaseTool):
        name: str = "ask"
        description: str = "Asks experts."
        tags: ClassVar[list[str]] = ["omium:code"]

        def _run(self, question: str) -> str:
            expert = member("expert", model)
            return Crew(agents=[expert], tasks=[job("answer", f"answer {question}", expert)]).kickoff().raw

    asker = member("asker", model, tools=[Ask()])
    crew = Crew(agents=[asker], tasks=[job("ask", 'use ask({"question": "why"})', asker)])
    calm = sweep(model, durable(crew, id="nested"))
    assert [entry["kind"] for entry in calm.journal] == ["llm"] * 3
    assert "answer why" in calm.output["raw"]


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


def test_a_changed_crew_is_a_mismatch_and_never_a_live_call(model: ScriptedModel) -> None:
    starts: list[int] = []

    def changing() -> Crew:
        starts.append(1)
        one = member("one", model)
        tasks = [job("say", f"say {len(starts)}", one), job("go on", "go on", one)]
        return Crew(agents=[one], tasks=tasks)

    changed = run(durable(changing, id="changing"), crash_after=1)
    assert changed.error is not None
    assert changed.error.code == "replay_mismatch"
    assert sum(model.calls.values()) == 1


def test_tools_fail_as_the_framework_expects(model: ScriptedModel) -> None:
    tried: list[str] = []

    class Search(BaseTool):
        name: str = "search"
        description: str = "Searches."

        def _run(self, word: str) -> Any:
            tried.append(word)
            if word == "broken":
                raise ValueError("no such index")
            return ToolFailure(message="quota exceeded")

    def using(word: str) -> Crew:
        one = member("one", model, tools=[Search()])
        return Crew(agents=[one], tasks=[job("search", f'use search({{"word": "{word}"}})', one)])

    raised = sweep(model, durable(using("broken"), id="raising"))
    assert "no such index" in raised.output["raw"]
    assert raised.journal[1]["status"] == "failed"
    declared = sweep(model, durable(using("limited"), id="declaring"))
    assert "quota exceeded" in declared.output["raw"]
    assert tried.count("broken") == 5


def test_async_tools_and_tools_that_count(model: ScriptedModel) -> None:
    class Look(BaseTool):
        name: str = "look"
        description: str = "Looks."
        max_usage_count: int | None = 1

        async def _run(self, at: str) -> str:
            return f"saw {at}"

    looked = Look()
    one = member("one", model, tools=[looked])
    two = member("two", model, tools=[looked])
    tasks = [job(name, f'use look({{"at": "{name}"}})', who) for name, who in (("sea", one), ("sky", two))]
    calm = sweep(model, durable(Crew(agents=[one, two], tasks=tasks), id="looking"))
    assert [one["raw"] for one in calm.output["tasks"]] == ["on saw sea", "on saw sky"]
    # the tool that the user made is not the one that runs
    assert looked.current_usage_count == 0


def test_parallel_tools_of_one_answer(model: ScriptedModel) -> None:
    barrier = threading.Barrier(3, timeout=10)

    @tool("wait")
    def wait(number: int) -> str:
        """Waits for the others."""
        barrier.wait()
        return f"waited {number}"

    def script(asked: dict[str, Any]) -> Any:
        return (
            None if asked["messages"][-1]["role"] != "tool" else str([one["content"] for one in asked["messages"][3:]])
        )

    model.script = script
    model.tool_calls = lambda asked: [("wait", {"number": number}) for number in range(3)]
    one = member("one", model, tools=[wait])
    crew = Crew(agents=[one], tasks=[job("wait", "wait all", one)])
    agent = durable(crew, id="waiting")
    calm = run(agent)
    assert calm.output["raw"] == "['waited 0', 'waited 1', 'waited 2']"
    again = run(agent, crash_after=[4, 5])
    assert again.output == calm.output
    assert set(again.executions.values()) == {1}


def test_equal_calls_of_a_cached_tool_are_made_once(model: ScriptedModel) -> None:
    looked: list[str] = []

    @tool("look_up")
    def look_up(word: str) -> str:
        """Looks a word up."""
        looked.append(word)
        return f"{word} means {len(word)}"

    agents = [member(role, model, tools=[look_up]) for role in ("first", "second", "third")]
    tasks = [
        job(str(one.role), 'use look_up({"word": "sea"})', one, async_execution=one is not agents[-1]) for one in agents
    ]
    calm = sweep(model, durable(Crew(agents=agents, tasks=tasks, cache=True), id="cached"))
    assert calm.output["raw"] == "on sea means 3"
    assert len([entry for entry in calm.journal if entry["kind"] == "tool"]) == 1
    # each of nine runs made it itself; once more at most for each of their fourteen crashes, where it was under way
    assert 9 <= len(looked) <= 9 + 14
    uncached = run(durable(Crew(agents=agents, tasks=tasks), id="uncached"))
    assert len([entry for entry in uncached.journal if entry["kind"] == "tool"]) == 3


def test_dates_in_prompts_are_recorded(model: ScriptedModel) -> None:
    one = member("one", model, inject_date=True, date_format="%Y-%m-%d %H:%M:%S")
    crew = Crew(agents=[one], tasks=[job("say", "say it", one), job("again", "say it again", one)])
    start_time = dt.datetime(2031, 5, 6, 7, 8, 9, tzinfo=dt.UTC)
    dated = run(durable(crew, id="dated"), start_time=start_time, crash_after=[1, 2, 3])
    assert dated.error is None
    assert set(dated.executions.values()) == {1}
    assert all("Current Date: 2031-05-0" in request for request in model.calls)


def test_a_refused_model_call_keeps_its_code(model: ScriptedModel) -> None:
    model.script = lambda asked: 401
    one = member("one", model)
    refused = run(durable(Crew(agents=[one], tasks=[job("say", "say it", one)]), id="refused"))
    assert refused.error is not None
    assert refused.error.code == "model_auth"


def test_structured_output_is_json(model: ScriptedModel) -> None:
    model.script = lambda asked: json.dumps({"text": "wet", "certain": False})
    one = member("one", model)
    crew = Crew(agents=[one], tasks=[job("find", "find it", one, output_pydantic=Finding)])
    found = run(durable(crew, id="found"))
    assert found.output["json"] == {"text": "wet", "certain": False}
    assert found.output["tasks"][0]["json"] == {"text": "wet", "certain": False}


def test_nothing_leaves_the_machine_and_nothing_is_printed(
    model: ScriptedModel, no_network: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    crew = team(model, Shop())
    crew.verbose = True
    for one in crew.agents:
        one.verbose = True
    assert run(durable(crew, id="team"), {"topic": "tides"}).error is None
    assert run(durable(flow_of(model), id="research"), {"topic": "tides"}).error is None
    assert no_network == []
    assert capfd.readouterr().out == ""


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


OBJECTS = """
from __future__ import annotations
from crewai import Agent, Crew, Flow, Task

lone = Agent(role="lone", goal="g", backstory="b", llm="openai/gpt-4o")
def broken() -> Crew:
    raise KeyError("no such agent")
def made() -> Crew:
    one = Agent(role="one", goal="g", backstory="b", llm="openai/gpt-4o")
    return Crew(agents=[one], tasks=[Task(description="d", expected_output="e", agent=one)])
def mistaken() -> Crew:
    return "crew"
def unsaid():
    return made()
class Talk(Flow):
    pass
"""


@pytest.mark.parametrize(
    ("target", "code", "said"),
    [
        ("lone", "agent_unknown", "does not run by itself"),
        ("broken", "agent_threw", "no such agent"),
        ("mistaken", "agent_unknown", "makes a str"),
        ("unsaid", "agent_unknown", "is no agent"),
    ],
)
def test_bad_objects_are_coded_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, code: str, said: str
) -> None:
    (tmp_path / "crew_objects.py").write_text(OBJECTS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    monkeypatch.delitem(sys.modules, "crew_objects", raising=False)
    with pytest.raises(OmiumError, match=said) as raised:
        load_agents([f"crew_objects:{target}"])
    assert raised.value.code == code
    assert [one.id for one in load_agents(["crew_objects:made", "crew_objects:Talk"])] == ["made", "Talk"]


def test_a_framework_that_is_not_installed_says_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "crew_lacking.py").write_text("import crewai")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sys.modules, "crewai", None)
    with pytest.raises(OmiumError, match=r"pip install 'omium\[crewai\]'") as raised:
        load_agents(["crew_lacking:crew"])
    assert raised.value.code == "agent_threw"

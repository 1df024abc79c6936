"""Real crews: every crash in turn, no recorded model or tool call made again."""

import datetime as dt
import json
from typing import Any

import pytest
from crew_parts import Finding, Shop, flow_of, job, llm_of, member, run, sweep, team
from crewai import Crew, Process
from no_network import no_network
from scripted_model import ScriptedModel

from omium.adapters.crewai import durable

__all__ = ["no_network"]

# CrewAI's own use of what it has deprecated
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


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

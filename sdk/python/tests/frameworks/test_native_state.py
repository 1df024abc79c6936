"""What frameworks call their state is kept among a run's checkpoints: each once, by whichever attempt came there first."""

from collections.abc import Callable
from typing import Any

import pytest
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_core.models import ModelFamily, ModelInfo
from autogen_ext.models.openai import OpenAIChatCompletionClient
from crewai import LLM, Crew, Flow, Task
from crewai import Agent as Member
from crewai.flow.flow import listen, start
from langchain_openai import ChatOpenAI
from langgraph.graph import START, StateGraph
from openai import AsyncOpenAI
from scripted_model import ScriptedModel
from semantic_kernel.agents import ChatCompletionAgent, SequentialOrchestration
from semantic_kernel.connectors.ai.open_ai import OpenAIChatCompletion
from typing_extensions import TypedDict

from omium import Agent
from omium.adapters import agent_of
from omium.testing import TestRun, run_agent


class Notes(TypedDict, total=False):
    topic: str
    plan: str
    report: str
    blob: Any


def _graph(model: ScriptedModel) -> Any:
    llm = ChatOpenAI(model="scripted", base_url=model.base_url, api_key="x")  # type: ignore[arg-type]

    async def plan(state: Notes) -> dict[str, Any]:
        # what JSON cannot hold is shown, and breaks nothing
        return {"plan": str((await llm.ainvoke(f"plan {state['topic']}")).content), "blob": {b"\x00", b"\x01"}}

    async def write(state: Notes) -> dict[str, Any]:
        return {"report": str((await llm.ainvoke(f"write {state['plan']}")).content), "blob": None}

    graph = StateGraph(Notes)
    graph.add_node("planner", plan)
    graph.add_node("writer", write)
    graph.add_edge(START, "planner")
    graph.add_edge("planner", "writer")
    return graph.compile()


def _autogen(model: ScriptedModel) -> Any:
    info = ModelInfo(
        vision=False, function_calling=True, json_output=True, family=ModelFamily.UNKNOWN, structured_output=True
    )
    client = OpenAIChatCompletionClient(model="scripted", base_url=model.base_url, api_key="x", model_info=info)
    return RoundRobinGroupChat([AssistantAgent("planner", client), AssistantAgent("writer", client)], max_turns=2)


def _crew(model: ScriptedModel) -> Any:
    llm = LLM(model="openai/scripted", base_url=model.base_url, api_key="x")

    def task(name: str, role: str) -> Task:
        member = Member(role=role, goal="work", backstory="works", llm=llm)
        return Task(name=name, description=f"{name} about {{topic}}", expected_output="text", agent=member)

    tasks = [task("plan", "planner"), task("write", "writer")]
    return Crew(agents=[one.agent for one in tasks if one.agent], tasks=tasks)


def _flow(model: ScriptedModel) -> Any:
    llm = LLM(model="openai/scripted", base_url=model.base_url, api_key="x")

    class Research(Flow[dict[str, Any]]):
        @start()
        def plan(self) -> None:
            self.state["plan"] = llm.call("plan it")

        @listen(plan)
        def write(self) -> None:
            self.state["report"] = llm.call("write it")

    return Research


def _orchestration(model: ScriptedModel) -> Any:
    service = OpenAIChatCompletion(
        ai_model_id="scripted", async_client=AsyncOpenAI(base_url=model.base_url, api_key="x", max_retries=0)
    )
    members = [ChatCompletionAgent(name=name, service=service) for name in ("planner", "writer")]
    return SequentialOrchestration(members=members)  # type: ignore[arg-type]


CASES: list[tuple[Callable[[ScriptedModel], Any], Any, str, list[str]]] = [
    (_graph, {"topic": "tides"}, "langgraph", ["input", "step-0", "step-1", "step-2"]),
    (_autogen, "tides", "autogen", ["turn-1", "turn-2"]),
    (_crew, {"topic": "tides"}, "crewai", ["task-1", "task-2"]),
    (_flow, {}, "crewai", ["method-1", "method-2"]),
    (_orchestration, "tides", "semantic-kernel", ["message-1", "message-2"]),
]


def _run(make: Callable[[ScriptedModel], Any], model: ScriptedModel, given: Any, **options: Any) -> TestRun[Any]:
    agent: Agent[Any, Any] | None = agent_of(make(model), "team")
    assert agent is not None
    run = run_agent(agent, given, limit=30, **options)
    assert run.error is None, run.error
    return run


@pytest.mark.parametrize(("make", "given", "framework", "ids"), CASES, ids=[case[0].__name__[1:] for case in CASES])
def test_each_state_is_kept_once(
    make: Callable[[ScriptedModel], Any], given: Any, framework: str, ids: list[str], model: ScriptedModel
) -> None:
    calm = _run(make, model, given)
    assert [state["id"] for state in calm.states] == ids
    assert {(state["thread"], state["namespace"]) for state in calm.states} == {("test-run", framework)}
    assert all(state["metadata"]["framework"] == framework and state.get("label") for state in calm.states)
    text = str(calm.states[-1]["state"])
    # the last state has in it what was said first and last
    assert text.count("on ") >= 2, text

    # an attempt that is killed after its first record leaves the rest to the next, which does not repeat it
    for crash in (1, 2):
        run = _run(make, model, given, crash_after=crash)
        kept = [state["id"] for state in run.states]
        assert len(kept) == len(set(kept)), kept
        assert set(kept) <= set(ids)
        assert kept[-1] == ids[-1]
        attempts = {state["id"]: state["metadata"]["attempt"] for state in run.states}
        assert attempts[ids[-1]] == 2


def test_a_team_that_has_no_state_to_give_runs_all_the_same(
    model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(self: object) -> Any:
        raise RuntimeError("no state")

    monkeypatch.setattr(RoundRobinGroupChat, "save_state", broken)
    run = _run(_autogen, model, "tides")
    assert run.states == []
    assert run.status == "completed"

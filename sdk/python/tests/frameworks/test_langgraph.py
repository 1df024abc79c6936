"""Real graphs: every crash in turn, no recorded model or tool call made again."""

import operator
from typing import Annotated, Any

import pytest
from langchain_core.messages import AnyMessage, HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.prebuilt import ToolNode
from langgraph.types import interrupt
from scripted_model import ScriptedModel
from typing_extensions import TypedDict

from omium import Agent, current_step
from omium.adapters.langgraph import durable
from omium.llm.context import LLM_RETRY
from omium.testing import run_agent


class State(TypedDict):
    topic: str
    plan: str
    notes: Annotated[list[str], operator.add]
    messages: Annotated[list[AnyMessage], add_messages]
    report: str


def _team(model: ScriptedModel, effects: list[str], *, streaming: bool, sync: bool) -> Agent[Any, Any]:
    """A planner, two researchers in parallel of which one makes two calls, a buyer with a tool, a writer."""
    llm = ChatOpenAI(model="scripted", base_url=model.base_url, api_key="x", streaming=streaming)  # type: ignore[arg-type]

    @tool(description="Buys something.")
    def buy(thing: str) -> str:
        step = current_step()
        assert step is not None
        effects.append(f"{thing} {step.idempotency_key}")
        return f"bought {thing}"

    buy.tags = ["omium:effect"]
    buyer = llm.bind_tools([buy])

    async def ask(text: str) -> str:
        return str((await llm.ainvoke(text)).content)

    def ask_sync(text: str) -> str:
        return str(llm.invoke(text).content)

    async def planner(state: State) -> dict[str, Any]:
        return {"plan": await ask(f"plan {state['topic']}")}

    async def reader(state: State) -> dict[str, Any]:
        first = await ask(f"read {state['plan']}")
        return {"notes": [await ask(f"read more {first}")]}

    def critic(state: State) -> dict[str, Any]:
        return {"notes": [ask_sync(f"criticise {state['plan']}")]}

    async def acritic(state: State) -> dict[str, Any]:
        return {"notes": [await ask(f"criticise {state['plan']}")]}

    async def order(state: State) -> dict[str, Any]:
        question = HumanMessage('use buy({"thing": "paper"})')
        return {"messages": [question, await buyer.ainvoke([question])]}

    async def writer(state: State) -> dict[str, Any]:
        return {"report": await ask(f"write {sorted(state['notes'])} {state['messages'][-1].content}")}

    graph = StateGraph(State)
    graph.add_node("planner", planner)
    graph.add_node("reader", reader)
    graph.add_node("critic", critic if sync else acritic)
    graph.add_node("order", order)
    graph.add_node("tools", ToolNode([buy]))
    graph.add_node("writer", writer)
    graph.add_edge(START, "planner")
    graph.add_edge("planner", "reader")
    graph.add_edge("planner", "critic")
    graph.add_edge(["reader", "critic"], "order")
    graph.add_edge("order", "tools")
    graph.add_edge("tools", "writer")
    graph.add_edge("writer", END)
    return durable(graph.compile(), id="team")


INPUT = {"topic": "tides", "notes": [], "messages": []}
RECORDS = 7


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("sync", [False, True])
def test_resumes_from_every_record_without_repeating_a_call(model: ScriptedModel, streaming: bool, sync: bool) -> None:
    calm_effects: list[str] = []
    calm = run_agent(_team(model, calm_effects, streaming=streaming, sync=sync), INPUT, limit=20)
    assert calm.error is None
    assert "bought paper" in calm.output["report"]
    assert sum(calm.executions.values()) == RECORDS
    assert calm_effects == [f"paper {calm_effects[0].split()[1]}"]
    names = [entry["path"].split(":")[0] for entry in calm.journal]
    assert sorted(names) == ["buy", *["completions"] * 6]

    for crash in range(1, RECORDS + 1):
        model.calls.clear()
        effects: list[str] = []
        team = _team(model, effects, streaming=streaming, sync=sync)
        run = run_agent(team, INPUT, crash_after=crash, limit=20)
        assert run.error is None
        assert run.output["report"] == calm.output["report"]
        assert [one.ended for one in run.attempts] == ["crashed", "completed"]
        assert set(run.executions.values()) == {1}, f"crash {crash}"
        assert len(effects) == 1
    # all at once: an attempt for each record
    model.calls.clear()
    run = run_agent(
        _team(model, [], streaming=streaming, sync=sync), INPUT, crash_after=list(range(1, RECORDS + 1)), limit=20
    )
    assert run.output["report"] == calm.output["report"]
    assert set(run.executions.values()) == {1}
    usage = [entry for entry in run.journal if entry["kind"] == "llm"]
    assert len(usage) == 6


def test_interrupts_become_waits_and_approvals(model: ScriptedModel) -> None:
    llm = ChatOpenAI(model="scripted", base_url=model.base_url, api_key="x")  # type: ignore[arg-type]

    async def draft(state: State) -> dict[str, Any]:
        return {"plan": str((await llm.ainvoke("draft")).content)}

    def review(state: State) -> dict[str, Any]:
        answer = interrupt({"question": "better?", "draft": state["plan"]})
        return {"report": f"{state['plan']}, {answer['say']}"}

    def publish(state: State) -> dict[str, Any]:
        return {"notes": ["published" if interrupt({"approve": "Publish?"}) else "kept"]}

    graph = StateGraph(State)
    for node in (draft, review, publish):
        graph.add_node(node.__name__, node)
    graph.add_edge(START, "draft")
    graph.add_edge("draft", "review")
    graph.add_edge("review", "publish")
    agent = durable(graph, id="reviewed")

    waiting = run_agent(agent, INPUT)
    assert (waiting.status, waiting.waiting_for) == ("waiting", ("wait:resume:1#1",))
    signals = {"resume": {"say": "fine"}}
    asking = run_agent(agent, INPUT, signals=signals)
    assert (asking.status, asking.waiting_for) == ("waiting", ("approve#1",))
    run = run_agent(agent, INPUT, signals=signals, approvals={"Publish?": True}, crash_after=[1, 2, 3, 4])
    assert run.output["report"] == "on draft, fine"
    assert run.output["notes"] == ["published"]
    assert set(run.executions.values()) == {1}


def test_a_changed_graph_is_a_mismatch_and_never_a_live_call(model: ScriptedModel) -> None:
    llm = ChatOpenAI(model="scripted", base_url=model.base_url, api_key="x")  # type: ignore[arg-type]
    starts: list[int] = []

    async def changing(state: State) -> dict[str, Any]:
        starts.append(1)
        first = str((await llm.ainvoke(f"say {len(starts)}")).content)
        return {"plan": str((await llm.ainvoke(first)).content)}

    graph = StateGraph(State)
    graph.add_node("changing", changing)
    graph.add_edge(START, "changing")
    run = run_agent(durable(graph, id="changing"), INPUT, crash_after=1)
    assert run.error is not None
    assert run.error.code == "replay_mismatch"
    assert sum(model.calls.values()) == 1


@pytest.mark.parametrize(
    ("asked", "refused", "within_s", "code"),
    [("say it", 413, 15, "model_context_length"), ("hang", None, 0.3, "timeout")],
)
def test_a_failure_of_the_model_keeps_its_code(
    model: ScriptedModel, asked: str, refused: int | None, within_s: float, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LLM_RETRY, "maxAttempts", 1)
    model.script = lambda _: refused
    llm = ChatOpenAI(model="scripted", base_url=model.base_url, api_key="x", timeout=within_s)  # type: ignore[arg-type]

    async def ask(state: State) -> dict[str, Any]:
        return {"plan": str((await llm.ainvoke(asked)).content)}

    graph = StateGraph(State)
    graph.add_node("ask", ask)
    graph.add_edge(START, "ask")
    run = run_agent(durable(graph, id="asking"), INPUT)
    assert run.error is not None
    assert run.error.code == code

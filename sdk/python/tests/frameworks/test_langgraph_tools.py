"""Tools of every kind in a graph: each call is recorded once, and comes back as what it gave."""

import operator
from collections.abc import Callable
from typing import Annotated, Any, ClassVar

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from langchain_core.tools import BaseTool, InjectedToolCallId, ToolException, tool
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.prebuilt import InjectedState, ToolNode
from langgraph.types import Command, Send, interrupt
from no_network import no_network
from scripted_model import ScriptedModel
from typing_extensions import TypedDict

from omium import Agent, current_step
from omium.adapters.langgraph import durable
from omium.testing import TestRun, run_agent

__all__ = ["no_network"]


class State(TypedDict, total=False):
    topic: str
    messages: Annotated[list[AnyMessage], add_messages]
    found: Annotated[list[str], operator.add]
    note: str


def calling(*calls: tuple[str, dict[str, Any]]) -> AIMessage:
    made = [
        {"name": name, "args": args, "id": f"call-{i}", "type": "tool_call"} for i, (name, args) in enumerate(calls)
    ]
    return AIMessage("", tool_calls=made)


def using(tools: list[Any], *calls: tuple[str, dict[str, Any]], **options: Any) -> Agent[Any, Any]:
    """A graph that makes these calls of these tools, one after the other.

    At the same time would be another matter: a crash behind the record of one finds the other in the midst of its work,
    and an effect in the midst of its work waits for a person.
    """
    graph = StateGraph(State)
    before = START
    for turn, call in enumerate(calling(*calls).tool_calls):
        asked = AIMessage("", tool_calls=[call])
        graph.add_node(f"ask {turn}", lambda state, asked=asked: {"messages": [asked]})
        graph.add_node(f"tools {turn}", ToolNode(tools, **options))
        graph.add_edge(before, f"ask {turn}")
        graph.add_edge(f"ask {turn}", f"tools {turn}")
        before = f"tools {turn}"
    graph.add_edge(before, END)
    return durable(graph.compile(), id="using")


def said_by(run: TestRun[Any]) -> list[str]:
    return [one["content"] for one in run.output["messages"] if one["type"] == "tool"]


def survives(make: Callable[[], Agent[Any, Any]], given: Any, **options: Any) -> TestRun[Any]:
    """The undisturbed run, after the same with a crash behind each of its records."""
    calm = run_agent(make(), given, limit=20, **options)
    assert calm.error is None, calm.error
    for crash in [*range(1, len(calm.journal) + 1), list(range(1, len(calm.journal) + 1))]:
        run = run_agent(make(), given, limit=20, crash_after=crash, **options)
        assert run.error is None, (crash, run.error)
        assert run.output == calm.output, crash
        assert set(run.executions.values()) <= {1}, crash
        assert len(run.attempts) > 1
    return calm


class Buy(BaseTool):
    name: str = "buy"
    description: str = "Buys something."
    tags: list[str] | None = ["omium:effect"]  # noqa: RUF012 - a field
    bought: ClassVar[list[str]] = []

    def _run(self, thing: str) -> str:
        step = current_step()
        assert step is not None
        self.bought.append(f"{thing} {step.idempotency_key}")
        return f"bought {thing}"


class Look(BaseTool):
    name: str = "look"
    description: str = "Looks something up."
    looked: ClassVar[list[str]] = []

    def _run(self, thing: str) -> str:
        raise NotImplementedError

    async def _arun(self, thing: str) -> str:
        self.looked.append(thing)
        return f"seen {thing}"


def test_tools_that_are_classes_are_recorded() -> None:
    calm = survives(
        lambda: using([Buy(), Look()], ("buy", {"thing": "paper"}), ("look", {"thing": "moon"})),
        {"messages": [HumanMessage("go").model_dump()]},
    )
    assert said_by(calm) == ["bought paper", "seen moon"]
    assert sorted(entry["path"].split(":")[0] for entry in calm.journal) == ["buy", "look"]
    # the undisturbed run and three others
    assert len(Buy.bought) == len(Look.looked) == 4
    assert len({one.split()[1] for one in Buy.bought}) == 1


def test_plain_functions_in_a_tool_node_are_recorded() -> None:
    made: list[str] = []

    def add(a: int, b: int) -> int:
        """Adds."""
        made.append("add")
        return a + b

    async def shout(text: str) -> str:
        """Shouts."""
        made.append("shout")
        return text.upper()

    add.tags = ["omium:effect"]  # type: ignore[attr-defined]
    calm = survives(lambda: using([add, shout], ("add", {"a": 1, "b": 2}), ("shout", {"text": "hi"})), {})
    assert said_by(calm) == ["3", "HI"]
    assert len(made) == 2 * 4


def test_results_that_are_no_json_come_back_as_they_were() -> None:
    @tool(response_format="content_and_artifact")
    def draw(what: str) -> tuple[str, dict[str, Any]]:
        """Draws."""
        return f"a drawing of {what}", {"bytes": b"\x00\x01"}

    @tool
    def move(to: str, call_id: Annotated[str, InjectedToolCallId], state: Annotated[Any, InjectedState]) -> Any:
        """Moves on."""
        assert state["topic"] == "tides"
        return Command(update={"note": f"moved to {to}", "messages": [ToolMessage("moved", tool_call_id=call_id)]})

    seen: list[Any] = []

    def look(state: State) -> dict[str, Any]:
        seen.append([getattr(one, "artifact", None) for one in state["messages"]])
        return {}

    def make() -> Agent[Any, Any]:
        graph = StateGraph(State)
        calls = calling(("draw", {"what": "a cat"}), ("move", {"to": "end"}))
        graph.add_node("ask", lambda state: {"messages": [calls]})
        graph.add_node("tools", ToolNode([draw, move]))
        graph.add_node("look", look)
        graph.add_edge(START, "ask")
        graph.add_edge("ask", "tools")
        graph.add_edge("tools", "look")
        return durable(graph, id="drawing")

    calm = survives(make, {"topic": "tides"})
    assert said_by(calm) == ["a drawing of a cat", "moved"]
    assert calm.output["note"] == "moved to end"
    assert seen
    assert all({"bytes": b"\x00\x01"} in artifacts for artifacts in seen)


def test_what_a_tool_raises_for_its_framework_reaches_it_the_same_on_replay() -> None:
    @tool
    def fail(thing: str) -> str:
        """Fails."""
        raise ToolException(f"no {thing} left")

    fail.handle_tool_error = True
    calm = survives(lambda: using([fail], ("fail", {"thing": "paper"})), {})
    assert said_by(calm) == ["no paper left"]


def test_a_tool_may_interrupt_the_graph_and_ask_twice() -> None:
    done: list[str] = []

    @tool
    def book(place: str) -> str:
        """Books a journey."""
        sure = interrupt({"approve": f"Book {place}?"})
        seat = interrupt({"question": "which seat?"})
        done.append(place)
        return f"booked {place}, seat {seat}" if sure else "kept at home"

    asking = run_agent(using([book], ("book", {"place": "Rome"})), {})
    assert (asking.status, asking.waiting_for) == ("waiting", ("approve#1",))
    calm = survives(
        lambda: using([book], ("book", {"place": "Rome"})),
        {},
        approvals={"Book Rome?": True},
        signals={"resume": "4a"},
    )
    assert said_by(calm) == ["booked Rome, seat 4a"]
    tools = [entry for entry in calm.journal if entry["kind"] == "tool"]
    assert len(tools) == 3
    refused = run_agent(
        using([book], ("book", {"place": "Rome"})), {}, approvals={"Book Rome?": False}, signals={"resume": "4a"}
    )
    assert said_by(refused) == ["kept at home"]


def test_a_tool_that_is_code_has_its_calls_recorded(model: ScriptedModel) -> None:
    llm = ChatOpenAI(model="scripted", base_url=model.base_url, api_key="x")  # type: ignore[arg-type]

    @tool
    async def research(topic: str) -> str:
        """Asks twice."""
        first = await llm.ainvoke(f"read {topic}")
        return str((await llm.ainvoke(f"sum up {first.content}")).content)

    research.tags = ["omium:code"]
    calm = survives(lambda: using([research], ("research", {"topic": "tides"})), {})
    assert said_by(calm) == ["on sum up on read tides"]
    assert [entry["kind"] for entry in calm.journal] == ["llm", "llm"]


def _nested(model: ScriptedModel) -> Agent[Any, Any]:
    """A graph in a graph, which is run for each of three parts at once and asks a person once."""
    llm = ChatOpenAI(model="scripted", base_url=model.base_url, api_key="x", streaming=True)  # type: ignore[arg-type]

    class Part(TypedDict, total=False):
        part: str
        text: str
        found: Annotated[list[str], operator.add]

    async def read(state: Part) -> dict[str, Any]:
        chunks = [str(chunk.content) async for chunk in llm.astream(f"read {state['part']}")]
        return {"text": "".join(chunks)}

    async def judge(state: Part) -> dict[str, Any]:
        return {"found": [str((await llm.ainvoke(f"judge {state['text']}")).content)]}

    inner = StateGraph(Part)
    inner.add_node("read", read)
    inner.add_node("judge", judge)
    inner.add_edge(START, "read")
    inner.add_edge("read", "judge")

    def check(state: State) -> dict[str, Any]:
        return {"note": interrupt({"found": sorted(state["found"])})}

    outer = StateGraph(State)
    outer.add_node("split", lambda state: {})
    outer.add_node("part", inner.compile())
    outer.add_node("check", check)
    outer.add_edge(START, "split")
    outer.add_conditional_edges("split", lambda state: [Send("part", {"part": part}) for part in "abc"], ["part"])
    outer.add_edge("part", "check")
    return durable(outer.compile(), id="nested")


def test_nested_graphs_fan_out_and_stream(model: ScriptedModel, no_network: list[str]) -> None:
    calm = survives(lambda: _nested(model), {"topic": "tides"}, signals={"resume": "fine"})
    assert calm.output["found"] == [f"on judge on read {part}" for part in "abc"]
    assert calm.output["note"] == "fine"
    assert no_network == []

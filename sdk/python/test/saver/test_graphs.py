"""The checkpointer under real graphs, on the platform that `OMIUM_URL` names."""

from __future__ import annotations

import asyncio
import operator
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Annotated, Any, TypedDict
from uuid import uuid4

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import MessagesState
from langgraph.types import Command, Send, interrupt

from omium import OmiumError
from omium.adapters.langgraph_saver import OmiumCheckpointSaver, thread_of
from omium.client import Client


class State(TypedDict):
    log: Annotated[list[str], operator.add]


def extend(value: list[str], writes: Any) -> list[str]:
    return value + [one for write in writes for one in write]


class Growing(TypedDict):
    """Its log is kept as differences, and whole only now and then."""

    log: Annotated[list[str], DeltaChannel(extend, snapshot_frequency=5)]


def config(thread: str, **more: str) -> Any:
    return {"configurable": {"thread_id": thread, **more}}


def asking(saver: Any) -> Any:
    """Two parallel nodes, one of which asks, in a graph within a graph; then one that joins."""
    inner = StateGraph(State)
    inner.add_node("ask", lambda _: {"log": [f"answer {interrupt({'question': 'go?'})}"]})
    inner.add_edge(START, "ask")
    outer = StateGraph(State)
    outer.add_node("sub", inner.compile())
    outer.add_node("other", lambda _: {"log": ["other"]})
    outer.add_node("join", lambda state: {"log": [f"joined {len(state['log'])}"]})
    outer.add_edge(START, "sub")
    outer.add_edge(START, "other")
    outer.add_edge(["sub", "other"], "join")
    return outer.compile(checkpointer=saver)


@pytest.fixture
def saver() -> Any:
    with OmiumCheckpointSaver() as saver:
        yield saver


def test_an_interrupt_within_a_graph_within_a_graph_is_resumed_by_another_saver(saver: Any) -> None:
    thread = f"interrupt {uuid4()}"
    first = asking(saver).invoke({"log": []}, config(thread))
    assert first["__interrupt__"][0].value == {"question": "go?"}
    with OmiumCheckpointSaver() as another:
        state = asking(another).get_state(config(thread), subgraphs=True)
        assert [task.name for task in state.tasks if task.interrupts] == ["sub"]
        final = asking(another).invoke(Command(resume="yes"), config(thread))
    assert sorted(final["log"]) == ["answer yes", "joined 2", "other"]


def test_history_and_time_travel_are_those_of_the_saver_in_memory(saver: Any) -> None:
    def run(of: Any) -> list[Any]:
        builder = StateGraph(State)
        for name in ("a", "b"):
            builder.add_node(name, lambda state, name=name: {"log": [f"{name}{len(state['log'])}"]})
        builder.add_edge(START, "a")
        builder.add_edge("a", "b")
        builder.add_edge("b", END)
        graph = builder.compile(checkpointer=of)
        thread = str(uuid4())
        graph.invoke({"log": ["one"]}, config(thread))
        graph.invoke({"log": ["two"]}, config(thread))
        history = list(graph.get_state_history(config(thread)))
        earlier = next(state for state in history if state.next == ("b",) and len(state.values["log"]) == 2)
        edited = graph.update_state(earlier.config, {"log": ["edited"]})
        forked = graph.invoke(None, edited)
        again = list(graph.get_state_history(config(thread)))
        steps = [(s.values.get("log"), s.next, (s.metadata or {}).get("source")) for s in again]
        loops = list(graph.get_state_history(config(thread), filter={"source": "loop"}, limit=2))
        return [forked, steps, [s.values for s in loops]]

    assert run(saver) == run(InMemorySaver())


def test_async_graphs_fan_out_and_keep_messages() -> None:
    async def main() -> None:
        async with OmiumCheckpointSaver() as saver:
            builder = StateGraph(MessagesState)
            builder.add_node("reply", lambda state: {"messages": [AIMessage(f"re: {state['messages'][-1].content}")]})
            builder.add_edge(START, "reply")
            chat = builder.compile(checkpointer=saver)
            thread = str(uuid4())
            for text in ("hello", "Ünïcode \ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16")):
                await chat.ainvoke({"messages": [HumanMessage(text)]}, config(thread))
            state = await chat.aget_state(config(thread))
            assert [type(m).__name__ for m in state.values["messages"]] == ["HumanMessage", "AIMessage"] * 2
            wide = StateGraph(State)
            wide.add_node("one", lambda n: {"log": [str(n)]})
            wide.add_conditional_edges(START, lambda _: [Send("one", n) for n in range(12)])
            fan = wide.compile(checkpointer=saver)
            result = await fan.ainvoke({"log": []}, config(str(uuid4())))
            assert result["log"] == [str(n) for n in range(12)]

    asyncio.run(main())
    asyncio.run(main())


@pytest.mark.parametrize(
    "text", ["plain-1.x", "user 7/übung?#%", "", "x" * 500, "lgx.y", "../../etc", "a\nb", "\0%0041\ud800"]
)
def test_thread_ids_may_be_any_text(saver: Any, text: str) -> None:
    thread = f"{text}~{uuid4()}" if text not in ("plain-1.x",) else f"{text}-{uuid4()}"
    graph = asking(saver)
    graph.invoke({"log": []}, config(thread))
    assert [one.config["configurable"]["thread_id"] for one in saver.list(config(thread), limit=1)] == [thread]
    everywhere = [one.config["configurable"]["thread_id"] for one in saver.list(None, limit=20)]
    assert thread in everywhere
    saver.delete_thread(thread)
    assert saver.get_tuple(config(thread)) is None


def test_names_of_threads_never_meet() -> None:
    texts = ["a", "lg.a", "lgx.a", "a b", "A", "é", "e\u0301", "a" * 120, "a" * 121, "", "\ud800"]
    assert len({thread_of(text) for text in texts}) == len(texts)


def test_other_tenants_and_other_programs_are_not_seen(saver: Any) -> None:
    thread = str(uuid4())
    asking(saver).invoke({"log": []}, config(thread))
    with OmiumCheckpointSaver(api_key=os.environ["OTHER_TENANT_KEY"]) as other:
        assert other.get_tuple(config(thread)) is None
        assert list(other.list(None)) == []
        other.delete_thread(thread)
        asking(other).invoke({"log": ["theirs"]}, config(thread))
    assert saver.get_tuple(config(thread)).checkpoint["channel_values"].get("log") != ["theirs"]


def test_pruning_keeps_what_channels_of_differences_are_put_together_from(saver: Any) -> None:
    builder = StateGraph(Growing)
    builder.add_node("n", lambda state: {"log": [f"n{len(state['log'])}"]})
    builder.add_edge(START, "n")
    graph = builder.compile(checkpointer=saver)
    thread = str(uuid4())
    for i in range(4):
        graph.invoke({"log": [f"in{i}"]}, config(thread))
    before = graph.get_state(config(thread)).values
    assert len(before["log"]) == 8
    count = len(list(saver.list(config(thread))))
    saver.prune([thread])
    assert graph.get_state(config(thread)).values == before
    assert len(list(saver.list(config(thread)))) < count


def test_many_threads_of_a_program_share_one_saver(saver: Any) -> None:
    graph = asking(saver)
    results: dict[str, Any] = {}

    def work(thread: str) -> None:
        graph.invoke({"log": []}, config(thread))
        results[thread] = graph.invoke(Command(resume=thread), config(thread))["log"]

    names = [str(uuid4()) for _ in range(8)]
    threads = [threading.Thread(target=work, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {name: f"answer {name}" in log for name, log in results.items()} == dict.fromkeys(names, True)


def test_an_id_that_was_taken_for_another_state_is_refused(saver: Any) -> None:
    thread, checkpoint = str(uuid4()), empty_checkpoint()
    place = config(thread, checkpoint_ns="")
    saver.put(place, checkpoint, {"source": "input", "step": -1}, {})
    saver.put(place, checkpoint, {"source": "input", "step": -1}, {})
    with pytest.raises(OmiumError, match="another state") as raised:
        saver.put(place, {**checkpoint, "channel_values": {"x": 1}}, {"source": "input", "step": -1}, {})
    assert raised.value.code == "checkpoint_conflict"


def test_a_program_that_is_killed_goes_on_from_its_last_node(tmp_path: Path) -> None:
    work = tmp_path / "work"
    program = str(Path(__file__).with_name("program.py"))
    thread = str(uuid4())

    def start(node_s: str) -> subprocess.Popen[str]:
        environment = {**os.environ, "WORK_LOG": str(work), "NODE_S": node_s}
        return subprocess.Popen([sys.executable, program, thread], env=environment, stdout=subprocess.PIPE, text=True)

    killed = start("0.3")
    assert killed.stdout is not None
    for line in killed.stdout:
        if line.strip() == "ran n4":
            killed.kill()
            break
    killed.wait()
    out, _ = start("0").communicate(timeout=60)
    assert "result n1,n2,n3,n4,n5,n6" in out
    # the node that was killed in the middle ran again, none that was finished did
    assert work.read_text().split() == ["n1", "n2", "n3", "n4", "n4", "n5", "n6"]


def checkpoint_of(index: int, **values: Any) -> Any:
    return {**empty_checkpoint(), "id": f"1f0{index:05}-0000-6000-8000-000000000000", "channel_values": values}


def test_lists_are_those_of_the_saver_in_memory(saver: Any) -> None:
    thread, other, memory = str(uuid4()), str(uuid4()), InMemorySaver()
    odd: list[dict[str, Any]] = [
        {"n": 1, "none": None, "nested": {"a": [1]}},
        {"n": 2.5, "text": "ä\ud800\0", "big": 2**62},
        {"n": True, "text": "x" * 5000, "nested": {"a": [2]}},
        {"text": "", "big": -(2**60)},
    ]
    for index in range(6):
        for name, namespace in ((thread, ""), (thread, "sub|n:1"), (other, "")):
            place, metadata = config(name, checkpoint_ns=namespace), {"source": "loop", "step": index, **odd[index % 4]}
            for each in (saver, memory):
                each.put(place, checkpoint_of(index, value=index), metadata, {})

    def listed(each: Any, *args: Any, **asked: Any) -> list[Any]:
        found = [one.config["configurable"] for one in each.list(*args, **asked)]
        return sorted((one["thread_id"], one["checkpoint_ns"], one["checkpoint_id"]) for one in found)

    before = config(thread, checkpoint_id=checkpoint_of(3)["id"])
    filters: list[Any] = [None, {}, {"step": 3}, {"none": None}, {"nested": {"a": [1]}}, {"big": 2**62}, {"n": 2.5}]
    filters += [{"text": "ä\ud800\0"}, {"text": "x" * 5000}, {"big": -(2**60), "step": 3}, {"absent": 1}, {"text": ""}]
    places = [config(thread), config(thread, checkpoint_ns=""), config(thread, checkpoint_ns="sub|n:1")]
    places += [config(thread, checkpoint_id=checkpoint_of(5)["id"]), config(str(uuid4()))]
    questions: list[tuple[Any, dict[str, Any]]] = [(places[0], {"filter": filter}) for filter in filters]
    questions += [(place, {"filter": {"step": 5}}) for place in places]
    questions += [(place, {"before": before}) for place in places]
    for limit in (0, 1, 3, 100):
        questions += [(places[1], {"limit": limit}), (places[2], {"limit": limit, "filter": {"nested": {"a": [2]}}})]
    for place, asked in questions:
        assert listed(saver, place, **asked) == listed(memory, place, **asked), (place, asked)
    assert len(listed(saver, None, filter={"big": 2**62}, limit=100)) >= 3


def test_pending_writes_are_those_of_the_saver_in_memory_also_after_time_travel(saver: Any) -> None:
    thread, memory = str(uuid4()), InMemorySaver()
    first, second = checkpoint_of(1), checkpoint_of(2)
    for each in (saver, memory):
        here = each.put(config(thread, checkpoint_ns=""), first, {"source": "loop", "step": 1}, {})
        each.put_writes(here, [("a", 1), ("b", 2)], "task-1", "~p, b")
        each.put_writes(here, [("__interrupt__", "first")], "task-2", "~p, a")
        each.put(here, second, {"source": "loop", "step": 2}, {})
        # back at the first: the same tasks write again, and a new one
        each.put_writes(here, [("a", 10), ("b", 20), ("c", 30)], "task-1", "~p, b")
        each.put_writes(here, [("__interrupt__", "second")], "task-2", "~p, a")
        each.put_writes(here, [("a", 5)], "task-3", "")
    for id in (first["id"], second["id"]):
        place = config(thread, checkpoint_ns="", checkpoint_id=id)
        got, expected = saver.get_tuple(place).pending_writes, memory.get_tuple(place).pending_writes
        assert [tuple(one) for one in got] == [tuple(one) for one in expected]


def test_two_programs_on_one_thread_lose_nothing_of_each_other(saver: Any) -> None:
    thread, each = str(uuid4()), 8

    def work(offset: int) -> None:
        with OmiumCheckpointSaver() as own:
            for n in range(each):
                stored = checkpoint_of(2 * n + offset, of=offset)
                place = own.put(config(thread, checkpoint_ns=""), stored, {"source": "loop", "step": n}, {})
                own.put_writes(place, [("ch", f"{offset} {n}")], f"task-{offset}")
                assert own.get_tuple(place).pending_writes == [(f"task-{offset}", "ch", f"{offset} {n}")]

    threads = [threading.Thread(target=work, args=(offset,)) for offset in (0, 1)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    found = list(saver.list(config(thread)))
    assert [one.checkpoint["id"] for one in found] == [checkpoint_of(n)["id"] for n in reversed(range(2 * each))]
    assert [one.pending_writes[0][2] for one in reversed(found)] == [f"{n % 2} {n // 2}" for n in range(2 * each)]
    assert saver.get_tuple(config(thread)).checkpoint["id"] == checkpoint_of(2 * each - 1)["id"]


def test_what_a_thread_was_rolled_back_behind_is_not_the_latest_of_its_copy(saver: Any) -> None:
    thread, copy = str(uuid4()), str(uuid4())
    for n in (1, 2, 3):
        saver.put(config(thread, checkpoint_ns=""), checkpoint_of(n), {"source": "loop", "step": n}, {})
    with Client() as client:
        client.checkpoints.rollback(thread_of(thread), checkpoint_of(2)["id"])
    saver.copy_thread(thread, copy)
    assert saver.get_tuple(config(thread)).checkpoint["id"] == checkpoint_of(2)["id"]
    assert saver.get_tuple(config(copy)).checkpoint["id"] == checkpoint_of(2)["id"]


def test_a_thread_of_which_somebody_needs_a_checkpoint_is_not_deleted(saver: Any) -> None:
    thread = str(uuid4())
    saver.put(config(thread, checkpoint_ns=""), checkpoint_of(1), {"source": "loop", "step": 1}, {})
    place = (thread_of(thread), checkpoint_of(1)["id"])
    with Client() as client:
        client.checkpoints.pin(*place, "somebody")
        with pytest.raises(OmiumError) as raised:
            saver.delete_thread(thread)
        assert raised.value.code == "checkpoint_needed"
        client.checkpoints.unpin(*place, "somebody")
    saver.delete_thread(thread)
    assert saver.get_tuple(config(thread)) is None


def test_states_are_large_or_refused(saver: Any) -> None:
    thread, large = str(uuid4()), os.urandom(30 * 1024 * 1024)
    place = saver.put(
        config(thread, checkpoint_ns=""), checkpoint_of(1, value=large), {"source": "loop", "step": 1}, {}
    )
    assert saver.get_tuple(place).checkpoint["channel_values"]["value"] == large
    with pytest.raises(OmiumError) as raised:
        saver.put(place, checkpoint_of(2, value=large + large), {"source": "loop", "step": 2}, {})
    assert raised.value.code == "payload_too_large"
    assert saver.get_tuple(config(thread)).checkpoint["id"] == checkpoint_of(1)["id"]

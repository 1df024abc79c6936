"""Whatever library a model is reached by: its calls are recorded, and answered as that library's."""

import asyncio
import json
from types import ModuleType
from typing import Any

import httpx
import httpx2
import pytest
from langgraph.graph import END, START, StateGraph
from scripted_model import ScriptedModel
from typing_extensions import TypedDict

import omium
from omium.adapters.langgraph import durable
from omium.errors import OmiumError
from omium.testing import run_agent


class State(TypedDict, total=False):
    topic: str
    said: str


def _graph(node: Any) -> Any:
    graph = StateGraph(State)
    graph.add_node("node", node)
    graph.add_edge(START, "node")
    graph.add_edge("node", END)
    return graph


@pytest.mark.parametrize("library", [httpx, httpx2])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("sync", [False, True])
def test_calls_of_both_libraries_are_recorded(
    model: ScriptedModel, library: ModuleType, stream: bool, sync: bool
) -> None:
    url = f"{model.base_url}/chat/completions"

    def asked(text: str) -> dict[str, Any]:
        return {"model": "any", "stream": stream, "messages": [{"role": "user", "content": text}]}

    def text_of(response: Any) -> str:
        assert type(response).__module__.split(".")[0] == library.__name__
        assert response.is_success
        return response.text if stream else json.loads(response.text)["choices"][0]["message"]["content"]

    async def ask(state: State) -> State:
        async with library.AsyncClient() as client:
            first = text_of(await client.post(url, json=asked(state["topic"])))
            return {"said": text_of(await client.post(url, json=asked(f"more of {first}")))}

    def ask_sync(state: State) -> State:
        with library.Client() as client:
            first = text_of(client.post(url, json=asked(state["topic"])))
            return {"said": text_of(client.post(url, json=asked(f"more of {first}")))}

    agent = durable(_graph(ask_sync if sync else ask), id="both")
    run = run_agent(agent, {"topic": "tides"}, crash_after=[1, 2], limit=20)
    assert run.error is None
    assert set(run.executions.values()) == {1}
    assert sum(model.calls.values()) == len(run.journal) == 2


def test_a_provider_that_cannot_be_reached_by_httpx2_is_said_to_be_so() -> None:
    async def ask(state: State) -> State:
        async with httpx2.AsyncClient() as client:
            response = await client.post("http://127.0.0.1:9/v1/chat/completions", json={"model": "any"})
            return {"said": response.json()["error"]["code"]}

    run = run_agent(durable(_graph(ask), id="unreachable"), {"topic": "tides"}, limit=60)
    assert run.output["said"] == "model_overloaded"


def test_a_node_calls_agents_as_child_runs() -> None:
    counted: list[str] = []

    @omium.agent(id="count")
    async def count(given: str, ctx: omium.Context) -> int:
        counted.append(given)
        return len(given)

    async def ask(state: State) -> State:
        both = [await omium.call_agent("count", state["topic"]) for _ in range(2)]
        return {"said": f"{both}, {await omium.call_agent(count, 'four')}"}

    agent = durable(_graph(ask), id="asks")
    run = run_agent(agent, {"topic": "tides"}, agents=[count], crash_after=[1, 2], limit=20)
    assert run.output["said"] == "[5, 5], 4"
    # equal calls are two children
    assert [entry["kind"] for entry in run.journal if entry["status"] == "completed"] == ["child"] * 3
    assert sorted(counted) == ["four", "tides", "tides"]


def test_agents_are_called_in_runs_alone() -> None:
    with pytest.raises(OmiumError) as raised:
        asyncio.run(omium.call_agent("count", "x"))
    assert raised.value.code == "invalid_request"

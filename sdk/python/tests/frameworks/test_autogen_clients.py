"""What is recorded of tools, of other clients of models, of workbenches and of executors."""

import asyncio
from dataclasses import dataclass
from typing import Any

from autogen_agentchat.agents import AssistantAgent, CodeExecutorAgent
from autogen_agentchat.teams import (
    RoundRobinGroupChat,
)
from autogen_core.code_executor import CodeExecutor, CodeResult
from autogen_core.models import ChatCompletionClient, CreateResult, ModelInfo, RequestUsage
from autogen_core.tools import TextResultContent, ToolResult, Workbench
from autogen_parts import client_of
from pydantic import BaseModel
from scripted_model import ScriptedModel

from omium.adapters.autogen import durable
from omium.testing import run_agent


class Price(BaseModel):
    thing: str
    cents: int


@dataclass
class Stock:
    thing: str
    left: int


def test_what_a_tool_returns_reads_as_without_a_journal(model: ScriptedModel) -> None:
    async def price(thing: str) -> Price:
        """A model."""
        return Price(thing=thing, cents=7)

    def stock(thing: str) -> Stock:
        """A dataclass."""
        return Stock(thing, 3)

    def names(thing: str) -> list[str]:
        """A list."""
        return [thing, "pen"]

    def sizes(thing: str) -> tuple[int, float]:
        """A tuple."""
        return (1, 2.5)

    for tool in (price, stock, names, sizes):
        order = f'use {tool.__name__}({{"thing": "paper"}})'

        def make(tool: Any = tool, order: str = order) -> AssistantAgent:
            return AssistantAgent("asking", client_of(model), tools=[tool], system_message=order)

        native = asyncio.run(make().run(task="go")).messages[-1].to_text()  # type: ignore[union-attr]
        run = run_agent(durable(make(), id="asking"), "go", crash_after=[1, 2])
        assert run.output["answer"] == native, tool.__name__


def test_other_clients_workbenches_and_executors_are_recorded(model: ScriptedModel) -> None:
    calls: list[str] = []

    class Bench(Workbench):
        async def list_tools(self) -> Any:
            calls.append("list")
            return [{"name": "buy", "parameters": {"type": "object", "properties": {"thing": {"type": "string"}}}}]

        async def call_tool(self, name: str, arguments: Any = None, *rest: Any) -> ToolResult:
            calls.append(name)
            return ToolResult(name=name, result=[TextResultContent(content=f"bought {arguments['thing']}")])

        async def nothing(self, *_: Any) -> Any: ...

        start = stop = reset = save_state = load_state = nothing

    class Executor(CodeExecutor):
        async def execute_code_blocks(self, code_blocks: Any, cancellation_token: Any) -> CodeResult:
            calls.append(code_blocks[0].code)
            return CodeResult(exit_code=0, output="42")

        async def nothing(self) -> None: ...

        start = stop = restart = nothing

    for one in (Bench, Executor):
        one.__abstractmethods__ = frozenset()  # type: ignore[attr-defined]
    client = OwnClient("```python\nprint(42)\n```")
    buyer = AssistantAgent("buyer", client_of(model), workbench=Bench(), system_message='use buy({"thing": "paper"})')
    coder = CodeExecutorAgent("coder", Executor(), model_client=client, supported_languages=["python"])
    team = durable(RoundRobinGroupChat([buyer, coder], max_turns=2), id="team")
    run = run_agent(team, "go", crash_after=list(range(1, 7)), limit=20)
    assert run.error is None
    assert set(run.executions.values()) == {1}
    assert calls == ["list", "buy", "print(42)\n"]
    assert client.asked == 2


class OwnClient(ChatCompletionClient):
    """A client that goes through no HTTP."""

    component_type = "model"

    def __init__(self, first: str) -> None:
        self.asked = 0
        self.first = first

    async def create(self, messages: Any, **_: Any) -> CreateResult:
        self.asked += 1
        content = self.first if self.asked == 1 else "done"
        return CreateResult(finish_reason="stop", content=content, usage=RequestUsage(1, 2), cached=False)

    @property
    def model_info(self) -> ModelInfo:
        return {
            "vision": False,
            "function_calling": True,
            "json_output": True,
            "family": "unknown",
            "structured_output": True,
        }


OwnClient.__abstractmethods__ = frozenset()  # type: ignore[attr-defined]

"""Real agents, orchestrations and processes: every crash in turn, no recorded model or tool call made again."""

import asyncio
import itertools
import json
import logging
import time
from collections.abc import Callable
from typing import Any

import pytest
from harness_access import cancelled_in_s, step_names
from no_network import no_network
from openai import AsyncOpenAI
from pydantic import BaseModel
from scripted_model import ScriptedModel
from semantic_kernel import Kernel
from semantic_kernel.agents import (
    ChatCompletionAgent,
    ConcurrentOrchestration,
    GroupChatOrchestration,
    HandoffOrchestration,
    MagenticOrchestration,
    OrchestrationHandoffs,
    RoundRobinGroupChatManager,
    SequentialOrchestration,
    StandardMagenticManager,
)
from semantic_kernel.agents.orchestration.group_chat import BooleanResult
from semantic_kernel.connectors.ai.chat_completion_client_base import ChatCompletionClientBase
from semantic_kernel.connectors.ai.open_ai import OpenAIChatCompletion
from semantic_kernel.contents import ChatHistory, ChatMessageContent
from semantic_kernel.functions import kernel_function
from semantic_kernel.processes import ProcessBuilder
from semantic_kernel.processes.kernel_process.kernel_process_step import KernelProcessStep

from omium import Agent, OmiumError, current_step
from omium.adapters import agent_of
from omium.adapters.semantic_kernel import durable
from omium.testing import run_agent

__all__ = ["no_network"]


def _service(model: ScriptedModel) -> OpenAIChatCompletion:
    return OpenAIChatCompletion(
        ai_model_id="scripted", async_client=AsyncOpenAI(base_url=model.base_url, api_key="x"), service_id="s"
    )


class Shop:
    def __init__(self, effects: list[str]) -> None:
        self.effects = effects

    @kernel_function(description="Buys something.")
    def buy(self, thing: str) -> str:
        step = current_step()
        assert step is not None
        self.effects.append(f"{thing} {step.idempotency_key}")
        return f"bought {thing}"

    @kernel_function(description="Fails.")
    async def fail(self, thing: str) -> str:
        self.effects.append(thing)
        raise ValueError("sold out")


Shop.buy.tags = ["omium:effect"]  # type: ignore[attr-defined]


def _agent(model: ScriptedModel, name: str, instructions: str = "", plugins: list[Any] | None = None) -> Any:
    return ChatCompletionAgent(
        service=_service(model),
        name=name,
        description=f"the {name}",
        instructions=instructions or f"You are the {name}.",
        plugins=plugins or [],
    )


def _team(model: ScriptedModel, effects: list[str]) -> list[Any]:
    buyer = _agent(model, "buyer", 'use Shop-buy({"thing": "paper"})', [Shop(effects)])
    return [_agent(model, "planner"), buyer, _agent(model, "writer")]


def _sequential(model: ScriptedModel, effects: list[str]) -> Any:
    return SequentialOrchestration(members=_team(model, effects))


def _concurrent(model: ScriptedModel, effects: list[str]) -> Any:
    return ConcurrentOrchestration(members=_team(model, effects))


def _group_chat(model: ScriptedModel, effects: list[str]) -> Any:
    return GroupChatOrchestration(members=_team(model, effects), manager=RoundRobinGroupChatManager(max_rounds=3))


def _handoff(model: ScriptedModel, effects: list[str]) -> Any:
    planner, buyer, writer = _team(model, effects)
    planner.instructions = "use Handoff-transfer_to_buyer({})"
    handoffs = OrchestrationHandoffs().add(planner, buyer).add(buyer, writer)
    return HandoffOrchestration(members=[planner, buyer, writer], handoffs=handoffs)


def _magentic(model: ScriptedModel, effects: list[str]) -> Any:
    def script(asked: dict[str, Any]) -> str | None:
        text = str(asked["messages"])
        if "is_request_satisfied" not in text:
            return None
        answers = {
            "is_request_satisfied": {"reason": "r", "answer": "bought paper" in text},
            "is_progress_being_made": {"reason": "r", "answer": True},
            "is_in_loop": {"reason": "r", "answer": False},
            "instruction_or_question": {"reason": "r", "answer": "buy it"},
            "next_speaker": {"reason": "r", "answer": "buyer"},
        }
        return json.dumps(answers)

    model.script = script
    return MagenticOrchestration(
        members=_team(model, effects), manager=StandardMagenticManager(chat_completion_service=_service(model))
    )


def _texts(answer: Any) -> Any:
    return sorted(answer) if isinstance(answer, list) else answer


# concurrent members have a test of their own below: a crash would find the buyer's effect in the midst of its work
@pytest.mark.parametrize("make", [_sequential, _group_chat, _handoff, _magentic])
def test_resumes_from_every_record_without_repeating_a_call(
    model: ScriptedModel, make: Callable[[ScriptedModel, list[str]], Any]
) -> None:
    effects: list[str] = []
    team = durable(make(model, effects), id="team")
    calm = run_agent(team, "tides", limit=20)
    assert calm.error is None
    assert "bought paper" in str(calm.output)
    assert len(effects) == 1
    records = len(calm.journal)
    assert records >= 4
    for crash in range(1, records + 1):
        effects.clear()
        run = run_agent(team, "tides", crash_after=crash, limit=20)
        assert run.error is None
        assert _texts(run.output["answer"]) == _texts(calm.output["answer"])
        assert [one.ended for one in run.attempts] == ["crashed", "completed"]
        assert set(run.executions.values()) == {1}, f"crash {crash}"
        assert len(effects) == 1
    run = run_agent(team, "tides", crash_after=list(range(1, records + 1)), limit=20)
    assert _texts(run.output["answer"]) == _texts(calm.output["answer"])
    assert set(run.executions.values()) == {1}


def test_steps_are_named_after_agents_and_functions(model: ScriptedModel) -> None:
    names = step_names(durable(_magentic(model, []), id="team"), "tides")
    assert names[:3] == ["MagenticOrchestration: scripted"] * 3
    assert names[3:6] == ["buyer: scripted", "Shop-buy", "buyer: scripted"]
    process = durable(_process(), id="report", kernel=_kernel(model))
    asked = {"event": "Start", "data": "tides"}
    assert sorted(step_names(process, asked)) == [
        f"{one}: scripted" for one in ("Critic", "Plan", "Research", "Written")
    ]


def test_concurrent_answers_are_in_the_order_of_the_journal(model: ScriptedModel) -> None:
    slow = ""

    def script(asked: dict[str, Any]) -> str:
        who = str(asked["messages"][0]["content"])[12:-1]
        # more than one order comes to pass, whichever thread the machine favours
        time.sleep(0.03 if who == slow else 0)
        return f"I am the {who}"

    model.script = script
    members = [_agent(model, name) for name in ("reader", "critic", "writer")]
    team = durable(ConcurrentOrchestration(members=members), id="team")
    orders: set[tuple[str, ...]] = set()
    for other, crash in itertools.product(("reader", "critic", "writer"), (1, 2, 3)):
        slow = other
        run = run_agent(team, "tides", crash_after=crash)
        assert set(run.executions.values()) == {1}
        said = run.output["answer"]
        assert said == [text for entry in run.journal for text in said if text in str(entry.get("value"))]
        orders.add(tuple(said))
    assert len(orders) > 1


class Quote(BaseModel):
    thing: str
    cents: int


class Office:
    @kernel_function
    async def quote(self, thing: str) -> Quote:
        """A model."""
        return Quote(thing=thing, cents=7)

    @kernel_function
    def names(self, thing: str) -> list[str]:
        """A list."""
        return [thing, "pen"]

    @kernel_function
    def count(self, thing: str) -> int:
        """A number."""
        return len(thing)


def test_what_a_tool_returns_reads_as_without_a_journal(model: ScriptedModel) -> None:
    for tool in ("quote", "names", "count"):
        agent = _agent(model, "asking", f'use Office-{tool}({{"thing": "paper"}})', [Office()])
        native = str(asyncio.run(agent.get_response("go")).message)
        run = run_agent(durable(agent, id="asking"), "go", crash_after=[1, 2, 3])
        assert run.output["answer"] == native, tool


def test_an_agent_runs_alone_with_its_tools(model: ScriptedModel) -> None:
    effects: list[str] = []
    agent = durable(_team(model, effects)[1], id="buyer")
    run = run_agent(agent, {"task": "go"}, crash_after=[1, 2, 3])
    assert run.output["answer"] == "on bought paper"
    assert [entry["path"].split(":")[0] for entry in run.journal] == ["completions", "Shop-buy", "completions"]
    assert run.output["messages"][1]["calls"] == [{"function": "Shop-buy", "arguments": '{"thing": "paper"}'}]
    assert len(effects) == 1


def test_a_failing_tool_is_told_to_the_model_and_stays_failed(model: ScriptedModel) -> None:
    effects: list[str] = []
    agent = durable(_agent(model, "buyer", 'use Shop-fail({"thing": "paper"})', [Shop(effects)]), id="buyer")
    run = run_agent(agent, "go", crash_after=[1, 2, 3])
    assert "sold out" in run.output["answer"]
    assert effects == ["paper"]


def test_an_agent_used_as_a_function_records_its_own_calls(model: ScriptedModel) -> None:
    inner = _agent(model, "inner", "You are inside.")
    agent = durable(_agent(model, "outer", 'use inner-inner({"messages": "deep"})', [inner]), id="outer")
    run = run_agent(agent, "go", crash_after=[1, 2])
    assert "on deep" in run.output["answer"]
    assert [entry["kind"] for entry in run.journal] == ["llm"] * 3
    assert set(run.executions.values()) == {1}


def test_runs_of_one_orchestration_do_not_mix(model: ScriptedModel) -> None:
    team = durable(_group_chat(model, []), id="team")

    async def both(given: Any, ctx: Any) -> Any:
        return await asyncio.gather(ctx.call(team, "moon"), ctx.call(team, "sun"))

    together = run_agent(Agent(both, "both", None, None, None, None), None, limit=30)
    moon, sun = together.output
    assert "sun" not in str(moon)
    assert "moon" not in str(sun)
    assert run_agent(team, "sun", limit=20).output["answer"] == sun["answer"]


def test_a_changed_orchestration_is_a_mismatch_and_never_a_live_call(model: ScriptedModel) -> None:
    made: list[int] = []

    def make() -> SequentialOrchestration[Any, Any]:
        made.append(1)
        first = _agent(model, "first", f"version {len(made)}")
        return SequentialOrchestration(members=[first, _agent(model, "second")])

    run = run_agent(durable(make, id="changing"), "tides", crash_after=1)
    assert run.error is not None
    assert run.error.code == "replay_mismatch"
    assert sum(model.calls.values()) == 1


class _Asking(RoundRobinGroupChatManager):
    async def should_request_user_input(self, chat_history: ChatHistory) -> BooleanResult:
        last = chat_history.messages[-1]
        return BooleanResult(result=last.name == "writer", reason="the writer has written")


def test_people_are_asked_by_signal_or_approval(model: ScriptedModel) -> None:
    async def human(history: ChatHistory) -> ChatMessageContent:
        """Publish it?"""
        raise AssertionError("it is not called")

    def chat() -> Any:
        manager = _Asking(max_rounds=2, human_response_function=human)
        return GroupChatOrchestration(members=[_agent(model, "writer"), _agent(model, "editor")], manager=manager)

    team = durable(chat(), id="team")
    assert run_agent(team, "draft").waiting_for == ("wait:resume:1#1",)
    run = run_agent(team, "draft", signals={"resume": "shorter"}, crash_after=[1, 2, 3, 4])
    assert "shorter" in run.output["answer"]
    assert set(run.executions.values()) == {1}

    human.tags = ["omium:approval"]  # type: ignore[attr-defined]
    asked: list[str] = []

    def decide(title: str, details: Any) -> bool:
        asked.append(title)
        return True

    approved = run_agent(durable(chat(), id="team"), "draft", approvals=decide)
    assert "APPROVE" in approved.output["answer"]
    assert asked == ["Publish it?"]


def test_a_handoff_asks_a_person(model: ScriptedModel) -> None:
    def human() -> ChatMessageContent:
        raise AssertionError("it is not called")

    def script(asked: dict[str, Any]) -> str | None:
        return None

    model.script = script
    first, second = _agent(model, "first"), _agent(model, "second")
    handoffs = OrchestrationHandoffs().add(first, second)
    team = HandoffOrchestration(members=[first, second], handoffs=handoffs, human_response_function=human)
    done = 'use Handoff-complete_task({"task_summary": "all is well"})'
    run = run_agent(durable(team, id="team"), "help", signals={"resume": done}, crash_after=[1, 2, 3], limit=20)
    assert run.output["answer"] == "Task is completed with summary: all is well"
    assert set(run.executions.values()) == {1}


class Plan(KernelProcessStep[Any]):
    @kernel_function
    async def plan(self, topic: str, kernel: Kernel) -> str:
        return str(await kernel.invoke_prompt(f"plan {topic}"))


class Research(KernelProcessStep[Any]):
    @kernel_function
    async def research(self, plan: str, kernel: Kernel) -> str:
        return str(await kernel.invoke_prompt(f"read {plan}"))


class Critic(KernelProcessStep[Any]):
    @kernel_function
    async def critic(self, plan: str, kernel: Kernel) -> str:
        if "nothing" in plan:
            raise ValueError("there is no plan")
        return str(await kernel.invoke_prompt(f"criticise {plan}"))


class Written(KernelProcessStep[Any]):
    async def activate(self, state: Any) -> None:
        self.state = state

    @kernel_function
    async def write(self, notes: str, critique: str, kernel: Kernel) -> str:
        self.state.state = str(await kernel.invoke_prompt(f"write {notes} {critique}"))
        return "written"


def _process() -> Any:
    builder = ProcessBuilder(name="report")
    plan, research, critic, write = (builder.add_step(step) for step in (Plan, Research, Critic, Written))
    builder.on_input_event("Start").send_event_to(plan, parameter_name="topic")
    for after, name in ((research, "plan"), (critic, "plan")):
        plan.on_function_result("plan").send_event_to(after, parameter_name=name)
    research.on_function_result("research").send_event_to(write, parameter_name="notes")
    critic.on_function_result("critic").send_event_to(write, parameter_name="critique")
    write.on_function_result("write").stop_process()
    return builder.build()


def _kernel(model: ScriptedModel) -> Kernel:
    kernel = Kernel()
    kernel.add_service(_service(model))
    return kernel


def test_a_process_resumes_and_tells_its_state(model: ScriptedModel) -> None:
    process = durable(_process(), id="report", kernel=_kernel(model))
    given = {"event": "Start", "data": "tides"}
    calm = run_agent(process, given)
    assert calm.error is None
    assert calm.output["steps"]["Written"] == "on write on read on plan tides on criticise on plan tides"
    assert len(calm.journal) == 4
    run = run_agent(process, given, crash_after=[1, 2, 3, 4])
    assert run.output == calm.output
    assert set(run.executions.values()) == {1}
    # a step that fails unheard does not pass for success
    failed = run_agent(process, {"event": "Start", "data": "nothing"})
    assert failed.error is not None
    assert "there is no plan" in failed.error.detail
    assert run_agent(process, "tides").error.code == "input_invalid"  # type: ignore[union-attr]


def test_a_kernel_runs_its_prompt_function(model: ScriptedModel) -> None:
    kernel = _kernel(model)
    kernel.add_function(plugin_name="texts", function_name="sum_up", prompt="Sum up: {{$input}}")
    agent = durable(kernel, id="kernel")
    assert run_agent(agent, "tides", crash_after=1).output == {"answer": "on Sum up: tides"}
    assert run_agent(agent, {"input": "tides"}).output == {"answer": "on Sum up: tides"}
    named = {"plugin": "texts", "function": "sum_up", "arguments": {"input": "moon"}}
    assert run_agent(agent, named).output == {"answer": "on Sum up: moon"}
    assert run_agent(agent, {"prompt": "Say {{$what}}", "what": "hi"}).output == {"answer": "on Say hi"}
    unknown = run_agent(agent, {"function": "other"})
    assert unknown.error is not None
    assert unknown.error.code == "input_invalid"


def test_no_connection_leaves_the_machine(model: ScriptedModel, no_network: list[str]) -> None:
    for make in (_sequential, _group_chat):
        assert run_agent(durable(make(model, []), id="team"), "tides", limit=20).error is None
    assert no_network == []


def test_a_cancelled_run_leaves_a_hanging_model_call_and_no_task(
    model: ScriptedModel, caplog: pytest.LogCaptureFixture
) -> None:
    assert cancelled_in_s(durable(_concurrent(model, []), id="team"), "hang", model) < 10
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_a_refusal_of_the_model_keeps_its_code(model: ScriptedModel) -> None:
    model.script = lambda asked: 401
    for make in (_sequential, lambda model, effects: _agent(model, "alone")):
        run = run_agent(durable(make(model, []), id="team"), "tides", limit=20)
        assert run.error is not None
        assert run.error.code == "model_auth"


@pytest.mark.parametrize("given", [None, 7, [], {"task": {}}, [{"content": "x", "role": "king"}]])
def test_an_input_that_is_no_task_is_a_coded_error(model: ScriptedModel, given: object) -> None:
    run = run_agent(durable(_agent(model, "alone"), id="alone"), given)
    assert run.error is not None
    assert run.error.code == "input_invalid"


class _Line:
    """Something like a connection: it cannot be copied."""

    def __reduce__(self) -> Any:
        raise TypeError("a line cannot be copied")


class _Other(ChatCompletionClientBase):
    """A service whose calls nobody sees."""


class _Connected(RoundRobinGroupChatManager):
    line: Any = None


def test_what_cannot_run_is_a_coded_error(model: ScriptedModel) -> None:
    assert agent_of(_service(model), "service") is None
    chat = GroupChatOrchestration(members=[_agent(model, "a")], manager=_Connected(line=_Line()))
    with pytest.raises(OmiumError, match="give a function") as refused:
        agent_of(chat, "chat")
    assert refused.value.code == "settings_invalid"
    other = ChatCompletionAgent(service=_Other(ai_model_id="other"), name="other")
    for thing in (other, SequentialOrchestration(members=[_agent(model, "a"), other])):
        with pytest.raises(OmiumError, match="cannot be recorded") as refused:
            agent_of(thing, "other")
        assert refused.value.code == "settings_invalid"

    def make() -> ChatCompletionAgent:
        return _agent(model, "made")

    made = agent_of(make, "made")
    assert made is not None
    assert run_agent(made, "hello").output["answer"] == "on hello"


def test_what_is_said_stays_out_of_the_log(model: ScriptedModel, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert run_agent(durable(_sequential(model, []), id="team"), "the secret", limit=20).error is None
    assert "the secret" not in caplog.text

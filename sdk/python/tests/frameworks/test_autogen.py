"""Real teams: every crash in turn, no recorded model or tool call made again."""

import asyncio
import itertools
import json
import logging
import time
from typing import Any

import pytest
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import MaxMessageTermination
from autogen_agentchat.teams import (
    MagenticOneGroupChat,
    RoundRobinGroupChat,
    SelectorGroupChat,
    Swarm,
)
from autogen_agentchat.tools import AgentTool
from autogen_core.model_context import TokenLimitedChatCompletionContext
from autogen_parts import client_of, graph, round_robin
from harness_access import cancelled_in_s, step_names
from no_network import no_network
from scripted_model import ScriptedModel

import omium
from omium import Agent, Completed, OmiumError, PriceTable, TryAgain
from omium.adapters import agent_of
from omium.adapters.autogen import durable
from omium.testing import run_agent

__all__ = ["no_network"]


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("make", [round_robin, graph])
def test_resumes_from_every_record_without_repeating_a_call(model: ScriptedModel, make: Any, streaming: bool) -> None:
    calm_effects: list[str] = []
    calm = run_agent(durable(make(model, calm_effects, streaming=streaming), id="team"), "tides", limit=20)
    assert calm.error is None
    assert "bought paper" in calm.output["answer"]
    records = len(calm.journal)
    assert records == (4 if make is round_robin else 6)
    assert len(calm_effects) == 1

    effects: list[str] = []
    team = durable(make(model, effects, streaming=streaming, sync=False), id="team")
    for crash in range(1, records + 1):
        effects.clear()
        run = run_agent(team, "tides", crash_after=crash, limit=20)
        assert run.error is None
        assert run.output["answer"] == calm.output["answer"]
        assert [one.ended for one in run.attempts] == ["crashed", "completed"]
        assert set(run.executions.values()) == {1}, f"crash {crash}"
        assert len(effects) == 1
    run = run_agent(team, "tides", crash_after=list(range(1, records + 1)), limit=20)
    assert run.output["answer"] == calm.output["answer"]
    assert set(run.executions.values()) == {1}


def test_steps_are_named_after_agents_and_tools(model: ScriptedModel) -> None:
    names = step_names(durable(round_robin(model, []), id="team"), "tides")
    assert names == ["planner: scripted", "buyer: scripted", "buy", "writer: scripted"]
    alone = AssistantAgent("helper", client_of(model))
    assert step_names(durable(alone, id="alone"), "hello") == ["helper: scripted"]


def test_a_simulated_run_makes_no_effect(model: ScriptedModel) -> None:
    effects: list[str] = []
    team = durable(round_robin(model, effects), id="team")
    calm = run_agent(team, "tides", limit=20)
    recorded: list[Any] = [{**entry, "name": "buy"} for entry in calm.journal if entry["kind"] == "tool"]
    effects.clear()
    again = run_agent(team, "tides", simulate_from=recorded, limit=20)
    assert again.output["answer"] == calm.output["answer"]
    missed = run_agent(team, "tides", simulate_from=[], limit=20)
    assert missed.error is not None
    assert missed.error.code == "replay_miss"
    assert effects == []


def test_fan_in_is_in_the_order_of_the_journal(model: ScriptedModel) -> None:
    slow = ""

    def script(asked: dict[str, Any]) -> str | None:
        system = str(asked["messages"][0]["content"])
        # both orders come to pass, whichever thread the machine favours
        time.sleep(0.03 if system == f"You are the {slow}." else 0)
        return f"I am the {system[12:-1]}" if system.startswith("You are the ") else None

    model.script = script
    team = durable(graph(model, []), id="team")
    firsts: set[str] = set()
    for other, crash in itertools.product(("reader", "critic"), range(1, 7)):
        slow = other
        run = run_agent(team, "tides", crash_after=crash, limit=20)
        assert set(run.executions.values()) == {1}
        said = [m["content"] for m in run.output["messages"] if m["content"] in ("I am the reader", "I am the critic")]
        recorded = [text for entry in run.journal for text in said if text in str(entry.get("value"))]
        assert said == recorded
        firsts.add(said[0])
    assert len(firsts) == 2


def test_runs_of_one_team_do_not_mix_and_leave_nothing_behind(model: ScriptedModel) -> None:
    made = round_robin(model, [])
    team = durable(made, id="team")
    outputs: list[Any] = []

    async def both(given: Any, ctx: Any) -> Any:
        return await asyncio.gather(ctx.call(team, "moon"), ctx.call(team, "sun"))

    together = run_agent(Agent(both, "both", None, None, None, None), None, limit=30)
    for topic, output in zip(("moon", "sun"), together.output, strict=True):
        outputs.append(output["messages"])
        alone = run_agent(team, topic, limit=20)
        assert output["answer"] == alone.output["answer"]
        assert [m["source"] for m in output["messages"]] == [m["source"] for m in alone.output["messages"]]
    assert "moon" not in str(outputs[1])
    # what its user made was not touched
    assert made._initialized is False


def test_a_changed_team_is_a_mismatch_and_never_a_live_call(model: ScriptedModel) -> None:
    made: list[int] = []

    def make() -> RoundRobinGroupChat:
        made.append(1)
        client = client_of(model)
        first = AssistantAgent("first", client, system_message=f"version {len(made)}")
        return RoundRobinGroupChat([first, AssistantAgent("second", client)], max_turns=2)

    run = run_agent(durable(make, id="changing"), "tides", crash_after=1)
    assert run.error is not None
    assert run.error.code == "replay_mismatch"
    assert sum(model.calls.values()) == 1


def test_a_budget_ends_the_run_with_its_code(model: ScriptedModel) -> None:
    agent = durable(AssistantAgent("helper", client_of(model)), id="helper")
    agent.budget_micro_credits = 1
    run = run_agent(agent, "hello", prices=PriceTable("test", {"scripted": omium.Price(1, 1)}))
    assert run.error is not None
    assert run.error.code == "budget_exceeded"
    assert not model.calls


def test_a_failing_tool_is_told_to_the_model_and_stays_failed(model: ScriptedModel) -> None:
    calls: list[str] = []

    def fail(thing: str) -> str:
        """Fails."""
        calls.append(thing)
        raise ValueError("sold out")

    client = client_of(model)
    agent = AssistantAgent("buyer", client, tools=[fail], system_message='use fail({"thing": "paper"})')
    team = durable(RoundRobinGroupChat([agent, AssistantAgent("writer", client)], max_turns=2), id="team")
    run = run_agent(team, "go", crash_after=[1, 2, 3], limit=20)
    assert run.output["answer"] == "on sold out"
    assert calls == ["paper"]


def test_an_effect_in_doubt_waits_for_a_person_or_its_reconciler(model: ScriptedModel) -> None:
    effects: list[str] = []

    def team(reconcile: Any) -> Agent[Any, Any]:
        client = client_of(model)

        def buy(thing: str) -> str:
            """Buys something."""
            effects.append(thing)
            if len(effects) == 1:
                raise SystemExit("the process dies here")
            return f"bought {thing}"

        buy.tags = ["omium:effect"]  # type: ignore[attr-defined]
        if reconcile:
            buy.reconcile = reconcile  # type: ignore[attr-defined]
        return durable(
            AssistantAgent("buyer", client, tools=[buy], system_message='use buy({"thing": "paper"})'), id="buyer"
        )

    from omium.testing.execution import TestExecution

    receive = TestExecution.receive

    def dying(self: TestExecution, message: Any, claims: int = 1) -> None:
        if message["type"] == "step_failed" and "dies here" in str(message["error"]):
            self.crash()
        else:
            receive(self, message, claims)

    for reconcile, status, count in (
        (None, "waiting", 1),
        (lambda _: Completed("was bought"), "completed", 1),
        (lambda _: TryAgain(), "completed", 2),
    ):
        effects.clear()
        TestExecution.receive = dying  # type: ignore[method-assign]
        try:
            run = run_agent(team(reconcile), "go", limit=20)
        finally:
            TestExecution.receive = receive  # type: ignore[method-assign]
        assert (run.status, len(effects)) == (status, count)


def test_selector_swarm_and_magentic_teams_resume(model: ScriptedModel) -> None:
    client = client_of(model)

    def script(asked: dict[str, Any]) -> str | None:
        text = str(asked["messages"])
        if "Select" in text and "role" in text:
            return "writer" if "plan is" in text else "planner"
        if "You are the planner" in text:
            return "plan is ready"
        if "is_request_satisfied" in text:
            done = "helped" in text
            answers = {
                "is_request_satisfied": {"reason": "r", "answer": done},
                "is_progress_being_made": {"reason": "r", "answer": True},
                "is_in_loop": {"reason": "r", "answer": False},
                "instruction_or_question": {"reason": "r", "answer": "help"},
                "next_speaker": {"reason": "r", "answer": "helper"},
            }
            return json.dumps(answers)
        if "You are the helper" in text:
            return "helped"
        return None

    model.script = script
    planner = AssistantAgent("planner", client, system_message="You are the planner.")
    writer = AssistantAgent("writer", client, system_message="You write.")
    selector = SelectorGroupChat([planner, writer], client, termination_condition=MaxMessageTermination(3))
    first = AssistantAgent("first", client, handoffs=["second"], system_message="use transfer_to_second({})")
    second = AssistantAgent("second", client, system_message="You end.")
    swarm = Swarm([first, second], termination_condition=MaxMessageTermination(5))
    helper = AssistantAgent("helper", client, system_message="You are the helper.")
    magentic = MagenticOneGroupChat([helper], client)
    for made in (selector, swarm, magentic):
        team = durable(made, id="team")
        calm = run_agent(team, "tides", limit=20)
        assert calm.error is None, type(made).__name__
        records = len(calm.journal)
        assert records >= 3
        crashed = run_agent(team, "tides", crash_after=list(range(1, records + 1)), limit=30)
        assert crashed.output["answer"] == calm.output["answer"]
        assert set(crashed.executions.values()) == {1}, type(made).__name__


def test_an_agent_as_a_tool_records_its_own_calls(model: ScriptedModel) -> None:
    client = client_of(model)
    inner = AssistantAgent("inner", client, system_message=None, description="answers")
    outer = AssistantAgent("outer", client, tools=[AgentTool(inner)], system_message='use inner({"task": "deep"})')
    agent = durable(outer, id="outer")
    run = run_agent(agent, "go", crash_after=[1, 2], limit=20)
    assert "on deep" in run.output["answer"]
    assert set(run.executions.values()) == {1}
    assert len(run.executions) == 2
    assert step_names(agent, "go") == ["outer: scripted", "inner: scripted"]


def test_no_connection_leaves_the_machine(model: ScriptedModel, no_network: list[str]) -> None:
    client = client_of(model)
    limited = TokenLimitedChatCompletionContext(client, token_limit=1000)
    made = round_robin(model, [])
    made._participants.append(AssistantAgent("short", client, model_context=limited))
    made = RoundRobinGroupChat(made._participants, max_turns=4)
    assert run_agent(durable(made, id="team"), "tides", limit=20).error is None
    assert no_network == []


def test_a_refusal_of_the_model_keeps_its_code(model: ScriptedModel) -> None:
    model.script = lambda asked: 401
    run = run_agent(durable(round_robin(model, []), id="team"), "tides", limit=20)
    assert run.error is not None
    assert run.error.code == "model_auth"


@pytest.mark.parametrize("given", [None, 7, [], {"task": {}}, [{"content": "x", "type": "Nothing"}]])
def test_an_input_that_is_no_task_is_a_coded_error(model: ScriptedModel, given: object) -> None:
    run = run_agent(durable(round_robin(model, []), id="team"), given)
    assert run.error is not None
    assert run.error.code == "input_invalid"


def test_a_task_may_be_messages(model: ScriptedModel) -> None:
    agent = durable(AssistantAgent("helper", client_of(model)), id="helper")
    said = run_agent(agent, {"task": [{"content": "one"}, {"source": "boss", "content": "two"}]})
    assert said.output["answer"] == "on two"


class _Line:
    """Something like a connection: it cannot be copied."""

    def __reduce__(self) -> Any:
        raise TypeError("a line cannot be copied")


def test_what_cannot_run_is_a_coded_error(model: ScriptedModel) -> None:
    client = client_of(model)
    assert agent_of(client, "client") is None
    agent = AssistantAgent("helper", client)
    agent.line = _Line()  # type: ignore[attr-defined]
    with pytest.raises(OmiumError, match="give a function") as refused:
        agent_of(agent, "helper")
    assert refused.value.code == "settings_invalid"

    def make() -> AssistantAgent:
        return AssistantAgent("helper", client)

    made = agent_of(make, "helper")
    assert made is not None
    assert run_agent(made, "hello").output["answer"] == "on hello"


def test_a_cancelled_run_leaves_a_hanging_model_call_and_no_task(
    model: ScriptedModel, caplog: pytest.LogCaptureFixture
) -> None:
    assert cancelled_in_s(durable(graph(model, []), id="team"), "hang", model) < 10
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_what_is_said_stays_out_of_the_log(model: ScriptedModel, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert run_agent(durable(round_robin(model, []), id="team"), "the secret", limit=20).error is None
    assert "the secret" not in caplog.text

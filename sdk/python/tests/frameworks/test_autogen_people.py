"""People in teams: asked, waited for, handed over to."""

from typing import Any

from autogen_agentchat.agents import AssistantAgent, UserProxyAgent
from autogen_agentchat.conditions import HandoffTermination, TextMentionTermination
from autogen_agentchat.teams import (
    RoundRobinGroupChat,
    Swarm,
)
from autogen_parts import client_of
from scripted_model import ScriptedModel

from omium import Agent
from omium.adapters.autogen import durable
from omium.testing import run_agent


def test_a_user_proxy_waits_for_a_signal_or_an_approval(model: ScriptedModel) -> None:
    client = client_of(model)

    def team(tags: list[str]) -> Agent[Any, Any]:
        proxy = UserProxyAgent("boss", description="Publish?")
        proxy.tags = tags  # type: ignore[attr-defined]
        writer = AssistantAgent("writer", client, system_message=None)
        return durable(
            RoundRobinGroupChat([writer, proxy], termination_condition=TextMentionTermination("APPROVE")), id="reviewed"
        )

    waiting = run_agent(team([]), "draft")
    assert (waiting.status, waiting.waiting_for) == ("waiting", ("wait:resume:1#1",))
    run = run_agent(team([]), "draft", signals={"resume": ["again", "APPROVE"]}, crash_after=list(range(1, 7)))
    assert [m["content"] for m in run.output["messages"] if m["source"] == "boss" and m["type"] == "TextMessage"] == [
        "again",
        "APPROVE",
    ]
    assert set(run.executions.values()) == {1}
    shown = next(entry for entry in run.journal if entry["path"].startswith("interrupt"))["value"]
    assert shown == {"agent": "boss", "prompt": "Enter your response:", "message": "on draft"}

    tagged = team(["omium:approval"])
    assert run_agent(tagged, "draft").waiting_for == ("approve#1",)
    decisions = iter([{"approved": False, "comment": "too short"}, {"approved": True}])
    decided = run_agent(tagged, "draft", approvals=lambda title, details: next(decisions))
    assert [
        m["content"] for m in decided.output["messages"] if m["source"] == "boss" and m["type"] == "TextMessage"
    ] == [
        "REJECT: too short",
        "APPROVE",
    ]


def test_a_handoff_to_a_person_waits_and_goes_on(model: ScriptedModel) -> None:
    client = client_of(model)
    model.script = lambda asked: "thanks, TERMINATE" if "42" in str(asked["messages"]) else None
    asking = AssistantAgent("asking", client, handoffs=["user"], system_message="use transfer_to_user({})")
    ends = HandoffTermination("user") | TextMentionTermination("TERMINATE")
    team = durable(Swarm([asking], termination_condition=ends), id="asking")
    assert run_agent(team, "what?").waiting_for == ("wait:resume:1#1",)
    run = run_agent(team, "what?", signals={"resume": "42"}, crash_after=[1, 2, 3, 4])
    assert run.output["answer"] == "thanks, TERMINATE"
    assert set(run.executions.values()) == {1}

"""Offered entries, overrides and simulation, as the TypeScript SDK has them."""

from __future__ import annotations

from typing import Any

import pytest

import omium
from omium.llm.overrides import overridden
from omium.protocol import ANY_REQUEST, JournalEntry, Recording
from omium.testing import run_agent


def _offer(path: str, value: str) -> JournalEntry:
    return {"status": "completed", "path": path, "kind": "step", "requestHash": ANY_REQUEST, "value": value}


@omium.agent(id="summary")
async def summary(topic: str, ctx: omium.Context) -> list[str]:
    return [await ctx.step(name, lambda name=name: f"live {name}", input=name) for name in topic.split()]


@omium.agent(id="paid")
async def paid(question: str, ctx: omium.Context) -> dict[str, Any]:
    found = await ctx.step("search", lambda: "live", input=question)
    answer = await ctx.llm.chat(model="large", messages=[{"role": "user", "content": found}])
    decision = await ctx.approve("Send it?")
    await ctx.sleep("1h")
    sent = await ctx.step("send", lambda: "sent for real", input=answer["content"], effect=True)
    return {"content": answer["content"], "approved": decision.approved, "sent": sent}


def _recordings() -> list[Recording]:
    journal = run_agent(paid, "why?", llm=["because"], approvals=True).journal
    return [
        {
            "path": entry["path"],
            "name": entry["path"].split("#")[0],
            "kind": entry["kind"],
            "requestHash": entry["requestHash"],
            "value": entry.get("value"),
        }
        for entry in journal
    ]


def test_offered_entries_answer_whoever_asks_and_need_not_be_asked_for() -> None:
    journal = [_offer("a#1", "taken a"), _offer("never#1", "x"), _offer("c#1", "taken c")]
    run = run_agent(summary, "a b c", journal=journal)
    assert run.output == ["taken a", "live b", "taken c"]
    assert run.executions == {"b#1": 1}


def test_a_simulated_run_makes_its_model_calls_only() -> None:
    run = run_agent(paid, "why?", simulate_from=_recordings(), llm=["on second thoughts"])
    assert run.output == {"content": "on second thoughts", "approved": True, "sent": "sent for real"}
    kinds = {entry["path"]: entry["kind"] for entry in run.journal}
    assert (kinds["search#1"], kinds["approve#1"]) == ("step", "approval")


def test_a_simulated_run_gives_the_same_after_a_crash() -> None:
    run = run_agent(paid, "why?", simulate_from=_recordings(), llm=lambda _: "again", crash_after=[1, 2, 3, 4, 5])
    assert run.output == {"content": "again", "approved": True, "sent": "sent for real"}


def test_a_simulated_run_ends_with_a_miss_where_nobody_recorded_anything() -> None:
    run = run_agent(paid, "another question", simulate_from=_recordings(), llm=["x"])
    assert run.error is not None
    assert run.error.code == "replay_miss"
    assert run.executions == {}


def test_overrides_change_what_is_sent_and_not_its_recorded_identity() -> None:
    asked: list[dict[str, Any]] = []

    def answer(request: dict[str, Any]) -> str:
        asked.append(request)
        return "because"

    plain = run_agent(paid, "why?", llm=["because"], approvals=True)
    run = run_agent(
        paid,
        "why?",
        llm=answer,
        approvals=True,
        overrides={"models": {"*": "small"}, "instructions": "Be kind."},
    )
    assert asked[0]["model"] == "small"
    assert asked[0]["messages"][-1] == {"role": "system", "content": "Be kind."}
    assert [entry["requestHash"] for entry in run.journal] == [entry["requestHash"] for entry in plain.journal]


@pytest.mark.parametrize(("limit", "kept"), [(150, ["b", "c"]), (1, ["c"]), (1000, ["a", "b", "c"])])
def test_the_oldest_messages_are_left_out_first(limit: int, kept: list[str]) -> None:
    texts = {"a": "a" * 400, "b": "b" * 400, "c": "c" * 40}
    messages = [{"role": "system", "content": "s"}] + [{"role": "user", "content": text} for text in texts.values()]
    sent = overridden({"model": "m", "messages": messages}, {"maxInputTokens": limit})
    assert [message["content"] for message in sent["messages"]] == ["s", *(texts[name] for name in kept)]


def test_responses_get_their_instructions_where_they_have_them() -> None:
    sent = overridden({"model": "m", "input": "hi", "instructions": "a"}, {"instructions": "b"})
    assert sent == {"model": "m", "input": "hi", "instructions": "a\n\nb"}

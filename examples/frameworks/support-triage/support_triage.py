"""Answers a customer's ticket: a triage desk, specialists for billing and for technical matters, and a person for the rest.

An AutoGen program. Nothing in it knows of Omium but the marks of the tool that has an effect: its tag, the key that it takes,
and who finds out what became of it.
"""

import json
import os
import re
from pathlib import Path
from typing import Any

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.base import Handoff
from autogen_agentchat.conditions import HandoffTermination, MaxMessageTermination, TextMentionTermination
from autogen_agentchat.teams import Swarm
from autogen_core.models import ModelFamily, ModelInfo
from autogen_ext.models.openai import OpenAIChatCompletionClient
from omium import Completed, TryAgain, current_step

HERE = Path(__file__).parent
LEDGER = Path(os.environ.get("SUPPORT_LEDGER", "refunds.jsonl"))
MANUAL = Path(os.environ.get("SUPPORT_MANUAL", HERE.parents[2] / "docs/errors.md"))

model = OpenAIChatCompletionClient(
    model=os.environ.get("OMIUM_EXAMPLE_MODEL", "omium-local-scripted"),
    model_info=ModelInfo(
        vision=False, function_calling=True, json_output=True, family=ModelFamily.UNKNOWN, structured_output=True
    ),
)


def look_up_order(order: str) -> str:
    """Gives the customer and the charges of an order."""
    orders: dict[str, Any] = json.loads((HERE / "orders.json").read_text(encoding="utf-8"))
    return json.dumps({"order": order, **orders[order]} if order in orders else {"order": order, "charges": []})


def refund(order: str, charge: str) -> str:
    """Pays a charge of an order back."""
    step = current_step()
    entry = {"key": step.idempotency_key if step else f"{order}/{charge}", "order": order, "charge": charge}
    with LEDGER.open("a", encoding="utf-8") as ledger:
        ledger.write(json.dumps(entry) + "\n")
    return _receipt(entry)


def _receipt(entry: dict[str, str]) -> str:
    return f"Charge {entry['charge']} of order {entry['order']} is refunded."


def was_refunded(key: str) -> Completed | TryAgain:
    """Looks into the ledger when nobody knows whether a refund was made: the worker died in the middle of it."""
    lines = LEDGER.read_text(encoding="utf-8").splitlines() if LEDGER.exists() else []
    entry = next((entry for entry in map(json.loads, lines) if entry["key"] == key), None)
    return Completed(_receipt(entry)) if entry else TryAgain()


refund.tags = ["omium:effect"]
refund.reconcile = was_refunded


def search_manual(query: str) -> str:
    """Finds the pages of the manual of errors that fit a query best."""
    wanted = set(re.findall(r"[a-z_]{3,}", query.lower())) | {"_".join(query.lower().split())}
    found: list[tuple[int, str, str]] = []
    for section in re.split(r"^### ", MANUAL.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        title, _, text = section.partition("\n")
        # an error that is named outweighs all words of its description
        named = (
            100 if "_" in title and title.replace("_", " ") in " ".join(query.lower().replace("_", " ").split()) else 0
        )
        score = named + len(wanted & set(re.findall(r"[a-z_]{3,}", text.lower())))
        found.append((score, title, text.split("\n## ")[0].strip()))
    best = sorted(found, key=lambda one: (-one[0], one[1]))[:3]
    return json.dumps([{"title": title, "text": text} for score, title, text in best if score >= 4])


CLOSE = "End your last message with CLOSED."
triage = AssistantAgent(
    "triage",
    model,
    system_message=f"You are the triage desk. Hand each ticket to whom it concerns. When a person has answered, tell the customer. {CLOSE}",
    handoffs=[
        Handoff(
            target="billing",
            description="Orders, invoices, charges, payments and refunds: what was paid and is paid back.",
        ),
        Handoff(target="technical", description="Errors and error codes, runs, steps, workers, deploys, the API."),
        Handoff(
            target="person", description="Anything that takes a person: complaints, lawyers, contracts, the press."
        ),
    ],
)
billing = AssistantAgent(
    "billing",
    model,
    system_message=f"You are a support specialist for billing. Look orders up, and refund what was charged twice. {CLOSE}",
    tools=[look_up_order, refund],
    max_tool_iterations=4,
)
technical = AssistantAgent(
    "technical",
    model,
    system_message=f"You are a support specialist for technical matters. Answer from the manual alone. {CLOSE}",
    tools=[search_manual],
    handoffs=[Handoff(target="person", description="When the manual says nothing about it.")],
    max_tool_iterations=4,
)

support = Swarm(
    [triage, billing, technical],
    termination_condition=TextMentionTermination("CLOSED") | HandoffTermination("person") | MaxMessageTermination(30),
)

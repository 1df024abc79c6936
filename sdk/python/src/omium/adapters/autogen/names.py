"""Who speaks: what a call of a model is named after."""

from __future__ import annotations

import re
from contextvars import ContextVar

from autogen_core import MessageHandlerContext

_TEAM_ID = re.compile(r"_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")

alone: ContextVar[str | None] = ContextVar("omium_autogen_agent", default=None)
"""The agent or team that is run; within a team, AutoGen knows which of its agents it is."""

inside_tool: ContextVar[str | None] = ContextVar("omium_autogen_tool", default=None)
"""An agent that another uses as a tool; AutoGen takes it for the other."""


def name_of(model: str) -> str:
    """`researcher: gpt-4o`, where the agent is known."""
    agent = inside_tool.get()
    try:
        agent = agent or _TEAM_ID.sub("", MessageHandlerContext.agent_id().type)
    except RuntimeError:
        agent = alone.get()
    return f"{agent}: {model}" if agent else model

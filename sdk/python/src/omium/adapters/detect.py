"""Which framework an object belongs to, without importing any framework."""

from __future__ import annotations

import os

from ..agent import AnyAgent

_TELEMETRY_OFF = {
    "LANGSMITH_TRACING": "false",
    "LANGCHAIN_TRACING_V2": "false",
    "LANGGRAPH_CLI_NO_ANALYTICS": "1",
    "OTEL_SDK_DISABLED": "true",
}


def forbid_telemetry() -> None:
    """No framework may phone home. To be called before any of them is imported."""
    os.environ.update(_TELEMETRY_OFF)


def agent_of(value: object, agent_id: str) -> AnyAgent | None:
    """The durable agent that runs this object of a framework; None when it is none that is known."""
    modules = {kind.__module__.split(".")[0] for kind in type(value).__mro__}
    if "langgraph" in modules and (hasattr(value, "ainvoke") or hasattr(value, "compile")):
        from .langgraph import durable

        return durable(value, id=agent_id)
    return None

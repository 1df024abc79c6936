"""Which framework an object belongs to, without importing any framework."""

from __future__ import annotations

import atexit
import inspect
import os
import shutil
import tempfile

from ..agent import AnyAgent

_TELEMETRY_OFF = {
    "LANGSMITH_TRACING": "false",
    "LANGCHAIN_TRACING_V2": "false",
    "LANGGRAPH_CLI_NO_ANALYTICS": "1",
    "OTEL_SDK_DISABLED": "true",
    "CREWAI_DISABLE_TELEMETRY": "true",
    "CREWAI_DISABLE_TRACKING": "true",
    "CREWAI_DISABLE_VERSION_CHECK": "true",
    "CREWAI_TRACING_ENABLED": "false",
    "ANONYMIZED_TELEMETRY": "false",
}


def forbid_telemetry() -> None:
    """No framework may phone home. To be called before any of them is imported."""
    os.environ.update(_TELEMETRY_OFF)
    if "CREWAI_STORAGE_DIR" not in os.environ:
        # made when something is stored there
        folder = os.path.join(tempfile.gettempdir(), f"omium-crewai-{os.getuid()}-{os.getpid()}")
        os.environ["CREWAI_STORAGE_DIR"] = folder
        atexit.register(shutil.rmtree, folder, ignore_errors=True)


def agent_of(value: object, agent_id: str) -> AnyAgent | None:
    """The durable agent that runs this object of a framework; None when it is none that is known."""
    modules = _modules_of(value)
    if "langgraph" in modules and (hasattr(value, "ainvoke") or hasattr(value, "compile")):
        from .langgraph import durable

        return durable(value, id=agent_id)
    if "crewai" in modules:
        from .crewai import durable as durable_crew

        return durable_crew(value, id=agent_id)
    return None


def _modules_of(value: object) -> set[str]:
    """Packages that the object's classes come from; of a class those that it is made of, of a function that of its result."""
    kinds: list[object] = [*type(value).__mro__, *type(type(value)).__mro__]
    if isinstance(value, type):
        kinds += value.__mro__
    if inspect.isroutine(value):
        made = getattr(value, "__annotations__", {}).get("return")
        kinds += getattr(made, "__mro__", ())
    return {str(getattr(kind, "__module__", "")).split(".")[0] for kind in kinds}

"""Which framework an object belongs to, without importing any framework."""

from __future__ import annotations

import atexit
import inspect
import os
import shutil
import tempfile
import typing
from typing import Any

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
    "AUTOGEN_DISABLE_RUNTIME_TRACING": "true",
    "AZURE_TELEMETRY_DISABLED": "true",
}

_EXTRAS = {
    "langgraph": "langgraph",
    "langchain_core": "langgraph",
    "crewai": "crewai",
    "autogen_agentchat": "autogen",
    "autogen_core": "autogen",
    "autogen_ext": "autogen",
    "semantic_kernel": "semantic-kernel",
}


def forbid_telemetry() -> None:
    """No framework may phone home. To be called before any of them is imported."""
    os.environ.update(_TELEMETRY_OFF)
    if "CREWAI_STORAGE_DIR" not in os.environ:
        # made when something is stored there
        folder = os.path.join(tempfile.gettempdir(), f"omium-crewai-{os.getuid()}-{os.getpid()}")
        os.environ["CREWAI_STORAGE_DIR"] = folder
        atexit.register(shutil.rmtree, folder, ignore_errors=True)


def extra_of(module: str) -> str | None:
    """The extra of this package that installs a framework's module."""
    return _EXTRAS.get(module.split(".")[0])


def agent_of(value: object, agent_id: str) -> AnyAgent | None:
    """The durable agent that runs this object of a framework; None when it is none that is known.

    A function without parameters that says in its annotation that it returns such an object is as good.
    Raises OmiumError `settings_invalid` when the object cannot be run, `agent_unknown` when it is a part of a framework that
    does not run by itself, `agent_threw` when it can't be made.
    """
    kind = _made_by(value) or (value if isinstance(value, type) else type(value))
    kinds: tuple[type, ...] = (*kind.__mro__, *type.mro(type(kind)))
    modules = {one.__module__.split(".")[0] for one in kinds}
    if "langgraph" in modules and (hasattr(value, "ainvoke") or hasattr(value, "compile")):
        from .langgraph import durable

        return durable(value, id=agent_id)
    if "crewai" in modules:
        from . import crewai

        return crewai.durable(value, id=agent_id)
    if "autogen_agentchat" in modules:
        from . import autogen

        return autogen.durable(value, id=agent_id) if autogen.is_ours(kind) else None
    if "semantic_kernel" in modules:
        from . import semantic_kernel

        return semantic_kernel.durable(value, id=agent_id) if semantic_kernel.is_ours(kind) else None
    return None


def _made_by(value: object) -> type | None:
    """The class that a function without parameters says it returns."""
    if not inspect.isfunction(value) or inspect.iscoroutinefunction(value):
        return None
    if any(one.default is one.empty for one in inspect.signature(value).parameters.values()):
        return None
    try:
        returns: Any = typing.get_type_hints(value).get("return")
    except (NameError, TypeError):
        return None
    return returns if isinstance(returns, type) else None

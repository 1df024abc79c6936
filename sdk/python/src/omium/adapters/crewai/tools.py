"""Tools of CrewAI, as recorded calls.

1. A tool is marked by its `tags`, an attribute of its class or of the function under `@tool`: `omium:effect` records its
   intent first; `reconcile`, beside it, is asked by the idempotency key what became of a call whose outcome is unknown.
2. What is recorded is `_run` and `_arun` of a tool, which all of CrewAI's ways to a tool lead to; counters, checks of
   arguments and retries of the framework stay outside and happen in every attempt.
3. A tool that hands work to another agent, or to memory, is code: the calls that are made there are recorded instead.
4. CrewAI's cache would answer or not answer depending on which of two agents is faster. Within a run it is replaced: of
   equal calls of a cached tool the first is made, the others wait for its result.
"""

# The framework's insides.
# pyright: basic, reportPrivateUsage=false, reportPrivateImportUsage=false

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from typing import Any, cast

from crewai.agents.cache.cache_handler import CacheHandler
from crewai.tools import BaseTool
from crewai.tools.agent_tools.base_agent_tools import BaseAgentTool
from crewai.tools.base_tool import Tool
from crewai.tools.memory_tools import RecallMemoryTool, RememberTool
from crewai.tools.tool_failure import ToolFailure
from crewai.utilities.string_utils import sanitize_tool_name

from ...json import hash_json, plain_json
from ..journal import from_loop, from_thread, on_this_loop
from ..tools import CODE_TAG, effect_of, record_tool, tagged
from .world import World, here

_FAILURE = "omium:tool_failure"
_recorded_already = "_omium_recorded"

# the cache that CrewAI has just looked into, and the tool it did so for
_looked_up: ContextVar[tuple[CacheHandler, str] | None] = ContextVar("omium_crewai_cache", default=None)


def install() -> None:
    """Wraps the tools that there are and those that will be defined."""
    BaseTool.__init_subclass__ = classmethod(_defined)  # type: ignore[assignment]
    for kind in _below(BaseTool):
        _wrap(kind)
    # its own calls the function and not `_run`, and does the same otherwise
    Tool.run = BaseTool.run  # type: ignore[method-assign]
    _originals["read"] = CacheHandler.read
    CacheHandler.read = _read  # type: ignore[method-assign]


_originals: dict[str, Any] = {"defined": BaseTool.__init_subclass__.__func__}


def _defined(cls: type[BaseTool], **options: Any) -> None:
    _originals["defined"](cls, **options)
    _wrap(cls)


def _below(kind: type[Any]) -> list[type[Any]]:
    found: list[type[Any]] = []
    for one in kind.__subclasses__():
        found += [one, *_below(one)]
    return found


def _wrap(kind: type[Any]) -> None:
    if issubclass(kind, (BaseAgentTool, RecallMemoryTool, RememberTool)):
        return
    for name in ("_run", "_arun"):
        original = kind.__dict__.get(name)
        if not inspect.isfunction(original) or hasattr(original, _recorded_already):
            continue
        wrapped = _recorded_async(original) if inspect.iscoroutinefunction(original) else _recorded_sync(original)
        setattr(wrapped, _recorded_already, True)
        setattr(kind, name, wrapped)


def _recorded_sync(original: Callable[..., Any]) -> Callable[..., Any]:
    # the framework looks at the signature to know what it has to pass
    @wraps(original)
    def call(self: BaseTool, *args: Any, **kwargs: Any) -> Any:
        world = here()
        if world is None or tagged(CODE_TAG, *_marks(self)):
            return original(self, *args, **kwargs)

        def fn() -> Any:
            result = original(self, *args, **kwargs)
            return asyncio.run(result) if inspect.iscoroutine(result) else result

        return _cached(world, self, args, kwargs, lambda: from_thread(world.run, _asking(self, args, kwargs, fn)))

    return call


def _recorded_async(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    async def call(self: BaseTool, *args: Any, **kwargs: Any) -> Any:
        world = here()
        if world is None or tagged(CODE_TAG, *_marks(self)):
            return await original(self, *args, **kwargs)

        async def fn() -> Any:
            return await original(self, *args, **kwargs)

        return await from_loop(world.run, _asking(self, args, kwargs, on_this_loop(world.run, fn)))

    return call


def _marks(tool: BaseTool) -> tuple[object, ...]:
    """What carries a tool's tags: itself or its class, or the function that `@tool` was put on."""
    return tool, getattr(tool, "func", None)


def _given(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    return {"args": list(args), **{key: value for key, value in kwargs.items() if key != "security_context"}}


def _asking(tool: BaseTool, args: tuple[Any, ...], kwargs: dict[str, Any], fn: Callable[[], Any]) -> Callable[[], Any]:
    given = _given(args, kwargs)

    async def ask() -> Any:
        return _decoded(await record_tool(tool.name, given, _encoding(fn), effect=effect_of(*_marks(tool))))

    return ask


def _encoding(fn: Callable[[], Any]) -> Callable[[], Any]:
    if inspect.iscoroutinefunction(fn):

        async def encoded_async() -> Any:
            return _encoded(await fn())

        return encoded_async

    return lambda: _encoded(fn())


def _encoded(result: Any) -> Any:
    # a failure that a tool declares means something to the framework, which its JSON would not
    return {_FAILURE: result.model_dump(mode="json")} if isinstance(result, ToolFailure) else result


def _decoded(recorded: Any) -> Any:
    if isinstance(recorded, dict) and _FAILURE in recorded:
        return ToolFailure.model_validate(cast("dict[str, Any]", recorded)[_FAILURE])
    return recorded


# ---- the cache


def _read(self: CacheHandler, tool: str, input: str) -> Any:
    if here() is None:
        return _originals["read"](self, tool, input)
    _looked_up.set((self, tool))
    return None


class _First:
    """The first of equal calls, and what came of it."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.waiting = 0
        self.kept = False
        self.result: Any = None


def _cached(
    world: World, tool: BaseTool, args: tuple[Any, ...], kwargs: dict[str, Any], call: Callable[[], Any]
) -> Any:
    looked_up = _looked_up.get()
    _looked_up.set(None)
    if looked_up is None or looked_up[1] != sanitize_tool_name(tool.name):
        return call()
    request = plain_json(_given(args, kwargs), f'the input of tool "{tool.name}"')
    key = f"{id(looked_up[0])} {tool.name} {hash_json(request)}"
    while True:
        with world.lock:
            first = world.cached.get(key)
            mine = first is None
            if first is None:
                world.cached[key] = first = _First()
            elif not first.done.is_set():
                first.waiting += 1
                world.run.activity.thread_ended()
        if mine:
            return _made_first(world, tool, kwargs, key, first, call)
        first.done.wait()
        if first.kept:
            return first.result


def _made_first(
    world: World, tool: BaseTool, kwargs: dict[str, Any], key: str, first: _First, call: Callable[[], Any]
) -> Any:
    try:
        result = call()
        if tool.cache_function(kwargs, result) and not isinstance(result, ToolFailure):
            first.result = result
            first.kept = True
        return result
    finally:
        with world.lock:
            if not first.kept:
                del world.cached[key]
            for _ in range(first.waiting):
                world.run.activity.thread_began()
            first.done.set()

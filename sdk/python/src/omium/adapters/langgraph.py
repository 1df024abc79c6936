"""LangGraph: any graph, unchanged, as a durable agent.

1. Model calls and tool calls are journaled one by one, so that a node with several of them repeats none after a crash; the
   graph itself starts anew in every attempt, on a thread of its own, and is carried by the journal to where it was.
2. `interrupt(value)` becomes a recorded step that shows the value, and a wait: for the approval of a person when the value
   is a dict with an `approve` title (the graph resumes with True or False), otherwise for the signal `resume`, whose payload
   is what the graph resumes with.
3. A tool tagged `omium:effect` records its intent first and is never blindly called again; its idempotency key is
   `omium.current_step().idempotency_key`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import wraps
from typing import Any, cast

from langchain_core.messages import BaseMessage
from langchain_core.tools import BaseTool, StructuredTool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_config
from langgraph.types import Command

from ..agent import Agent
from ..context import Context, Decision
from ..errors import OmiumError
from ..json import JsonValue, plain_json
from . import model_calls
from .journal import current_run, from_thread, record_call
from .people import People
from .tools import EFFECT_TAG

# a node may do I/O or compute for a while before it makes its next call
_MISMATCH_GRACE_MS = 10_000

_originals: dict[str, Any] = {}


def durable(graph: Any, *, id: str, description: str | None = None) -> Agent[Any, Any]:
    """The durable agent that runs this graph (compiled or not). Its input is the graph's, its output the final state."""
    compiled = graph.compile() if not hasattr(graph, "ainvoke") else graph
    model_calls.install(_name_of)
    _install_tools()

    async def run(given: JsonValue, ctx: Context) -> Any:
        current = current_run()
        try:
            return await _run(compiled, given, ctx)
        except Exception as error:
            # the platform's own failure of a model call, which the model's client has wrapped
            cause = model_calls.behind(current, error) if current is not None else error
            raise cause from (error if cause is not error else None)

    agent: Agent[Any, Any] = Agent(run, id, None, description, None, None)
    agent.mismatch_grace_ms = _MISMATCH_GRACE_MS
    return agent


async def _run(compiled: Any, given: JsonValue, ctx: Context) -> Any:
    # a saver of its own: what an earlier attempt left must not be taken up, the journal does that
    graph = compiled.copy(update={"checkpointer": InMemorySaver()})
    config = {"configurable": {"thread_id": f"{ctx.execution_id}:{ctx.attempt}"}}
    following: Any = given
    people = People(ctx)
    while True:
        state = await graph.ainvoke(following, config)
        interrupts: Sequence[Any] = state.get("__interrupt__", ()) if isinstance(state, dict) else ()
        if not interrupts:
            return _without_ids(state)
        answers: dict[str, Any] = {}
        for interrupt in interrupts:
            said = await people.ask(interrupt.value)
            answers[interrupt.id] = said.approved if isinstance(said, Decision) else said
        following = Command(resume=answers)


def _without_ids(state: Any) -> Any:
    """The state, with messages as they are written. Their random ids tell nothing."""
    if isinstance(state, BaseMessage):
        return state.model_dump(mode="json", exclude={"id"})
    if isinstance(state, dict):
        members = cast("dict[str, Any]", state)
        return {key: _without_ids(value) for key, value in members.items()}
    if isinstance(state, (list, tuple)):
        return [_without_ids(value) for value in cast("Sequence[Any]", state)]
    return state


def _name_of(model: str) -> str:
    """`researcher: gpt-4o`, where the node is known."""
    try:
        node = get_config().get("metadata", {}).get("langgraph_node")
    except RuntimeError:
        node = None
    return f"{node}: {model}" if node else model


# ---- tools


def _install_tools() -> None:
    if _originals:
        return
    _originals["_run"] = StructuredTool._run
    _originals["_arun"] = StructuredTool._arun
    # the framework looks at the signature to know what it has to pass
    StructuredTool._run = wraps(_originals["_run"])(_run_tool)
    StructuredTool._arun = wraps(_originals["_arun"])(_arun_tool)


def _run_tool(self: StructuredTool, *args: Any, **kwargs: Any) -> Any:
    run = current_run()
    if run is None:
        return _originals["_run"](self, *args, **kwargs)
    return from_thread(run, lambda: _recorded(self, args, kwargs, lambda: _originals["_run"](self, *args, **kwargs)))


async def _arun_tool(self: StructuredTool, *args: Any, **kwargs: Any) -> Any:
    # a tool that is not async comes to _run, in a thread
    if current_run() is None or self.coroutine is None:
        return await _originals["_arun"](self, *args, **kwargs)

    async def call() -> Any:
        return await cast("Awaitable[Any]", _originals["_arun"](self, *args, **kwargs))

    return await _recorded(self, args, kwargs, call)


async def _recorded(tool: BaseTool, args: tuple[Any, ...], kwargs: dict[str, Any], fn: Callable[[], Any]) -> Any:
    run = current_run()
    if run is None:
        raise asyncio.CancelledError("the run is over")
    given = {key: value for key, value in kwargs.items() if key not in ("config", "run_manager")}
    what = f'the input of tool "{tool.name}"'
    request = plain_json({"tool": tool.name, "args": list(args), "input": given}, what)
    try:
        return await record_call(
            run,
            tool.name,
            tool.name,
            request,
            fn,
            kind="tool",
            retry=False,
            effect=EFFECT_TAG in (tool.tags or []),
        )
    except OmiumError as error:
        if error.code == "step_failed" and error.__cause__ is not None:
            # as the framework expects a tool to fail: with what it raised
            raise RuntimeError(str(error.__cause__)) from error
        raise

"""Runs a graph, and asks people in between."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from langchain_core.messages import BaseMessage
from langgraph.config import get_config
from langgraph.types import Command

from ...agent import Agent
from ...context import Context, Decision
from ...errors import OmiumError
from ...json import JsonValue
from ...replay.run import Run
from .. import model_calls
from ..journal import current_run
from ..langgraph_saver import OmiumCheckpointSaver
from ..people import People
from . import state, tools

# a node may do I/O or compute for a while before it makes its next call
_MISMATCH_GRACE_MS = 10_000


def durable(graph: Any, *, id: str, description: str | None = None) -> Agent[Any, Any]:
    """The durable agent that runs this graph (compiled or not). Its input is the graph's, its output the final state."""
    compiled = graph.compile() if not hasattr(graph, "ainvoke") else graph
    model_calls.install(_name_of)
    tools.install()
    state.install()

    async def run(given: JsonValue, ctx: Context) -> Any:
        current = current_run()
        if current is None:
            raise OmiumError("internal", "a graph was started outside of a run")
        try:
            return await _run(compiled, given, ctx, current)
        except Exception as error:
            # the platform's own failure of a model call, which the model's client has wrapped
            cause = model_calls.behind(current, error)
            raise cause from (error if cause is not error else None)

    agent: Agent[Any, Any] = Agent(run, id, None, description, None, None)
    agent.mismatch_grace_ms = _MISMATCH_GRACE_MS
    return agent


async def _run(compiled: Any, given: JsonValue, ctx: Context, run: Run) -> Any:
    configured = getattr(compiled, "checkpointer", None)
    # a saver of its own: what an earlier attempt left must not be taken up, the journal does that
    saver = state.RunSaver(run, configured if isinstance(configured, OmiumCheckpointSaver) else None)
    graph = compiled.copy(update={"checkpointer": saver})
    config = {"configurable": {"thread_id": ctx.execution_id}}
    following: Any = given
    people = People(ctx)
    while True:
        reached = await graph.ainvoke(following, config)
        members = cast("dict[str, Any]", reached) if isinstance(reached, dict) else {}
        interrupts: Sequence[Any] = members.get("__interrupt__", ())
        if not interrupts:
            return _without_ids(reached)
        answers: dict[str, Any] = {}
        for interrupt in interrupts:
            said = await people.ask(interrupt.value)
            answers[interrupt.id] = said.approved if isinstance(said, Decision) else said
        following = Command(resume=answers)


def _without_ids(reached: Any) -> Any:
    """The state, with messages as they are written. Their random ids tell nothing."""
    if isinstance(reached, BaseMessage):
        return reached.model_dump(mode="json", exclude={"id"})
    if isinstance(reached, dict):
        members = cast("dict[str, Any]", reached)
        return {key: _without_ids(value) for key, value in members.items()}
    if isinstance(reached, (list, tuple)):
        return [_without_ids(value) for value in cast("Sequence[Any]", reached)]
    return reached


def _name_of(model: str) -> str:
    """`researcher: gpt-4o`, where the node is known."""
    try:
        node = get_config().get("metadata", {}).get("langgraph_node")
    except RuntimeError:
        node = None
    return f"{node}: {model}" if node else model

"""Runs an agent or a team on a task, and asks people in between."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from autogen_agentchat.agents import BaseChatAgent
from autogen_agentchat.base import TaskResult
from autogen_agentchat.messages import BaseChatMessage, HandoffMessage, MessageFactory, TextMessage
from autogen_agentchat.teams import BaseGroupChat
from pydantic import ValidationError

from ...agent import Agent
from ...context import Context
from ...errors import OmiumError
from ...json import JsonValue
from .. import model_calls
from ..journal import current_run
from ..people import People, people
from .fresh import fresh_team, members_of, recording
from .names import alone, name_of
from .patches import Running, install, running

# an agent may do I/O or compute for a while before it makes its next call
_MISMATCH_GRACE_MS = 10_000


def is_ours(kind: type[Any]) -> bool:
    """Whether objects of that class can be run."""
    return issubclass(kind, (BaseChatAgent, BaseGroupChat))


def durable(team: Any, *, id: str, description: str | None = None) -> Agent[Any, Any]:
    """The durable agent that runs this agent or team, or what this function without parameters makes.

    Its input is a task: a text, a message (`{"source", "content"}`), or a list of those; also as `{"task": ...}`. Its output
    has the `messages`, the `answer` (the last text) and the `stop_reason`.
    Raises OmiumError `settings_invalid` when it is neither, or cannot be copied for each of its runs.
    """
    what = f'agent "{id}"'
    if not is_ours(cast("type[Any]", type(team))):
        if not callable(team):
            raise OmiumError("settings_invalid", f"{what} is no agent or team of AutoGen: {type(team).__name__}")
        make = cast("Callable[[], Any]", team)
    else:

        def make() -> Any:
            return fresh_team(team, what)

        recording(make(), what)
    model_calls.install(name_of)
    install()

    async def run(given: JsonValue, ctx: Context) -> Any:
        return await _run(recording(make(), what), _task_of(given, what), ctx)

    agent: Agent[Any, Any] = Agent(run, id, None, description, None, None)
    agent.mismatch_grace_ms = _MISMATCH_GRACE_MS
    return agent


async def _run(team: Any, task: Any, ctx: Context) -> dict[str, Any]:
    asked = People(ctx)
    people.set(asked)
    alone.set(team.name)
    run = current_run()
    state = None if run is None else Running(run, team)
    running.set(state)
    participants = {one.name for one in members_of(team)}
    messages: list[Any] = []
    while True:
        try:
            result: TaskResult = await team.run(task=task)
        except Exception as error:
            cause = model_calls.behind(run, error) if run is not None else error
            raise cause from (error if cause is not error else None)
        if state is not None:
            await state.keep(f"stopped: {result.stop_reason}" if result.stop_reason else "stopped")
        messages.extend(result.messages)
        last = messages[-1] if messages else None
        if not isinstance(last, HandoffMessage) or last.target in participants:
            return _output_of(messages, result.stop_reason)
        question = {"handoff": last.target, "from": last.source, "message": last.content}
        task = HandoffMessage(source=last.target, target=last.source, content=await asked.text(question))


def _task_of(given: JsonValue, what: str) -> Any:
    task = given["task"] if isinstance(given, dict) and "task" in given else given
    try:
        if isinstance(task, str):
            return task
        if isinstance(task, dict):
            return _message_of(task)
        if isinstance(task, list) and task:
            return [_message_of(one) for one in cast("list[dict[str, Any]]", task)]
    except (ValidationError, ValueError, TypeError, KeyError) as cause:
        raise OmiumError("input_invalid", f"the input of {what} has a message that does not fit: {cause}") from cause
    raise OmiumError("input_invalid", f"the input of {what} is a text, a message, or a list of messages: a task")


def _message_of(given: Mapping[str, Any]) -> Any:
    if "type" in given:
        return MessageFactory().create(given)
    return TextMessage.model_validate({"source": "user", **given})


def _output_of(messages: Sequence[Any], stop_reason: str | None) -> dict[str, Any]:
    said = [message for message in messages if isinstance(message, BaseChatMessage)]
    return {
        "messages": [_plain(message) for message in messages],
        "answer": said[-1].to_text() if said else None,
        "stop_reason": stop_reason,
    }


def _plain(message: Any) -> dict[str, Any]:
    """A message as it is written, without what is random: ids of messages and requests, and the time."""
    written: dict[str, Any] = message.model_dump(mode="json", exclude={"id", "created_at", "request_id"})
    if not written.get("metadata"):
        written.pop("metadata", None)
    return written

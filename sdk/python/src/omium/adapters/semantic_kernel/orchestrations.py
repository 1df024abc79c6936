"""Orchestrations, on a runtime of their own, and the people that they ask."""

# the framework's own types are partly unknown, and what is replaced in it is private
# pyright: basic, reportPrivateUsage=false

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any, cast

from semantic_kernel.agents.orchestration.orchestration_base import OrchestrationBase
from semantic_kernel.agents.runtime import InProcessRuntime
from semantic_kernel.contents import ChatMessageContent
from semantic_kernel.contents.utils.author_role import AuthorRole

from ...context import Context
from ..people import APPROVAL_TAG, People
from ..tools import tagged
from .messages import keep_messages, output_of
from .patches import speaking

# of the name that an orchestration without one is given
_RANDOM = re.compile(r"_[0-9a-f]{32}$")


async def run_orchestration(
    orchestration: OrchestrationBase[Any, Any], messages: list[ChatMessageContent], ctx: Context
) -> dict[str, Any]:
    """Runs it on a task. It must be this attempt's own."""
    said: list[ChatMessageContent] = []
    told = orchestration._agent_response_callback

    async def note(message: Any) -> None:
        said.extend(cast("list[ChatMessageContent]", message) if isinstance(message, list) else [message])
        keep_messages([*messages, *said], len(said))
        if told is not None:
            waiting = told(message)
            if inspect.isawaitable(waiting):
                await waiting

    orchestration._agent_response_callback = note
    _ask_people(orchestration, People(ctx))
    # until an agent speaks
    speaking.set(_RANDOM.sub("", orchestration.name))
    runtime = InProcessRuntime()
    runtime.start()
    # some of the patterns take only a single message
    result = await orchestration.invoke(messages[0] if len(messages) == 1 else messages, runtime)
    value = await result.get()
    # what is under way when an orchestration fails or is cancelled ends with the run's tasks
    await runtime.stop_when_idle()
    return output_of(messages + said, value)


def _ask_people(orchestration: Any, asked: People) -> None:
    def instead_of(function: Callable[..., Any]) -> Callable[..., Any]:
        async def ask(history: Any = None) -> ChatMessageContent:
            question: dict[str, Any] = {"agent": _RANDOM.sub("", orchestration.name)}
            if history is not None and history.messages:
                question["message"] = history.messages[-1].content
            if tagged(APPROVAL_TAG, function):
                question["approve"] = (inspect.getdoc(function) or "Approve?").splitlines()[0]
            return ChatMessageContent(role=AuthorRole.USER, content=await asked.text(question))

        return ask

    own = getattr(orchestration, "_human_response_function", None)
    if own is not None:
        orchestration._human_response_function = instead_of(own)
    manager = getattr(orchestration, "_manager", None)
    if getattr(manager, "human_response_function", None) is not None:
        cast("Any", manager).human_response_function = instead_of(cast("Any", manager).human_response_function)

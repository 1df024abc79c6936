"""Messages, from and to JSON."""

# the framework's own types are partly unknown, and what is replaced in it is private
# pyright: basic, reportPrivateUsage=false

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from semantic_kernel.contents import ChatMessageContent
from semantic_kernel.contents.utils.author_role import AuthorRole

from ...errors import OmiumError
from ...json import JsonValue
from ..journal import current_run
from ..native_state import keep_state


def messages_of(given: JsonValue, what: str) -> list[ChatMessageContent]:
    """The task that an agent or an orchestration is given. Raises OmiumError `input_invalid`."""
    task = given["task"] if isinstance(given, dict) and "task" in given else given
    try:
        if isinstance(task, str):
            return [ChatMessageContent(role=AuthorRole.USER, content=task)]
        if isinstance(task, dict):
            return [_message_of(task)]
        if isinstance(task, list) and task:
            return [_message_of(cast("dict[str, JsonValue]", one)) for one in task]
    except (ValueError, TypeError, AttributeError, KeyError) as cause:
        raise OmiumError("input_invalid", f"the input of {what} has a message that does not fit: {cause}") from cause
    raise OmiumError("input_invalid", f"the input of {what} is a text, a message, or a list of messages")


def _message_of(given: dict[str, JsonValue]) -> ChatMessageContent:
    content, name = given["content"], given.get("name")
    if not isinstance(content, str) or not (name is None or isinstance(name, str)):
        raise ValueError("content and name are texts")
    return ChatMessageContent(role=AuthorRole(given.get("role", "user")), content=content, name=name)


def output_of(messages: list[ChatMessageContent], answer: object) -> dict[str, Any]:
    """What a run gives back."""
    return {"messages": [_plain(message) for message in messages], "answer": answer_of(answer)}


def _plain(message: ChatMessageContent) -> dict[str, Any]:
    written: dict[str, Any] = {"role": message.role.value, "content": message.content}
    if message.name:
        written["name"] = message.name
    for item in message.items:
        kind = item.content_type
        if kind == "function_call":
            call = cast("Any", item)
            written.setdefault("calls", []).append({"function": call.name, "arguments": call.arguments})
        elif kind == "function_result":
            result = cast("Any", item)
            written.setdefault("results", []).append({"function": result.name, "result": str(result.result)})
    return written


def keep_messages(messages: Sequence[ChatMessageContent], spoke: int) -> None:
    """The conversation of the current run after so many messages of its agents."""
    run = current_run()
    if run is None:
        return
    last = messages[-1] if messages else None
    label = f"after {last.name}" if last is not None and last.name else f"message {spoke}"
    keep_state(
        run,
        "semantic-kernel",
        f"message-{spoke}",
        lambda: {"messages": [_plain(message) for message in messages]},
        label=label,
    )


def answer_of(value: object) -> object:
    """The text of a message, or those of several; anything else as it is."""
    if isinstance(value, ChatMessageContent):
        return value.content
    if isinstance(value, list):
        return [answer_of(one) for one in cast("list[object]", value)]
    return value

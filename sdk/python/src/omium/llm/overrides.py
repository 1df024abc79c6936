"""What a run's overrides change of the model calls that are really made; their recorded identity stays the code's."""

from __future__ import annotations

from typing import Any, cast

from ..json import dumps
from ..protocol import RunOverrides

_CHARS_PER_TOKEN = 4
"""A token is about four characters of English; what is cut by this is cut before a provider would refuse it."""


def overridden(request: dict[str, Any], overrides: RunOverrides | None) -> dict[str, Any]:
    """The body of a chat completion, or of a response (`input`, `instructions`), as it is sent."""
    if not overrides:
        return request
    sent = {**request, "model": model_of(str(request.get("model", "")), overrides)}
    member = "input" if "input" in request else "messages"
    messages = sent.get(member)
    limit = overrides.get("maxInputTokens")
    if limit is not None and isinstance(messages, list):
        sent[member] = messages = _newest(cast("list[dict[str, Any]]", messages), limit)
    instructions = overrides.get("instructions")
    if instructions is not None:
        if member == "input":
            sent["instructions"] = "\n\n".join(filter(None, [sent.get("instructions"), instructions]))
        else:
            given = cast("list[dict[str, Any]]", messages or [])
            sent["messages"] = [*given, {"role": "system", "content": instructions}]
    return sent


def model_of(model: str, overrides: RunOverrides | None) -> str:
    """The model that is asked in place of this one."""
    models = (overrides or {}).get("models", {})
    return models.get(model, models.get("*", model))


def _is_instruction(message: dict[str, Any]) -> bool:
    return message.get("role") in ("system", "developer")


def _is_answer(message: dict[str, Any]) -> bool:
    return message.get("role") == "tool" or message.get("type") == "function_call_output"


def _tokens_of(message: dict[str, Any]) -> int:
    return -(-len(dumps(message)) // _CHARS_PER_TOKEN)


def _newest(messages: list[dict[str, Any]], max_tokens: int) -> list[dict[str, Any]]:
    """The newest messages that fit, with all instructions and at least the last message.

    What remains never begins with the answers of tools whose calls were left out: providers refuse those.
    """
    left = max_tokens - sum(_tokens_of(message) for message in messages if _is_instruction(message))
    start = len(messages)
    for index in range(len(messages) - 1, -1, -1):
        if _is_instruction(messages[index]):
            continue
        left -= _tokens_of(messages[index])
        if left < 0 and start < len(messages):
            break
        start = index
    while start < len(messages) - 1 and _is_answer(messages[start]):
        start += 1
    return [message for index, message in enumerate(messages) if index >= start or _is_instruction(message)]

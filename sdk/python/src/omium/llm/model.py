"""The shapes of model calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NotRequired, Protocol, TypeAlias, TypedDict

from ..context import Effect
from ..durations import Duration
from ..json import JsonValue
from ..policy import Retry


class Usage(TypedDict, total=False):
    """What a step cost."""

    model: str
    inputTokens: int
    outputTokens: int
    costMicroCredits: int
    """millionths of a credit (1 credit = 1 USD)"""


ChatMessage: TypeAlias = "dict[str, Any]"
"""A message as OpenAI-compatible endpoints take it."""

ChatRequest: TypeAlias = "dict[str, Any]"
"""Body of `POST <base>/chat/completions`: `model`, `messages`, and whatever else the endpoint knows."""


class AssistantMessage(TypedDict):
    """As it goes back into the next request's messages."""

    role: str
    content: str | None
    tool_calls: NotRequired[list[dict[str, Any]]]


class ChatResult(TypedDict):
    """One recorded completion."""

    message: AssistantMessage
    content: str
    """the message's text, empty when it only calls tools"""
    finishReason: str
    usage: Usage


class Completion(TypedDict):
    """One answer of a model, before it is priced."""

    message: AssistantMessage
    finishReason: str
    model: str
    inputTokens: NotRequired[int]
    outputTokens: NotRequired[int]
    costMicroCredits: NotRequired[int]
    """what the endpoint says that it cost, which counts before any price table"""


class Complete(Protocol):
    """Whatever answers chat requests: an OpenAI-compatible endpoint, or a script in a test."""

    def __call__(self, request: ChatRequest, on_delta: Callable[[str], None] | None) -> Awaitable[Completion]: ...


class ToolLoopResult(TypedDict):
    content: str
    messages: list[ChatMessage]
    """the whole conversation, with the tools' answers"""
    turns: int
    usage: Usage


@dataclass(frozen=True, slots=True)
class Price:
    """Micro-credits per token, which is the same number as US dollars per million tokens."""

    input: float
    output: float


@dataclass(frozen=True, slots=True)
class PriceTable:
    """Prices by the beginning of a model's name; the longest match counts."""

    version: str
    models: dict[str, Price]


@dataclass(frozen=True, slots=True)
class LlmSettings:
    complete: Complete
    prices: PriceTable


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that a model may call.

    `input`: a type that pydantic understands, preferably a model; what it is checked as is `execute`'s first argument.
    `execute`: given the input, and a `StepInfo` when it takes a second argument.
    """

    name: str
    input: Any
    execute: Callable[..., Any]
    description: str | None = None
    retry: Retry | bool | None = None
    timeout: Duration | None = None
    effect: bool | Effect | None = None


def tool_call_arguments(call: dict[str, Any]) -> tuple[str, str, JsonValue]:
    """(id, name, arguments as text) of a tool call as OpenAI-compatible models make them."""
    function = call.get("function", {})
    return str(call.get("id", "")), str(function.get("name", "")), function.get("arguments") or "{}"

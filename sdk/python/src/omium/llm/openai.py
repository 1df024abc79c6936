"""Chat completions of any OpenAI-compatible endpoint. Retries are the step's, not this client's."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import httpx

from ..errors import OmiumError, error_catalogue
from ..json import dumps
from ..replay.step_call import current_step
from ..sse import alines_in, parse_events
from .model import AssistantMessage, ChatRequest, Completion
from .refusals import refusal_in, refusal_of

ANSWER_LIMIT_BYTES = 10 * 1024 * 1024
"""Of one answer, with all that a stream adds to it: more could not be recorded."""

_TIMEOUT = httpx.Timeout(600, connect=10)


_PLAIN_CODES = (
    "invalid_request",
    "payload_too_large",
    "unauthenticated",
    "forbidden",
    "policy_denied",
    "not_found",
    "rate_limited",
    "budget_exceeded",
)


def _is_ours(code: object) -> bool:
    """Omium's model gateway says what went wrong in codes of the catalogue: they need no guessing."""
    return isinstance(code, str) and code in error_catalogue and (code.startswith("model_") or code in _PLAIN_CODES)


def idempotency_header() -> dict[str, str]:
    """The key of the step that is running, the same for every try of it; nothing outside of steps.

    What a header cannot carry goes as its hash.
    """
    step = current_step()
    if step is None:
        return {}
    key = step.idempotency_key
    fits = re.fullmatch(r"[\x21-\x7e]{1,255}", key) is not None
    return {"idempotency-key": key if fits else hashlib.sha256(key.encode()).hexdigest()}


def refusal(response: httpx.Response, body: str) -> OmiumError:
    """What the gateway says is taken at its word; a provider's own words are read."""
    told = refusal_of(response.status_code, response.headers, body)
    try:
        error = json.loads(body)["error"]
        code: object = error.get("code") or error.get("type")
        if _is_ours(code):
            said = str(error.get("message", told.detail))
            return OmiumError(str(code), said, retryable=error.get("retryable"), data=told.data)
    except (ValueError, KeyError, TypeError, AttributeError):
        pass  # not in OpenAI's words: no gateway's
    return told


class BoundedAnswer:
    """An answer as it comes in. Raises OmiumError `model_malformed` when it gets longer than any that can be recorded."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, part: bytes) -> None:
        self._size += len(part)
        if self._size > ANSWER_LIMIT_BYTES:
            limit = ANSWER_LIMIT_BYTES // (1024 * 1024)
            detail = (
                f"the model provider sent more than {limit} MiB as one answer: set max_tokens, or give the model an end"
            )
            raise OmiumError("model_malformed", detail, retryable=False)
        self._parts.append(part)

    @property
    def content(self) -> bytes:
        return b"".join(self._parts)


def unanswered(url: httpx.URL, cause: Exception) -> OmiumError:
    """What it means that no answer came: the provider is out of reach, or was reached and took too long.

    `cause` is a transport error of httpx, or of a library that is a copy of it.
    """
    host = url.netloc.decode()
    if type(cause).__name__ in ("ReadTimeout", "WriteTimeout"):
        detail = f"the model provider at {host} did not answer in the time that its client allows"
        return OmiumError("timeout", detail, cause=cause)
    detail = f"the model provider at {host} cannot be reached: {type(cause).__name__}"
    return OmiumError("model_overloaded", detail, cause=cause)


def completion_of(answer: dict[str, Any], request: ChatRequest) -> Completion:
    """The completion in an answer. Raises OmiumError `model_malformed`, `model_content_filter`."""
    choices: list[dict[str, Any]] = answer.get("choices") or [{}]
    said: dict[str, Any] | None = choices[0].get("message")
    if not said:
        raise OmiumError("model_malformed", "the model provider sent an answer without a message")
    finish: str | None = choices[0].get("finish_reason")
    if finish == "content_filter":
        raise OmiumError("model_content_filter", f"{request.get('model')} filtered its answer")
    message: AssistantMessage = {"role": "assistant", "content": said.get("content")}
    if said.get("tool_calls"):
        message["tool_calls"] = said["tool_calls"]
    completion: Completion = {
        "message": message,
        "finishReason": finish or "stop",
        "model": answer.get("model") or str(request.get("model")),
    }
    usage: dict[str, Any] = answer.get("usage") or {}
    if usage.get("prompt_tokens") is not None:
        completion["inputTokens"] = usage["prompt_tokens"]
    if usage.get("completion_tokens") is not None:
        completion["outputTokens"] = usage["completion_tokens"]
    if usage.get("omium_cost_micro_credits") is not None:
        completion["costMicroCredits"] = usage["omium_cost_micro_credits"]
    return completion


class StreamedAnswer:
    """Puts a streamed answer together, chunk by chunk."""

    def __init__(self) -> None:
        self.done = False
        self.finish_reason: str | None = None
        self._content: str | None = None
        self._tool_calls: dict[int, dict[str, Any]] = {}
        self._whole: dict[str, Any] = {}

    def feed(self, data: str, on_delta: Callable[[str], None]) -> None:
        """Takes the data of one event. Raises OmiumError `model_overloaded` when the provider broke off."""
        if data == "[DONE]":
            self.done = True
            return
        chunk = json.loads(data)
        if chunk.get("error"):
            error: object = chunk["error"]
            said = cast("dict[str, object]", error) if isinstance(error, dict) else {}
            if _is_ours(said.get("code")):
                raise OmiumError(str(said["code"]), f"the model provider broke off: {said.get('message')}")
            raise refusal_in(cast("object", error))
        for key in ("model", "usage"):
            if chunk.get(key):
                self._whole[key] = chunk[key]
        if not chunk.get("choices"):
            return
        choice = chunk["choices"][0]
        self.finish_reason = choice.get("finish_reason") or self.finish_reason
        delta: dict[str, Any] = choice.get("delta") or {}
        if delta.get("content"):
            self._content = (self._content or "") + delta["content"]
            on_delta(delta["content"])
        parts: list[dict[str, Any]] = delta.get("tool_calls") or []
        for part in parts:
            blank: dict[str, Any] = {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
            call = self._tool_calls.setdefault(part.get("index", 0), blank)
            call["id"] = part.get("id") or call["id"]
            function: dict[str, Any] = part.get("function") or {}
            call["function"]["name"] += function.get("name") or ""
            call["function"]["arguments"] += function.get("arguments") or ""

    def answer(self) -> dict[str, Any]:
        """The whole answer, as an endpoint that does not stream would have sent it."""
        if not self.done and not self.finish_reason:
            raise OmiumError("model_malformed", "the stream of the model provider broke off")
        calls = [self._tool_calls[index] for index in sorted(self._tool_calls)]
        message = {"content": self._content, "tool_calls": calls}
        return {**self._whole, "choices": [{"message": message, "finish_reason": self.finish_reason}]}


class OpenAiCompatible:
    """Chat completions of one endpoint. `base_url` goes up to and without `/chat/completions`."""

    def __init__(self, base_url: str, api_key: str | None) -> None:
        self._url = f"{base_url.rstrip('/')}/chat/completions"
        self._headers = {"content-type": "application/json"}
        if api_key:
            self._headers["authorization"] = f"Bearer {api_key}"
        self._client: httpx.AsyncClient | None = None

    async def __call__(self, request: ChatRequest, on_delta: Callable[[str], None] | None) -> Completion:
        if self._client is None:
            self._client = httpx.AsyncClient(timeout=_TIMEOUT)
        body = request
        if on_delta is not None:
            body = {**request, "stream": True, "stream_options": {"include_usage": True}}
        try:
            headers = {**self._headers, **idempotency_header()}
            async with self._client.stream("POST", self._url, content=dumps(body), headers=headers) as response:
                if not response.is_success:
                    raise refusal(response, (await _read_whole(response)).decode("utf-8", "replace"))
                if on_delta is not None and "event-stream" in response.headers.get("content-type", ""):
                    return completion_of(await _read_stream(alines_in(response.aiter_bytes()), on_delta), request)
                completion = completion_of(json.loads(await _read_whole(response)), request)
        except OmiumError:
            raise
        except httpx.TransportError as cause:
            raise unanswered(httpx.URL(self._url), cause) from cause
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as cause:
            detail = "the answer of the model provider cannot be read"
            raise OmiumError("model_malformed", detail, cause=cause) from cause
        content = completion["message"]["content"]
        if on_delta is not None and content:
            on_delta(content)
        return completion

    async def close(self) -> None:
        """Gives the connections back."""
        if self._client is not None:
            await self._client.aclose()


async def _read_whole(response: httpx.Response) -> bytes:
    answer = BoundedAnswer()
    async for part in response.aiter_bytes():
        answer.feed(part)
    return answer.content


async def _read_stream(lines: AsyncIterator[str], on_delta: Callable[[str], None]) -> dict[str, Any]:
    streamed = StreamedAnswer()
    bound = BoundedAnswer()
    async for event in parse_events(lines):
        bound.feed(event.data.encode("utf-8", "replace"))
        streamed.feed(event.data, on_delta)
    return streamed.answer()

"""The client of OpenAI-compatible endpoints: what providers say, as coded errors and whole answers."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from omium import OmiumError, Price, PriceTable
from omium.llm.openai import StreamedAnswer, completion_of, refusal
from omium.llm.prices import usage_of, worst_case_micro_credits
from omium.sse import parse_events_sync


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        (401, {}, "model_auth"),
        (429, {}, "model_rate_limited"),
        (503, {}, "model_overloaded"),
        (408, {}, "model_overloaded"),
        (400, {"code": "context_length_exceeded"}, "model_context_length"),
        (400, {"message": "This model's maximum context length is 8192 tokens"}, "model_context_length"),
        (400, {"code": "content_filter"}, "model_content_filter"),
        (400, {"message": "no such parameter"}, "invalid_request"),
        # the platform's own gateway says what it is, whatever the status
        (400, {"code": "model_context_length"}, "model_context_length"),
        (429, {"code": "rate_limited"}, "rate_limited"),
        (401, {"code": "unauthenticated"}, "unauthenticated"),
        (402, {"code": "budget_exceeded"}, "budget_exceeded"),
        (500, {"code": "step_failed"}, "model_overloaded"),
    ],
)
def test_refusals_are_coded(status: int, error: dict[str, Any], code: str) -> None:
    response = httpx.Response(status, headers={"retry-after": "2"})
    refused = refusal(response, json.dumps({"error": error}))
    assert refused.code == code
    if refused.retryable:
        assert refused.data == {"retryAfterMs": 2000}


# what the platform's own gateway, and the TypeScript SDK, make of them
PROVIDERS = Path(__file__).parents[3] / "schemas" / "src" / "provider-refusals.json"


@pytest.mark.parametrize("row", json.loads(PROVIDERS.read_text()), ids=lambda row: f"{row['provider']} {row['status']}")
def test_providers_are_understood_in_their_own_words(row: dict[str, Any]) -> None:
    refused = refusal(httpx.Response(row["status"]), row["body"])
    assert (refused.code, refused.retryable) == (row["code"], row["retryable"])


@pytest.mark.parametrize(
    ("headers", "error", "ms"),
    [
        ({"retry-after": "3", "retry-after-ms": "2100"}, {}, 2100),
        ({"retry-after": "Thu, 01 Jan 2015 00:00:10 GMT"}, {}, 0),
        ({"retry-after": "604800"}, {}, 86_400_000),
        ({}, {"message": "Rate limit reached. Please try again in 20ms."}, 20),
        ({}, {"status": "RESOURCE_EXHAUSTED", "details": [{"retryDelay": "34s"}]}, 34_000),
    ],
)
def test_providers_say_when_to_come_back(headers: dict[str, str], error: dict[str, Any], ms: int) -> None:
    refused = refusal(httpx.Response(429, headers=headers), json.dumps({"error": error}))
    assert refused.data == {"retryAfterMs": ms}


def test_a_stream_is_put_together() -> None:
    call = {"index": 0, "id": "c", "function": {"name": "f", "arguments": '{"a"'}}
    chunks: list[dict[str, Any]] = [
        {"model": "m", "choices": [{"delta": {"content": "Hel"}}]},
        {"choices": [{"delta": {"content": "lo"}}]},
        {"choices": [{"delta": {"tool_calls": [call]}}]},
        {"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"arguments": ": 1}"}}]}}]},
        {"choices": [{"delta": {}, "finish_reason": "tool_calls"}]},
        {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}},
    ]
    lines = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
    streamed = StreamedAnswer()
    shown: list[str] = []
    for event in parse_events_sync(iter(lines.split("\n"))):
        streamed.feed(event.data, shown.append)
    completion = completion_of(streamed.answer(), {"model": "asked"})
    assert shown == ["Hel", "lo"]
    assert completion["message"].get("tool_calls") == [
        {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    ]
    assert (completion["message"]["content"], completion["finishReason"]) == ("Hello", "tool_calls")
    assert (completion["model"], completion.get("inputTokens"), completion.get("outputTokens")) == ("m", 3, 4)


def test_a_stream_cut_short_is_malformed() -> None:
    streamed = StreamedAnswer()
    streamed.feed('{"choices": [{"delta": {"content": "Hel"}}]}', lambda _: None)
    with pytest.raises(OmiumError) as refused:
        streamed.answer()
    assert (refused.value.code, refused.value.retryable) == ("model_malformed", True)


def test_a_stream_passes_on_the_code_of_the_gateway() -> None:
    with pytest.raises(OmiumError) as refused:
        StreamedAnswer().feed('{"error": {"message": "x", "code": "model_rate_limited"}}', lambda _: None)
    assert refused.value.code == "model_rate_limited"


def test_what_the_endpoint_says_about_cost_counts_before_the_table() -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 2, "omium_cost_micro_credits": 0}
    answer: dict[str, Any] = {"model": "m", "choices": [{"message": {"content": "x"}}], "usage": usage}
    table = PriceTable("t", {"m": Price(1, 2)})
    assert usage_of(table, completion_of(answer, {"model": "m"})).get("costMicroCredits") == 0


def test_prices_are_exact_and_rounded_up() -> None:
    table = PriceTable("t", {"m": Price(0.1, 0.2), "m-large": Price(1, 2)})
    message: Any = {"role": "assistant", "content": ""}

    def answer(**members: Any) -> Any:
        return {"message": message, "finishReason": "stop", **members}

    small = usage_of(table, answer(model="org/m-1", inputTokens=10, outputTokens=10))
    assert small.get("costMicroCredits") == 3
    large = usage_of(table, answer(model="m-large-2", inputTokens=1, outputTokens=1))
    assert large.get("costMicroCredits") == 3
    assert "costMicroCredits" not in usage_of(table, answer(model="other"))
    assert worst_case_micro_credits(table, {"model": "m-large", "max_tokens": 10, "messages": []}) > 20

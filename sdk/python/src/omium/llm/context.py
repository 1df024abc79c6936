"""`ctx.llm`: recorded model calls, and the loop over a model's tool calls."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from ..agent import Schema
from ..context import Key, ask_step, refuse_inside_step
from ..durations import Duration
from ..errors import OmiumError
from ..json import JsonValue, dumps, plain_json
from ..policy import Retry, RetryPolicy, default_step_retry
from ..replay.paths import PathScope
from ..replay.step_call import StepInfo, TryAgain
from .model import ChatMessage, ChatRequest, ChatResult, Tool, ToolLoopResult, Usage, tool_call_arguments
from .overrides import overridden
from .prices import usage_of, worst_case_micro_credits

if TYPE_CHECKING:
    from ..replay.run import Run

LLM_RETRY: RetryPolicy = {**default_step_retry, "maxAttempts": 5, "initialDelayMs": 500}
"""Providers' rate limits and hiccups last longer than those of most steps."""

_FATAL = ("step_outcome_unknown", "budget_exceeded", "output_invalid", "replay_mismatch", "replay_miss")
"""Errors that a model can do nothing about: they end the loop instead of being told to it."""

Stream = bool | Callable[[str], None]


class LlmContext:
    """Model calls of one run."""

    def __init__(self, run: Run, scope: PathScope) -> None:
        self._run = run
        self._scope = scope

    async def chat(
        self,
        *,
        model: str,
        messages: Sequence[ChatMessage],
        key: Key = None,
        stream: Stream = False,
        retry: Retry | bool | None = None,
        timeout: Duration | None = None,
        **parameters: Any,
    ) -> ChatResult:
        """One recorded completion of an OpenAI-compatible model; other parameters are passed on as they are.

        `stream`: True shows tokens to whoever watches the run, a function gets them besides; they are not recorded.
        Raises OmiumError of the `model_*` codes, `budget_exceeded`.
        """
        request = {"model": model, "messages": list(messages), **parameters}
        return await self._chat_in(self._scope, request, key, stream, retry, timeout)

    async def run(
        self,
        *,
        model: str,
        messages: Sequence[ChatMessage],
        tools: Sequence[Tool],
        max_turns: int = 10,
        key: Key = None,
        stream: Stream = False,
        **parameters: Any,
    ) -> ToolLoopResult:
        """Calls the model and the tools that it asks for (those of one answer in parallel), until it answers.

        Every completion and every tool call is recorded; what goes wrong in a tool is told to the model.
        Raises OmiumError `step_failed` after `max_turns` completions without a final answer.
        """
        refuse_inside_step("llm.run")
        within = self._scope.below(self._scope.next("tools", key))
        by_name = {tool.name: (tool, Schema[Any](tool.input, f'tool "{tool.name}"')) for tool in tools}
        described = [_describe(tool, schema) for tool, schema in by_name.values()]
        conversation: list[ChatMessage] = [*messages]
        usage: Usage = {}
        for turn in range(1, max_turns + 1):
            request: ChatRequest = {**parameters, "model": model, "messages": [*conversation]}
            if described:
                request["tools"] = described
            result = await self._chat_in(within, request, None, stream, None, None)
            usage = _add_usage(usage, result["usage"])
            conversation.append(cast(ChatMessage, result["message"]))
            calls = result["message"].get("tool_calls") or []
            if not calls:
                return {"content": result["content"], "messages": conversation, "turns": turn, "usage": usage}
            answers = await asyncio.gather(*(self._answer(call, by_name, within) for call in calls))
            for call, answer in zip(calls, answers, strict=True):
                conversation.append({"role": "tool", "tool_call_id": call.get("id"), "content": answer})
        raise OmiumError(
            "step_failed",
            f"{model} still calls tools after {max_turns} turns; raise max_turns or change the prompt",
            retryable=False,
        )

    async def _chat_in(
        self,
        within: PathScope,
        request: ChatRequest,
        key: Key,
        stream: Stream,
        retry: Retry | bool | None,
        timeout: Duration | None,
    ) -> ChatResult:
        refuse_inside_step("llm.chat")
        run = self._run
        llm = run.port.llm
        path = within.next("chat", key)
        # a copy: user code may go on building its list of messages while this request waits or is tried again
        recorded = plain_json(request, "the request to the model")
        asked = cast(ChatRequest, recorded)

        async def complete(info: StepInfo) -> ChatResult:
            def show(text: str) -> None:
                info.show(text)
                if callable(stream) and not info.cancelled:
                    stream(text)

            completion = await llm.complete(overridden(asked, run.overrides), show if stream else None)
            usage = usage_of(llm.prices, completion)
            info.report_usage(usage)
            message = completion["message"]
            return {
                "message": message,
                "content": message["content"] or "",
                "finishReason": completion["finishReason"],
                "usage": usage,
            }

        under_budget = run.budget_micro_credits is not None
        result = await ask_step(
            run,
            path,
            "chat",
            complete,
            kind="llm",
            input=recorded,
            retry=retry,
            base_retry=LLM_RETRY,
            timeout=timeout,
            # a completion lost with its worker may have cost money, but has no effect to protect: it is asked for again
            reserve_micro_credits=worst_case_micro_credits(llm.prices, overridden(asked, run.overrides))
            if under_budget
            else None,
            reconcile=(lambda _: TryAgain()) if under_budget else None,
        )
        return cast(ChatResult, result)

    async def _answer(
        self, call: dict[str, Any], by_name: dict[str, tuple[Tool, Schema[Any]]], within: PathScope
    ) -> str:
        _, name, text = tool_call_arguments(call)
        found = by_name.get(name)
        if found is None:
            return f'error: there is no tool "{name}"; there are: {", ".join(by_name)}'
        tool, schema = found
        try:
            given: JsonValue = json.loads(str(text))
        except ValueError:
            return "error: the arguments are not valid JSON"
        try:
            parsed = schema.parse(given, "the arguments")
        except OmiumError as error:
            return f"error: {error}"
        try:
            output = await ask_step(
                self._run,
                within.next(name),
                name,
                # a partial keeps the rest of the signature, and whether the function is async
                partial(tool.execute, parsed),
                kind="tool",
                input=plain_json(given, f'the input of tool "{name}"'),
                retry=tool.retry,
                timeout=tool.timeout,
                effect=tool.effect,
            )
        except OmiumError as error:
            if error.code in _FATAL:
                raise
            return f"error: {error}"
        return output if isinstance(output, str) else dumps(output)


def _describe(tool: Tool, schema: Schema[Any]) -> dict[str, JsonValue]:
    function: dict[str, JsonValue] = {"name": tool.name, "parameters": schema.json_schema()}
    if tool.description is not None:
        function["description"] = tool.description
    return {"type": "function", "function": function}


def _add_usage(total: Usage, more: Usage) -> Usage:
    summed = total.copy()
    if "model" in more:
        summed["model"] = more["model"]
    if "inputTokens" in more:
        summed["inputTokens"] = total.get("inputTokens", 0) + more["inputTokens"]
    if "outputTokens" in more:
        summed["outputTokens"] = total.get("outputTokens", 0) + more["outputTokens"]
    if "costMicroCredits" in more:
        summed["costMicroCredits"] = total.get("costMicroCredits", 0) + more["costMicroCredits"]
    return summed

"""A fresh team for each attempt, whose every call of a model, a tool or an executor is recorded.

What talks OpenAI's API over httpx is recorded there (adapters/model_calls.py), and tools where AutoGen calls them
(patches.py). Here stand recorders around the rest: clients of other providers, workbenches, executors of code.
"""

# the framework's own types are partly unknown, and what is replaced in it is private
# pyright: basic, reportPrivateUsage=false

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from typing import Any, cast

from autogen_agentchat.agents import BaseChatAgent, CodeExecutorAgent
from autogen_agentchat.teams import BaseGroupChat
from autogen_agentchat.tools import AgentTool, TeamTool
from autogen_core import SingleThreadedAgentRuntime
from autogen_core.code_executor import CodeExecutor, CodeResult
from autogen_core.models import ChatCompletionClient, CreateResult
from autogen_core.tools import BaseTool, BaseToolWithState, StaticWorkbench, ToolResult, Workbench

from ...errors import OmiumError
from ...json import plain_json
from ...llm.context import LLM_RETRY
from ...llm.model import Completion
from ...llm.prices import usage_of, worst_case_micro_credits
from ...replay.step_call import StepInfo, TryAgain
from ..copies import fresh_copy, parts_of
from ..journal import current_run, record_call
from ..tools import effect_of, record_tool
from .names import name_of

# agents whose calls go neither to a model directly nor through tools
_ELSEWHERE = ("autogen_ext.agents.azure", "autogen_ext.agents.openai._openai_assistant_agent")


def fresh_team(team: Any, what: str) -> Any:
    """A copy of a team as its user made it. Raises OmiumError `settings_invalid`."""
    return fresh_copy(team, lambda held: held if _is_outside(held) else _new_runtime(held), what)


def members_of(team: Any) -> Iterator[Any]:
    """The team and all agents and teams in it."""
    return (one for one in parts_of(team, _is_outside) if isinstance(one, (BaseChatAgent, BaseGroupChat)))


def _is_outside(held: object) -> bool:
    """What all copies share: what talks to the outside, and tools, which are code of the user."""
    if isinstance(held, (ChatCompletionClient, CodeExecutor, _Around)):
        return True
    if isinstance(held, BaseTool):
        return not isinstance(held, (BaseToolWithState, AgentTool, TeamTool))
    return isinstance(held, Workbench) and not isinstance(held, StaticWorkbench)


def _new_runtime(held: object) -> object:
    if not isinstance(held, SingleThreadedAgentRuntime):
        return None
    return SingleThreadedAgentRuntime(
        intervention_handlers=held._intervention_handlers, ignore_unhandled_exceptions=False
    )


def recording(team: Any, what: str) -> Any:
    """Puts recorders around what is not recorded elsewhere, and the team on a runtime of its own, not run before.

    Raises OmiumError `settings_invalid` when it makes calls that cannot be recorded, which were made again after a crash.
    """
    around: dict[int, Any] = {}

    def recorder(kind: type[_Around], inner: Any) -> Any:
        return around.setdefault(id(inner), kind(inner))

    for one in list(members_of(team)):
        if type(one).__module__.startswith(_ELSEWHERE):
            raise OmiumError(
                "settings_invalid",
                f"{what} has a {type(one).__name__}, whose conversation is kept by a service elsewhere: use an AssistantAgent",
            )
        if isinstance(one, BaseGroupChat):
            one._embedded_runtime = True
            if one._initialized or not isinstance(one._runtime, SingleThreadedAgentRuntime):
                one._initialized = False
                one._is_running = False
                one._runtime = SingleThreadedAgentRuntime(ignore_unhandled_exceptions=False)
        elif isinstance(one, CodeExecutorAgent):
            one._code_executor = recorder(_RecordedExecutor, one._code_executor)
        for name, value in list(vars(one).items()):
            if isinstance(value, ChatCompletionClient):
                client = _uncached(value)
                setattr(one, name, client if _speaks_openai(client) else recorder(_RecordedClient, client))
            elif name == "_workbench":
                setattr(one, name, [_bench(bench, recorder) for bench in cast("Sequence[Any]", value)])
    return team


def _bench(bench: Any, recorder: Any) -> Any:
    return bench if isinstance(bench, StaticWorkbench) else recorder(_RecordedWorkbench, bench)


def _speaks_openai(client: ChatCompletionClient) -> bool:
    return any(kind.__module__.startswith("autogen_ext.models.openai") for kind in type(client).__mro__)


def _uncached(client: ChatCompletionClient) -> ChatCompletionClient:
    """An answer that comes from a cache of this process would be missing in the journal of another; the journal is a cache."""
    while type(client).__module__.startswith("autogen_ext.models.cache"):
        client = cast("Any", client).client
    return client


class _Around:
    """Something of the framework, of which some calls are recorded."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class _RecordedClient(_Around):
    """A client of another provider's API. Streams are recorded as a whole, and given out at their end."""

    async def create(self, messages: Sequence[Any], **options: Any) -> CreateResult:
        return await self._record(messages, options, lambda: self._inner.create(messages, **options))

    async def create_stream(self, messages: Sequence[Any], **options: Any) -> AsyncGenerator[CreateResult, None]:
        async def whole() -> CreateResult:
            result = None
            async for part in self._inner.create_stream(messages, **options):
                result = part
            return cast(CreateResult, result)

        yield await self._record(messages, options, whole)

    async def _record(self, messages: Sequence[Any], options: Mapping[str, Any], ask: Any) -> CreateResult:
        run = current_run()
        if run is None:
            return cast(CreateResult, await ask())
        model = str(getattr(self._inner, "model", None) or type(self._inner).__name__)
        asked = {key: _written(value) for key, value in options.items() if key != "cancellation_token"}
        body = plain_json({"model": model, "messages": [_written(one) for one in messages], **asked}, "the request")
        prices = run.port.llm.prices

        async def call(info: StepInfo) -> Any:
            result = cast(CreateResult, await ask())
            completion: Completion = {
                "message": {"role": "assistant", "content": None},
                "finishReason": "stop",
                "model": model,
                "inputTokens": result.usage.prompt_tokens,
                "outputTokens": result.usage.completion_tokens,
            }
            info.report_usage(usage_of(prices, completion))
            return result.model_dump(mode="json")

        under_budget = run.budget_micro_credits is not None
        recorded = await record_call(
            run,
            "create",
            name_of(model),
            body,
            call,
            kind="llm",
            base_retry=LLM_RETRY,
            reserve_micro_credits=worst_case_micro_credits(prices, cast(Any, body)) if under_budget else None,
            reconcile=(lambda _: TryAgain()) if under_budget else None,
        )
        return CreateResult.model_validate(recorded)


def _written(value: Any) -> Any:
    """Part of a request, as JSON: messages, tools, types of output."""
    if isinstance(value, type):
        return cast("Any", value).model_json_schema() if hasattr(value, "model_json_schema") else value.__name__
    if isinstance(value, (list, tuple)):
        return [_written(one) for one in cast("Sequence[Any]", value)]
    if isinstance(value, BaseTool):
        return value.schema
    return value


class _RecordedWorkbench(_Around):
    """Tools that live elsewhere. What it offers is recorded once in each run: what a server offers may change."""

    _offered: list[Any] | None = None

    async def list_tools(self) -> list[Any]:
        if self._offered is None:
            name = f"{type(self._inner).__name__} tools"
            self._offered = cast("list[Any]", await record_tool(name, None, self._inner.list_tools))
        return self._offered

    async def call_tool(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        cancellation_token: Any = None,
        call_id: str | None = None,
    ) -> ToolResult:
        async def call() -> Any:
            return await self._inner.call_tool(name, arguments, cancellation_token, call_id)

        given = dict(arguments or {})
        recorded = await record_tool(name, given, call, effect=effect_of(self._inner), returns=ToolResult)
        return cast(ToolResult, recorded)


class _RecordedExecutor(_Around):
    """Runs code that a model wrote."""

    async def execute_code_blocks(self, code_blocks: Sequence[Any], cancellation_token: Any) -> CodeResult:
        async def call() -> Any:
            return await self._inner.execute_code_blocks(code_blocks, cancellation_token)

        given = [{"language": block.language, "code": block.code} for block in code_blocks]
        recorded = await record_tool("execute_code", given, call, effect=effect_of(self._inner), returns=CodeResult)
        return cast(CodeResult, recorded)

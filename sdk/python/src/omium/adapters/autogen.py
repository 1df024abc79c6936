"""AutoGen: any agent or team of autogen-agentchat, unchanged, as a durable agent.

1. Model calls and tool calls are journaled one by one. The team starts anew in every attempt, as a copy of what its user
   made, and is carried by the journal to where it was.
2. A tool with `omium:effect` among its `tags` records its intent first, see tools.py. Code that an agent executes and calls
   of a workbench are recorded as tools are.
3. `UserProxyAgent`, and a handoff to somebody who is no participant, ask a person: they wait for the signal `resume`, whose
   payload is the answer. A `UserProxyAgent` with `omium:approval` among its `tags` asks for an approval instead.
4. Nothing but an `Exception` is raised through AutoGen: its runtime hangs on others.
"""

# the framework's own types are partly unknown, and what is replaced in it is private
# pyright: basic, reportPrivateUsage=false

from __future__ import annotations

import os
import re
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextvars import ContextVar
from functools import wraps
from typing import Any, cast

os.environ.setdefault("AUTOGEN_DISABLE_RUNTIME_TRACING", "true")

from autogen_agentchat.agents import BaseChatAgent, CodeExecutorAgent, UserProxyAgent
from autogen_agentchat.base import TaskResult
from autogen_agentchat.messages import BaseChatMessage, HandoffMessage, MessageFactory, TextMessage
from autogen_agentchat.teams import BaseGroupChat
from autogen_agentchat.tools import AgentTool, TeamTool
from autogen_core import MessageHandlerContext, SingleThreadedAgentRuntime
from autogen_core.code_executor import CodeResult
from autogen_core.models import ChatCompletionClient
from autogen_core.tools import BaseStreamTool, BaseTool, BaseToolWithState, StaticWorkbench, ToolResult, Workbench
from pydantic import ValidationError

from ..agent import Agent
from ..context import Context
from ..errors import OmiumError
from ..json import JsonValue
from . import model_calls
from .copies import fresh_copy, parts_of
from .journal import current_run, hush
from .people import APPROVAL_TAG, People, people
from .tools import effect_of, record_tool, tagged

# an agent may do I/O or compute for a while before it makes its next call
_MISMATCH_GRACE_MS = 10_000

_TEAM_ID = re.compile(r"_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")

_originals: dict[str, Any] = {}
_alone: ContextVar[str | None] = ContextVar("omium_autogen_agent", default=None)


def is_ours(kind: type) -> bool:
    """Whether objects of that class can be run."""
    return issubclass(kind, (BaseChatAgent, BaseGroupChat))


def durable(team: Any, *, id: str, description: str | None = None) -> Agent[Any, Any]:
    """The durable agent that runs this agent or team, or what this function without parameters makes.

    Its input is a task: a text, a message (`{"source", "content"}`), or a list of those; also as `{"task": ...}`. Its output
    has the `messages`, the `answer` (the last text) and the `stop_reason`.
    Raises OmiumError `settings_invalid` when it is neither, or cannot be copied for each of its runs.
    """
    what = f'agent "{id}"'
    if not is_ours(type(team)):
        if not callable(team):
            raise OmiumError("settings_invalid", f"{what} is no agent or team of AutoGen: {type(team).__name__}")
        make = cast("Callable[[], Any]", team)
    else:

        def make() -> Any:
            return _copy(team, what)

        make()
    model_calls.install(_name_of)
    _install()

    async def run(given: JsonValue, ctx: Context) -> Any:
        return await _run(_recording(make()), _task_of(given, what), ctx)

    agent: Agent[Any, Any] = Agent(run, id, None, description, None, None)
    agent.mismatch_grace_ms = _MISMATCH_GRACE_MS
    return agent


async def _run(team: Any, task: Any, ctx: Context) -> dict[str, Any]:
    asked = People(ctx)
    people.set(asked)
    _alone.set(team.name)
    run = current_run()
    participants = {one.name for one in parts_of(team) if isinstance(one, (BaseChatAgent, BaseGroupChat))}
    messages: list[Any] = []
    while True:
        try:
            result: TaskResult = await team.run(task=task)
        except Exception as error:
            cause = model_calls.behind(run, error) if run is not None else error
            raise cause from (error if cause is not error else None)
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


def _name_of(model: str) -> str:
    """`researcher: gpt-4o`, where the agent is known."""
    try:
        agent = _TEAM_ID.sub("", MessageHandlerContext.agent_id().type)
    except RuntimeError:
        agent = _alone.get() or ""
    return f"{agent}: {model}" if agent else model


# ---- a fresh team for each attempt


def _copy(team: Any, what: str) -> Any:
    return fresh_copy(team, _stand, what)


def _stand(held: object) -> object:
    """What is not copied: clients, tools (code of the user), what they hold, and the runtime, which gets a new one."""
    if isinstance(held, SingleThreadedAgentRuntime):
        return SingleThreadedAgentRuntime(
            intervention_handlers=held._intervention_handlers, ignore_unhandled_exceptions=False
        )
    if isinstance(held, ChatCompletionClient):
        return held
    if isinstance(held, BaseTool):
        nested = isinstance(held, (BaseToolWithState, AgentTool, TeamTool))
        return None if nested else held
    if isinstance(held, Workbench) and not isinstance(held, StaticWorkbench):
        return held
    return held if hasattr(held, "execute_code_blocks") else None


def _recording(team: Any) -> Any:
    """Makes what is no plain tool record its calls, and the team run on a runtime of its own."""
    for one in list(parts_of(team)):
        if isinstance(one, BaseGroupChat):
            one._embedded_runtime = True
            if one._initialized:
                # it was run before: its agents are registered in the runtime that it had
                one._initialized = False
                one._is_running = False
                one._runtime = SingleThreadedAgentRuntime(ignore_unhandled_exceptions=False)
        elif isinstance(one, CodeExecutorAgent):
            one._code_executor = cast("Any", _RecordedExecutor(one._code_executor))
        benches = getattr(one, "_workbench", None)
        if isinstance(one, BaseChatAgent) and isinstance(benches, (list, tuple)):
            cast("Any", one)._workbench = [
                bench if isinstance(bench, StaticWorkbench) else _RecordedWorkbench(bench) for bench in benches
            ]
    return team


class _Around:
    """Something of the framework, of which some calls are recorded."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class _RecordedWorkbench(_Around):
    """Tools that live elsewhere. What it offers is recorded once in each run: what a server offers may change."""

    _offered: list[Any] | None = None

    async def list_tools(self) -> list[Any]:
        if self._offered is None:
            name = f"{type(self._inner).__name__} tools"
            self._offered = await record_tool(name, None, self._inner.list_tools)
        return cast("list[Any]", self._offered)

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
        return cast("ToolResult", recorded)


class _RecordedExecutor(_Around):
    """Runs code that a model wrote."""

    async def execute_code_blocks(self, code_blocks: Sequence[Any], cancellation_token: Any) -> CodeResult:
        async def call() -> Any:
            return await self._inner.execute_code_blocks(code_blocks, cancellation_token)

        given = [{"language": block.language, "code": block.code} for block in code_blocks]
        recorded = await record_tool("execute_code", given, call, effect=effect_of(self._inner), returns=CodeResult)
        return cast("CodeResult", recorded)


# ---- tools and people


def _install() -> None:
    if _originals:
        return
    _originals["run_json"] = BaseTool.run_json
    _originals["run_json_stream"] = BaseStreamTool.run_json_stream
    _originals["ask"] = UserProxyAgent.on_messages_stream
    _originals["get_input"] = UserProxyAgent._get_input
    BaseTool.run_json = wraps(_originals["run_json"])(_run_tool)
    BaseStreamTool.run_json_stream = wraps(_originals["run_json_stream"])(_run_stream_tool)
    UserProxyAgent.on_messages_stream = wraps(_originals["ask"])(_on_messages_stream)
    UserProxyAgent._get_input = wraps(_originals["get_input"])(_get_input)
    hush("autogen_core")
    _estimate_tokens()


async def _run_tool(
    self: BaseTool[Any, Any], args: Mapping[str, Any], cancellation_token: Any, call_id: str | None = None
) -> Any:
    async def call() -> Any:
        return await _originals["run_json"](self, args, cancellation_token, call_id)

    # an agent or a team as a tool is code of the run: the calls that it makes are recorded
    if current_run() is None or isinstance(self, (AgentTool, TeamTool)):
        return await call()
    return await _record(self, args, call)


async def _run_stream_tool(
    self: BaseStreamTool[Any, Any, Any],
    args: Mapping[str, Any],
    cancellation_token: Any,
    call_id: str | None = None,
) -> AsyncGenerator[Any, None]:
    stream = _originals["run_json_stream"](self, args, cancellation_token, call_id)
    if current_run() is None or isinstance(self, (AgentTool, TeamTool)):
        async for item in stream:
            yield item
        return

    async def call() -> Any:
        last = None
        async for item in stream:
            last = item
        return last

    # only the end of a stream is recorded, and only that is seen: the same live and on replay
    yield await _record(self, args, call)


async def _record(tool: BaseTool[Any, Any], args: Mapping[str, Any], call: Callable[[], Any]) -> Any:
    effect = effect_of(tool, getattr(tool, "_func", None))
    return await record_tool(tool.name, dict(args), call, effect=effect, returns=tool.return_type())


async def _on_messages_stream(
    self: UserProxyAgent, messages: Sequence[BaseChatMessage], cancellation_token: Any
) -> AsyncGenerator[Any, None]:
    # what the person is shown; the agent is one attempt's own
    cast("Any", self)._omium_said = messages[-1].to_text() if messages else None
    async for item in _originals["ask"](self, messages, cancellation_token):
        yield item


async def _get_input(self: UserProxyAgent, prompt: str, cancellation_token: Any) -> str:
    asked = people.get()
    if asked is None or current_run() is None:
        return cast(str, await _originals["get_input"](self, prompt, cancellation_token))
    question = {"agent": self.name, "prompt": prompt.strip(), "message": getattr(self, "_omium_said", None)}
    if tagged(APPROVAL_TAG, self):
        return await asked.text({"approve": self.description, **question})
    return await asked.text(question)


class _EstimatedTokens:
    """Counts tokens without the files of tiktoken, which it would download; the same on every machine."""

    def encode(self, text: str, **_: Any) -> range:
        return range((len(text.encode()) + 3) // 4)


def _estimate_tokens() -> None:
    try:
        from autogen_ext.models.openai import _openai_client
    except ImportError:
        return

    class Tiktoken:
        @staticmethod
        def encoding_for_model(_: str) -> _EstimatedTokens:
            return _EstimatedTokens()

        @staticmethod
        def get_encoding(_: str) -> _EstimatedTokens:
            return _EstimatedTokens()

    cast("Any", _openai_client).tiktoken = Tiktoken

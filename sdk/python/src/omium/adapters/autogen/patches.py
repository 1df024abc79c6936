"""What is replaced in AutoGen, once for the process: how a tool is called, how a person is asked, how tokens are counted.

Outside of a run's own code everything goes on as it was.
"""

# the framework's own types are partly unknown, and what is replaced in it is private
# pyright: basic, reportPrivateUsage=false

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from functools import wraps
from typing import Any, cast

from autogen_agentchat.agents import UserProxyAgent
from autogen_agentchat.messages import BaseChatMessage
from autogen_agentchat.tools import AgentTool, TeamTool
from autogen_core.tools import BaseStreamTool, BaseTool

from ..journal import current_run, hush, under
from ..people import APPROVAL_TAG, people
from ..tools import effect_of, record_tool, tagged
from .names import inside_tool

_originals: dict[str, Any] = {}


def install() -> None:
    """Does it, the first time."""
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


# ---- tools


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
        agent = self._task_runner.name if isinstance(self, AgentTool) else None
        async for item in under(inside_tool, agent, stream):
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


# ---- people


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


# ---- tokens


class _EstimatedTokens:
    """Counts tokens without the files of tiktoken, which it would download; the same on every machine."""

    def encode(self, text: str, **_: Any) -> range:
        return range((len(text.encode()) + 3) // 4)


class _Tiktoken:
    @staticmethod
    def encoding_for_model(_: str) -> _EstimatedTokens:
        return _EstimatedTokens()

    @staticmethod
    def get_encoding(_: str) -> _EstimatedTokens:
        return _EstimatedTokens()


def _estimate_tokens() -> None:
    try:
        from autogen_ext.models.openai import _openai_client
    except ImportError:
        return
    cast("Any", _openai_client).tiktoken = _Tiktoken

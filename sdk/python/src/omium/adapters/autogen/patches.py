"""What is replaced in AutoGen, once for the process: how a tool is called, how a person is asked, how tokens are counted.

Outside of a run's own code everything goes on as it was.
"""

# the framework's own types are partly unknown, and what is replaced in it is private
# pyright: basic, reportPrivateUsage=false

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextvars import ContextVar
from functools import wraps
from typing import Any, cast

from autogen_agentchat.agents import UserProxyAgent
from autogen_agentchat.messages import BaseChatMessage
from autogen_agentchat.teams import BaseGroupChat
from autogen_agentchat.teams._group_chat._base_group_chat_manager import BaseGroupChatManager
from autogen_agentchat.teams._group_chat._magentic_one._magentic_one_orchestrator import MagenticOneOrchestrator
from autogen_agentchat.tools import AgentTool, TeamTool
from autogen_core.tools import BaseStreamTool, BaseTool

from ...replay.run import Run
from ..journal import current_run, hush, under
from ..native_state import keep_state
from ..people import APPROVAL_TAG, people
from ..tools import effect_of, record_tool, tagged
from .names import inside_tool

_originals: dict[str, Any] = {}

running: ContextVar[Running | None] = ContextVar("omium_autogen_running", default=None)
"""The team of the current run."""


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
    BaseGroupChatManager._transition_to_next_speakers = _between_turns(
        BaseGroupChatManager._transition_to_next_speakers, lambda manager: manager._current_turn
    )
    MagenticOneOrchestrator._orchestrate_step = _between_turns(
        MagenticOneOrchestrator._orchestrate_step, lambda manager: manager._n_rounds
    )
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


# ---- state


class Running:
    """A run's team, whose state is kept between its turns: then nobody speaks."""

    def __init__(self, run: Run, team: Any) -> None:
        self._run = run
        self._team = team
        self._turns = 0

    def is_manager(self, manager: BaseGroupChatManager) -> bool:
        """Whether the turns that this manager gives are those of the team itself, not of one inside of it."""
        team = self._team
        return isinstance(team, BaseGroupChat) and manager._output_topic_type == team._output_topic_type

    async def keep(self, label: str) -> None:
        """The state as it is now."""
        self._turns += 1
        if self._run.replaying:
            return
        try:
            state = await self._team.save_state()
        except Exception as error:
            self._run.port.log.warning("the team of run %s gave no state: %s", self._run.execution_id, error)
            return
        keep_state(self._run, "autogen", f"turn-{self._turns}", lambda: state, label=label)


def _between_turns(original: Callable[..., Any], turns_of: Callable[[Any], int]) -> Callable[..., Any]:
    """Where a manager gives the next turn."""

    @wraps(original)
    async def go_on(self: BaseGroupChatManager, cancellation_token: Any) -> None:
        team = running.get()
        turns = turns_of(self)
        # nobody has spoken yet when the first speaker is chosen
        if team is not None and current_run() is not None and team.is_manager(self) and turns > 0:
            await team.keep(f"after turn {turns}")
        await original(self, cancellation_token)

    return go_on


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

"""Runs whatever of Semantic Kernel can be run, afresh in each attempt."""

# the framework's own types are partly unknown, and what is replaced in it is private
# pyright: basic, reportPrivateUsage=false

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, cast

from semantic_kernel import Kernel
from semantic_kernel.agents import Agent as SkAgent
from semantic_kernel.agents.orchestration.orchestration_base import OrchestrationBase
from semantic_kernel.connectors.ai.chat_completion_client_base import ChatCompletionClientBase
from semantic_kernel.connectors.ai.open_ai.services.open_ai_chat_completion_base import OpenAIChatCompletionBase
from semantic_kernel.connectors.ai.text_completion_client_base import TextCompletionClientBase
from semantic_kernel.contents import ChatMessageContent
from semantic_kernel.processes.kernel_process.kernel_process import KernelProcess
from semantic_kernel.services.ai_service_client_base import AIServiceClientBase

from ...agent import Agent
from ...context import Context
from ...errors import OmiumError
from ...json import JsonValue
from .. import model_calls
from ..copies import fresh_copy
from ..journal import current_run
from .kernels import run_kernel, run_process
from .messages import keep_messages, messages_of, output_of
from .orchestrations import run_orchestration
from .patches import install, name_of

# an agent may do I/O or compute for a while before it makes its next call
_MISMATCH_GRACE_MS = 10_000

# agents whose calls go neither to a model directly nor through the kernel
_ELSEWHERE = tuple(
    f"semantic_kernel.agents.{name}"
    for name in (
        "azure_ai",
        "bedrock",
        "copilot_studio",
        "open_ai.openai_assistant",
        "open_ai.azure_assistant",
        "autogen",
    )
)

_KINDS = (SkAgent, OrchestrationBase, KernelProcess, Kernel)


def is_ours(kind: type) -> bool:
    """Whether objects of that class can be run."""
    return issubclass(kind, _KINDS)


def durable(thing: Any, *, id: str, description: str | None = None, kernel: Kernel | None = None) -> Agent[Any, Any]:
    """The durable agent that runs this agent, orchestration, process or kernel, or what a function without parameters makes.

    Input of an agent or an orchestration: a text, a message (`{"role", "content"}`), or a list of those; output: `messages`
    and the `answer`. Of a process: `{"event", "data"}`, output: the state of its steps. Of a kernel: `{"prompt"}`, or
    `{"function", "plugin", "arguments"}`, where a kernel of one function needs no more than the arguments; output: `answer`.
    `kernel`: for the steps of a process.
    Raises OmiumError `settings_invalid` when it is none of them, or cannot be copied for each of its runs.
    """
    what = f'agent "{id}"'
    if not is_ours(type(thing)):
        if not callable(thing):
            raise OmiumError(
                "settings_invalid", f"{what} is no agent, orchestration, process or kernel: {type(thing).__name__}"
            )
        make = cast("Callable[[], Any]", thing)
    else:

        def make() -> Any:
            return _fresh(thing, what)

        _recorded(make(), what)
    model_calls.install(name_of)
    install()

    async def run(given: JsonValue, ctx: Context) -> Any:
        current = current_run()
        try:
            return await _run(_recorded(make(), what), given, ctx, kernel, what)
        except OmiumError:
            raise
        except Exception as error:
            cause = model_calls.behind(current, error) if current is not None else error
            raise cause from (error if cause is not error else None)

    agent: Agent[Any, Any] = Agent(run, id, None, description, None, None)
    agent.mismatch_grace_ms = _MISMATCH_GRACE_MS
    return agent


async def _run(thing: Any, given: JsonValue, ctx: Context, kernel: Kernel | None, what: str) -> Any:
    if isinstance(thing, SkAgent):
        return await _run_agent(thing, messages_of(given, what))
    if isinstance(thing, OrchestrationBase):
        return await run_orchestration(cast("OrchestrationBase[Any, Any]", thing), messages_of(given, what), ctx)
    if isinstance(thing, KernelProcess):
        return await run_process(thing, given, kernel.clone() if kernel is not None else Kernel(), what)
    return await run_kernel(cast(Kernel, thing), given, what)


async def _run_agent(agent: SkAgent, messages: list[ChatMessageContent]) -> dict[str, Any]:
    said: list[ChatMessageContent] = []

    async def note(message: ChatMessageContent) -> None:
        said.append(message)
        keep_messages([*messages, *said], len(said))

    async for item in agent.invoke(messages=cast("Any", messages), on_intermediate_message=note):
        await note(item.message)
    return output_of(messages + said, said[-1] if said else None)


def _fresh(thing: Any, what: str) -> Any:
    """Agents and kernels keep no conversation in themselves; managers of orchestrations, and steps of processes, do."""
    if isinstance(thing, KernelProcess):
        return fresh_copy(thing, _stand, what)
    if not isinstance(thing, OrchestrationBase):
        return thing
    fresh = copy.copy(cast("Any", thing))
    for name, value in vars(fresh).items():
        if inspect.ismethod(value) and value.__self__ is thing:
            setattr(fresh, name, partial(value.__func__, fresh))
    if hasattr(fresh, "_manager"):
        fresh._manager = fresh_copy(fresh._manager, _stand, what)
    return fresh


def _stand(held: object) -> object:
    return held if isinstance(held, (AIServiceClientBase, Kernel, SkAgent)) else None


def _recorded(thing: Any, what: str) -> Any:
    """The thing itself. Raises OmiumError when it makes calls that nobody records, which were made again after a crash."""
    for one in _services_of(thing):
        talks = isinstance(one, (ChatCompletionClientBase, TextCompletionClientBase))
        if talks and not isinstance(one, OpenAIChatCompletionBase):
            raise OmiumError(
                "settings_invalid",
                f"{what} has a {type(one).__name__}, whose calls cannot be recorded: use OpenAIChatCompletion or "
                "AzureChatCompletion with an endpoint that speaks OpenAI's API",
            )
    for one in _members_of(thing):
        module = type(one).__module__
        if module.startswith(_ELSEWHERE):
            raise OmiumError(
                "settings_invalid",
                f"{what} has a {type(one).__name__}, whose conversation is kept by a service elsewhere: use a "
                "ChatCompletionAgent",
            )
    return thing


def _members_of(thing: Any) -> list[Any]:
    if isinstance(thing, SkAgent):
        return [thing]
    return list(thing._members) if isinstance(thing, OrchestrationBase) else []


def _services_of(thing: Any) -> Iterator[Any]:
    if isinstance(thing, Kernel):
        yield from thing.services.values()
    for member in _members_of(thing):
        yield from member.kernel.services.values()
        yield getattr(member, "service", None)
    yield getattr(getattr(thing, "_manager", None), "chat_completion_service", None)

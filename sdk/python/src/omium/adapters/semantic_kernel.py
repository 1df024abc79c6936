"""Semantic Kernel: agents, orchestrations, processes and kernels, unchanged, as durable agents.

1. Model calls and calls of kernel functions are journaled one by one. What runs starts anew in every attempt, with a thread
   and a runtime of its own, and is carried by the journal to where it was.
2. A kernel function made of a method is a tool, recorded as a leaf; `omium:effect` among the method's `tags` records its
   intent first, see tools.py. Those that only lead on are code and not recorded: steps of a process, agents used as
   functions, handoffs, and methods that are given the kernel (unless they are tagged).
3. Where an orchestration asks a person (`human_response_function`), the run waits for the signal `resume`, whose payload is
   the answer; or for an approval, when that function has `omium:approval` among its `tags`. The function is not called.
4. A step of a process that fails, with nobody listening to its error, fails the run.
"""

# the framework's own types are partly unknown, and what is replaced in it is private
# pyright: basic, reportPrivateUsage=false

from __future__ import annotations

import copy
import inspect
import os
from collections.abc import AsyncGenerator, Callable
from contextvars import ContextVar
from functools import partial, wraps
from typing import Any, cast

os.environ.setdefault("AZURE_TELEMETRY_DISABLED", "true")

from semantic_kernel import Kernel
from semantic_kernel.agents import Agent as SkAgent
from semantic_kernel.agents import ChatCompletionAgent
from semantic_kernel.agents.orchestration.handoffs import HANDOFF_PLUGIN_NAME
from semantic_kernel.agents.orchestration.orchestration_base import OrchestrationBase
from semantic_kernel.agents.runtime import InProcessRuntime
from semantic_kernel.contents import ChatMessageContent
from semantic_kernel.contents.utils.author_role import AuthorRole
from semantic_kernel.filters import FilterTypes
from semantic_kernel.functions import FunctionResult, KernelArguments, KernelFunctionFromMethod
from semantic_kernel.processes.kernel_process.kernel_process import KernelProcess
from semantic_kernel.processes.kernel_process.kernel_process_step import KernelProcessStep
from semantic_kernel.processes.local_runtime.local_kernel_process import start
from semantic_kernel.services.ai_service_client_base import AIServiceClientBase

from ..agent import Agent
from ..context import Context
from ..errors import OmiumError
from ..json import JsonValue
from . import model_calls
from .copies import fresh_copy
from .journal import current_run, hush
from .people import APPROVAL_TAG, People
from .tools import EFFECT_TAG, effect_of, record_tool, tagged

# an agent may do I/O or compute for a while before it makes its next call
_MISMATCH_GRACE_MS = 10_000

_LEADING = ("kernel", "service", "execution_settings", "arguments")

_originals: dict[str, Any] = {}
_speaking: ContextVar[str | None] = ContextVar("omium_semantic_kernel_agent", default=None)

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

        make()
    model_calls.install(_name_of)
    _install()

    async def run(given: JsonValue, ctx: Context) -> Any:
        current = current_run()
        try:
            return await _run(make(), given, ctx, kernel, what)
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
        return await _run_agent(thing, _messages_of(given, what))
    if isinstance(thing, OrchestrationBase):
        return await _run_orchestration(cast("OrchestrationBase[Any, Any]", thing), _messages_of(given, what), ctx)
    if isinstance(thing, KernelProcess):
        return await _run_process(thing, given, kernel.clone() if kernel is not None else Kernel(), what)
    return await _run_kernel(cast(Kernel, thing), given, what)


# ---- agents


async def _run_agent(agent: SkAgent, messages: list[ChatMessageContent]) -> dict[str, Any]:
    said: list[ChatMessageContent] = []

    async def note(message: ChatMessageContent) -> None:
        said.append(message)

    async for item in agent.invoke(messages=cast("Any", messages), on_intermediate_message=note):
        said.append(item.message)
    return _output_of(messages + said, said[-1] if said else None)


def _messages_of(given: JsonValue, what: str) -> list[ChatMessageContent]:
    task = given["task"] if isinstance(given, dict) and "task" in given else given
    try:
        if isinstance(task, str):
            return [ChatMessageContent(role=AuthorRole.USER, content=task)]
        if isinstance(task, dict):
            return [_message_of(task)]
        if isinstance(task, list) and task:
            return [_message_of(cast("dict[str, JsonValue]", one)) for one in task]
    except (ValueError, TypeError, AttributeError, KeyError) as cause:
        raise OmiumError("input_invalid", f"the input of {what} has a message that does not fit: {cause}") from cause
    raise OmiumError("input_invalid", f"the input of {what} is a text, a message, or a list of messages")


def _message_of(given: dict[str, JsonValue]) -> ChatMessageContent:
    content, name = given["content"], given.get("name")
    if not isinstance(content, str) or not (name is None or isinstance(name, str)):
        raise ValueError("content and name are texts")
    return ChatMessageContent(role=AuthorRole(given.get("role", "user")), content=content, name=name)


def _output_of(messages: list[ChatMessageContent], answer: object) -> dict[str, Any]:
    return {"messages": [_plain(message) for message in messages], "answer": _answer_of(answer)}


def _plain(message: ChatMessageContent) -> dict[str, Any]:
    written: dict[str, Any] = {"role": message.role.value, "content": message.content}
    if message.name:
        written["name"] = message.name
    for item in message.items:
        kind = item.content_type
        if kind == "function_call":
            call = cast("Any", item)
            written.setdefault("calls", []).append({"function": call.name, "arguments": call.arguments})
        elif kind == "function_result":
            result = cast("Any", item)
            written.setdefault("results", []).append({"function": result.name, "result": str(result.result)})
    return written


def _answer_of(value: object) -> object:
    if isinstance(value, ChatMessageContent):
        return value.content
    if isinstance(value, list):
        return [_answer_of(one) for one in cast("list[object]", value)]
    return value


def _name_of(model: str) -> str:
    """`researcher: gpt-4o`, where the agent is known."""
    agent = _speaking.get()
    return f"{agent}: {model}" if agent else model


# ---- orchestrations


async def _run_orchestration(
    orchestration: OrchestrationBase[Any, Any], messages: list[ChatMessageContent], ctx: Context
) -> dict[str, Any]:
    said: list[ChatMessageContent] = []
    told = orchestration._agent_response_callback

    async def note(message: Any) -> None:
        said.extend(cast("list[ChatMessageContent]", message) if isinstance(message, list) else [message])
        if told is not None:
            waiting = told(message)
            if inspect.isawaitable(waiting):
                await waiting

    orchestration._agent_response_callback = note
    _ask_people(orchestration, People(ctx))
    runtime = InProcessRuntime()
    runtime.start()
    # some of the patterns take only a single message
    result = await orchestration.invoke(messages[0] if len(messages) == 1 else messages, runtime)
    try:
        value = await result.get()
        return _output_of(messages + said, value)
    finally:
        await runtime.close()


def _ask_people(orchestration: Any, asked: People) -> None:
    def instead_of(function: Callable[..., Any]) -> Callable[..., Any]:
        async def ask(history: Any = None) -> ChatMessageContent:
            question: dict[str, Any] = {"agent": orchestration.name.split("_")[0]}
            if history is not None and history.messages:
                question["message"] = history.messages[-1].content
            if tagged(APPROVAL_TAG, function):
                question["approve"] = (inspect.getdoc(function) or "Approve?").splitlines()[0]
            return ChatMessageContent(role=AuthorRole.USER, content=await asked.text(question))

        return ask

    own = getattr(orchestration, "_human_response_function", None)
    if own is not None:
        orchestration._human_response_function = instead_of(own)
    manager = getattr(orchestration, "_manager", None)
    if getattr(manager, "human_response_function", None) is not None:
        cast("Any", manager).human_response_function = instead_of(cast("Any", manager).human_response_function)


# ---- processes and kernels


async def _run_process(process: KernelProcess, given: JsonValue, kernel: Kernel, what: str) -> dict[str, Any]:
    if not isinstance(given, dict) or not isinstance(given.get("event"), str):
        raise OmiumError("input_invalid", f'the input of {what} is {{"event": ..., "data": ...}}, for a process')
    failed: list[tuple[str, Exception]] = []

    async def watch(context: Any, next: Callable[[Any], Any]) -> None:
        try:
            await next(context)
        except Exception as error:
            failed.append((context.function.name, error))
            raise

    kernel.add_filter(FilterTypes.FUNCTION_INVOCATION, watch)
    running = await start(process, kernel, cast(str, given["event"]), data=given.get("data"))
    heard = _heard_errors(process)
    for function, error in failed:
        if f"{function}.OnError" not in heard:
            raise error
    ended = await running.get_state()
    return {"steps": {step.state.name: _state_of(step.state) for step in ended.steps}}


def _heard_errors(process: KernelProcess) -> set[str]:
    """Names of the events that a step or a process around it listens to."""
    heard: set[str] = set()
    for step in process.steps:
        heard.update(event.rsplit(".", 2)[-2] + ".OnError" for event in step.edges if event.endswith(".OnError"))
        if isinstance(step, KernelProcess):
            heard |= _heard_errors(step)
    return heard


def _state_of(state: Any) -> Any:
    inner: Any = getattr(state, "state", None)
    return inner.model_dump(mode="json") if hasattr(inner, "model_dump") else inner


async def _run_kernel(kernel: Kernel, given: JsonValue, what: str) -> dict[str, Any]:
    functions = [one for plugin in kernel.plugins.values() for one in plugin.functions.values()]
    if isinstance(given, dict) and isinstance(given.get("prompt"), str):
        arguments: dict[str, Any] = {key: value for key, value in given.items() if key != "prompt"}
        result = await kernel.invoke_prompt(cast(str, given["prompt"]), arguments=KernelArguments(**arguments))
        return {"answer": _result_of(result)}
    named = given.get("function") if isinstance(given, dict) else None
    if isinstance(given, dict) and isinstance(named, str):
        plugin = given.get("plugin")
        functions = [one for one in functions if one.name == named and plugin in (None, one.plugin_name)]
        given = given.get("arguments") or {}
    if len(functions) != 1:
        known = ", ".join(one.fully_qualified_name for one in functions) or "none"
        raise OmiumError(
            "input_invalid", f'the input of {what} has to name one "function" (and its "plugin"); fitting are: {known}'
        )
    [function] = functions
    if isinstance(given, str) and len(function.parameters) == 1:
        given = {cast(str, function.parameters[0].name): given}
    if not isinstance(given, dict):
        raise OmiumError("input_invalid", f"the input of {what} has to be the arguments of {function.name}, by name")
    _speaking.set(function.name)
    return {"answer": _result_of(await kernel.invoke(function, KernelArguments(**cast("dict[str, Any]", given))))}


def _result_of(result: FunctionResult | None) -> Any:
    value: Any = None if result is None else result.value
    if isinstance(value, list) and value and isinstance(value[0], ChatMessageContent):
        return "".join(str(one) for one in cast("list[Any]", value))
    return _answer_of(value)


# ---- fresh ones for each attempt


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


# ---- tools


def _install() -> None:
    if _originals:
        return
    _originals["invoke"] = KernelFunctionFromMethod._invoke_internal
    _originals["invoke_stream"] = KernelFunctionFromMethod._invoke_internal_stream
    KernelFunctionFromMethod._invoke_internal = wraps(_originals["invoke"])(_invoke)
    KernelFunctionFromMethod._invoke_internal_stream = wraps(_originals["invoke_stream"])(_invoke_stream)
    hush(
        "semantic_kernel.agents.orchestration.agent_actor_base",
        "semantic_kernel.agents.runtime.in_process.in_process_runtime",
        "in_process_runtime",
    )
    for name in ("_inner_invoke", "invoke_stream"):
        _originals[name] = getattr(ChatCompletionAgent, name)
        setattr(ChatCompletionAgent, name, _naming(_originals[name]))


def _naming(original: Callable[..., AsyncGenerator[Any, None]]) -> Callable[..., AsyncGenerator[Any, None]]:
    """While the agent speaks, its calls have its name; between two items its caller's have not."""

    @wraps(original)
    async def speak(self: ChatCompletionAgent, *args: Any, **options: Any) -> AsyncGenerator[Any, None]:
        items = original(self, *args, **options)
        while True:
            before = _speaking.get()
            _speaking.set(self.name)
            try:
                item = await anext(items)
            except StopAsyncIteration:
                return
            finally:
                _speaking.set(before)
            yield item

    return speak


def _is_tool(function: KernelFunctionFromMethod) -> bool:
    method = function.method
    if tagged(EFFECT_TAG, method):
        return True
    owner = getattr(method, "__self__", None)
    if isinstance(owner, KernelProcessStep) or function.plugin_name == HANDOFF_PLUGIN_NAME:
        return False
    if getattr(method, "__qualname__", "").endswith("._as_kernel_function"):
        return False
    return not any(parameter.name in _LEADING for parameter in function.parameters)


async def _invoke(self: KernelFunctionFromMethod, context: Any) -> None:
    if current_run() is None or not _is_tool(self):
        await _originals["invoke"](self, context)
        return
    arguments = self.gather_function_parameters(context)
    method = self.method

    async def call_async() -> Any:
        result = method(**arguments)
        if inspect.isasyncgen(result):
            return [item async for item in result]
        return _value_of(await result)

    def call() -> Any:
        result = method(**arguments)
        return list(result) if inspect.isgenerator(result) else _value_of(result)

    asynchronous = inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method)
    returned = self.return_parameter
    value = await record_tool(
        self.fully_qualified_name,
        {name: given for name, given in arguments.items() if name not in _LEADING},
        call_async if asynchronous else call,
        effect=effect_of(method),
        returns=returned.type_object if returned is not None else None,
    )
    context.result = FunctionResult(
        function=self.metadata,
        value=value,
        metadata={"arguments": context.arguments, "used_arguments": arguments},
    )


async def _invoke_stream(self: KernelFunctionFromMethod, context: Any) -> None:
    if current_run() is None or not _is_tool(self):
        await _originals["invoke_stream"](self, context)
        return
    # recorded as a whole, and given out at once
    await _invoke(self, context)
    values = context.result.value

    async def given() -> AsyncGenerator[Any, None]:
        for value in cast("list[Any]", values) if isinstance(values, list) else [values]:
            yield value

    context.result = FunctionResult(function=self.metadata, value=given())


def _value_of(result: Any) -> Any:
    return result.value if isinstance(result, FunctionResult) else result

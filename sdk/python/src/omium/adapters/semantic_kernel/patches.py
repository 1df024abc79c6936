"""What is replaced in Semantic Kernel, once for the process: how a function is called, and who is said to speak.

Outside of a run's own code everything goes on as it was.
"""

# the framework's own types are partly unknown, and what is replaced in it is private
# pyright: basic, reportPrivateUsage=false

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextvars import ContextVar
from functools import wraps
from typing import Any, cast

from semantic_kernel.agents import ChatCompletionAgent
from semantic_kernel.agents.orchestration.handoffs import HANDOFF_PLUGIN_NAME
from semantic_kernel.functions import FunctionResult, KernelFunctionFromMethod
from semantic_kernel.processes.kernel_process.kernel_process_step import KernelProcessStep

from ..journal import current_run, hush, under
from ..tools import EFFECT_TAG, effect_of, record_tool, tagged

_LEADING = ("kernel", "service", "execution_settings", "arguments")

_originals: dict[str, Any] = {}

speaking: ContextVar[str | None] = ContextVar("omium_semantic_kernel_agent", default=None)
"""The agent or function whose calls are made."""


def name_of(model: str) -> str:
    """`researcher: gpt-4o`, where the agent is known."""
    agent = speaking.get()
    return f"{agent}: {model}" if agent else model


def install() -> None:
    """Does it, the first time."""
    if _originals:
        return
    _originals["invoke"] = KernelFunctionFromMethod._invoke_internal
    _originals["invoke_stream"] = KernelFunctionFromMethod._invoke_internal_stream
    KernelFunctionFromMethod._invoke_internal = wraps(_originals["invoke"])(_invoke)
    KernelFunctionFromMethod._invoke_internal_stream = wraps(_originals["invoke_stream"])(_invoke_stream)
    hush(
        "semantic_kernel",
        "semantic_kernel.agents.orchestration.agent_actor_base",
        "semantic_kernel.agents.runtime.in_process.in_process_runtime",
        "in_process_runtime",
    )
    for name in ("_inner_invoke", "invoke_stream"):
        _originals[name] = getattr(ChatCompletionAgent, name)
        setattr(ChatCompletionAgent, name, _naming(_originals[name]))


def _naming(original: Callable[..., AsyncIterator[Any]]) -> Callable[..., AsyncIterator[Any]]:
    """While the agent speaks, its calls have its name."""

    @wraps(original)
    async def speak(self: ChatCompletionAgent, *args: Any, **options: Any) -> AsyncIterator[Any]:
        async for item in under(speaking, self.name, original(self, *args, **options)):
            yield item

    return speak


def is_step(function: Any) -> bool:
    """Whether the function is one of a process's step."""
    return isinstance(getattr(getattr(function, "method", None), "__self__", None), KernelProcessStep)


def _is_tool(function: KernelFunctionFromMethod) -> bool:
    method = function.method
    if tagged(EFFECT_TAG, method):
        return True
    if is_step(function) or function.plugin_name == HANDOFF_PLUGIN_NAME:
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

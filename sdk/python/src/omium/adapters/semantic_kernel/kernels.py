"""Processes, and functions of a kernel."""

# the framework's own types are partly unknown, and what is replaced in it is private
# pyright: basic, reportPrivateUsage=false

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from semantic_kernel import Kernel
from semantic_kernel.contents import ChatMessageContent
from semantic_kernel.filters import FilterTypes
from semantic_kernel.functions import FunctionResult, KernelArguments
from semantic_kernel.processes.kernel_process.kernel_process import KernelProcess
from semantic_kernel.processes.local_runtime.local_kernel_process import start

from ...errors import OmiumError
from ...json import JsonValue
from ..journal import current_run
from ..native_state import keep_state
from .messages import answer_of
from .patches import is_step, speaking


async def run_process(process: KernelProcess, given: JsonValue, kernel: Kernel, what: str) -> dict[str, Any]:
    """Starts a process with an event and runs it to its end. Raises OmiumError `input_invalid`."""
    if not isinstance(given, dict) or not isinstance(given.get("event"), str):
        raise OmiumError("input_invalid", f'the input of {what} is {{"event": ..., "data": ...}}, for a process')
    failed: list[tuple[str, Exception]] = []
    reached = _Reached()

    async def watch(context: Any, next: Callable[[Any], Any]) -> None:
        if not is_step(context.function):
            await next(context)
            return
        name = context.function.plugin_name
        speaking.set(name)
        try:
            await next(context)
        except Exception as error:
            failed.append((context.function.name, error))
            raise
        finally:
            speaking.set(None)
        reached.after(context.function)

    kernel.add_filter(FilterTypes.FUNCTION_INVOCATION, watch)
    running = await start(process, kernel, cast(str, given["event"]), data=given.get("data"))
    heard = _heard_errors(process)
    for function, error in failed:
        if f"{function}.OnError" not in heard:
            raise error
    ended = await running.get_state()
    return {"steps": {step.state.name: _state_of(step.state) for step in ended.steps}}


class _Reached:
    """What a process's steps had in their states when each was last called."""

    def __init__(self) -> None:
        self._states: dict[str, Any] = {}
        self._calls = 0

    def after(self, function: Any) -> None:
        """A function of a step has come to its end."""
        self._calls += 1
        state = getattr(function.method.__self__, "state", None)
        # some steps keep the framework's envelope, some what is in it
        self._states[function.plugin_name] = _plain(getattr(state, "state", state))
        run = current_run()
        if run is not None:
            label = f"after {function.plugin_name}.{function.name}"
            keep_state(
                run, "semantic-kernel", f"step-{self._calls}", lambda: {"steps": dict(self._states)}, label=label
            )


def _heard_errors(process: KernelProcess) -> set[str]:
    """Names of the events that a step or a process around it listens to."""
    heard: set[str] = set()
    for step in process.steps:
        heard.update(event.rsplit(".", 2)[-2] + ".OnError" for event in step.edges if event.endswith(".OnError"))
        if isinstance(step, KernelProcess):
            heard |= _heard_errors(step)
    return heard


def _state_of(state: Any) -> Any:
    return _plain(getattr(state, "state", None))


def _plain(inner: Any) -> Any:
    return inner.model_dump(mode="json") if hasattr(inner, "model_dump") else inner


async def run_kernel(kernel: Kernel, given: JsonValue, what: str) -> dict[str, Any]:
    """Runs a prompt, or one function. Raises OmiumError `input_invalid`."""
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
    speaking.set(function.name)
    return {"answer": _result_of(await kernel.invoke(function, KernelArguments(**cast("dict[str, Any]", given))))}


def _result_of(result: FunctionResult | None) -> Any:
    value: Any = None if result is None else result.value
    if isinstance(value, list) and value and isinstance(value[0], ChatMessageContent):
        return "".join(str(one) for one in cast("list[Any]", value))
    return answer_of(value)

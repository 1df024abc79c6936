"""A team as a function of a kernel, which has a ChatCompletionAgent for each task."""

# the framework's own types are partly unknown
# pyright: basic

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, cast

from pydantic_core import PydanticUndefined
from semantic_kernel import Kernel
from semantic_kernel.agents import ChatCompletionAgent
from semantic_kernel.connectors.ai import FunctionChoiceBehavior
from semantic_kernel.connectors.ai.open_ai import OpenAIChatCompletion, OpenAIChatPromptExecutionSettings
from semantic_kernel.functions import KernelArguments, KernelFunctionFromMethod, KernelPlugin, kernel_function

from ..adapters.tools import EFFECT_TAG
from .team import Built, Team
from .tools import BuiltTool

_OF_THE_KERNEL = ("kernel", "service", "execution_settings", "arguments")


def build(team: Team) -> Built:
    """A kernel with the one function `team-run`, that is given the input and gives what each task said."""
    agents = {name: _agent(team, name) for name in team.definition.tasks}

    # a function that is given the kernel is code of the run: recorded are the calls that it makes
    @kernel_function(name="run", description=team.definition.description or "Does the tasks of the team.")
    async def run(given: Any, kernel: Kernel) -> Any:
        async def answer(name: str, said: Mapping[str, str]) -> str:
            prompt = team.prompt_of(team.definition.tasks[name], given, said)
            return str((await agents[name].get_response(prompt)).content)

        try:
            return await team.answers(answer)
        except ExceptionGroup as failed:
            # the adapter looks for what a model refused
            raise failed.exceptions[0]  # noqa: B904 - its own cause is what is looked for

    kernel = Kernel(plugins=[KernelPlugin(name="team", functions=[KernelFunctionFromMethod(run, "team")])])
    return Built(
        kernel, lambda given: {"function": "run", "arguments": {"given": given}}, lambda output: output["answer"]
    )


def _agent(team: Team, name: str) -> ChatCompletionAgent:
    agent = team.definition.agents[team.definition.tasks[name].agent]
    settings = OpenAIChatPromptExecutionSettings(
        # the last answer is asked for without tools
        function_choice_behavior=FunctionChoiceBehavior.Auto(maximum_auto_invoke_attempts=agent.max_turns - 1),
        **team.parameters_of(agent),
    )
    return ChatCompletionAgent(
        service=OpenAIChatCompletion(ai_model_id=team.definition.model_of(agent)),
        name=name,
        instructions=team.system_of(agent),
        arguments=KernelArguments(settings=settings),
        plugins=cast("Any", [KernelPlugin(name="tools", functions=[_tool(one) for one in team.tools_of(agent)])]),
    )


def _tool(built: BuiltTool) -> KernelFunctionFromMethod:
    parameters = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            annotation=field.annotation,
            default=inspect.Parameter.empty if field.default is PydanticUndefined else field.default,
        )
        for name, field in built.input.model_fields.items()
    ]
    for parameter in parameters:
        if parameter.name in _OF_THE_KERNEL:
            raise ValueError(
                f"tool {built.name} takes `{parameter.name}`, which Semantic Kernel gives a meaning of its own"
            )

    def call(**given: Any) -> Any:
        return built.fn(**given)

    async def call_async(**given: Any) -> Any:
        return await built.fn(**given)

    method: Any = call_async if inspect.iscoroutinefunction(built.fn) else call
    method.__signature__ = inspect.Signature(parameters)
    method.tags = [EFFECT_TAG] if built.effect else []
    marked = kernel_function(method, name=built.name, description=built.description)
    return KernelFunctionFromMethod(marked, "tools")

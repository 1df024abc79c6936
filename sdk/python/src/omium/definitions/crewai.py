"""A team as a flow of CrewAI: a method for each task, which has its agent do it as a crew of one."""

# the framework's own types are partly unknown
# pyright: basic

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import Callable
from types import new_class
from typing import Any, cast

from crewai import LLM, Agent, Crew, CrewOutput, Flow, Task
from crewai.flow import and_, listen, start
from crewai.tools import BaseTool

from ..adapters.tools import EFFECT_TAG
from .team import Built, Team, identifiers_of
from .tools import BuiltTool

_EXPECTED = "The answer."


def build(team: Team) -> Built:
    """The flow's class. Its state holds the input (`given`) and what each task said (`said`)."""
    definition = team.definition
    # a method called like one of Flow's own would replace it
    names = {name: f"task_{one}" for name, one in identifiers_of(definition.tasks).items()}
    methods: dict[str, Any] = {}
    for name in definition.in_order:
        before = [methods[names[one]] for one in definition.tasks[name].after]
        begins = start() if not before else listen(before[0] if len(before) == 1 else and_(*before))
        methods[names[name]] = begins(_method(team, name, names[name]))
        _crew(team, name, "checked")
    flow = new_class("Team", (Flow[dict],), exec_body=lambda body: body.update(__module__=__name__, **methods))
    return Built(flow, lambda given: {"given": given, "said": {}}, lambda output: output["state"]["said"])


def _method(team: Team, name: str, called: str) -> Callable[[Any], str]:
    def work(self: Any) -> str:
        # what is expected is the crew's to tell
        task = team.definition.tasks[name].model_copy(update={"expected": None})
        prompt = team.prompt_of(task, self.state["given"], self.state["said"])
        answer = cast(CrewOutput, _crew(team, name, prompt).kickoff()).raw
        self.state["said"][name] = answer
        return answer

    work.__name__ = work.__qualname__ = called
    return work


def _crew(team: Team, name: str, prompt: str) -> Crew:
    task = team.definition.tasks[name]
    agent = team.definition.agents[task.agent]
    member = Agent(
        role=agent.role,
        goal="Do the task that you are given.",
        backstory=agent.instructions or "You know your trade.",
        llm=LLM(
            # recorded is what speaks OpenAI's API
            model=f"openai/{team.definition.model_of(agent)}",
            base_url=os.environ.get("OPENAI_BASE_URL"),
            **team.parameters_of(agent),
        ),
        tools=[_tool(one) for one in team.tools_of(agent)],
        max_iter=agent.max_turns,
        cache=False,
    )
    work = Task(name=name, description=prompt, expected_output=task.expected or _EXPECTED, agent=member)
    return Crew(agents=[member], tasks=[work], cache=False)


class _Tool(BaseTool):
    built: BuiltTool
    tags: list[str]

    def _run(self, **given: Any) -> Any:
        result = self.built.fn(**given)
        return asyncio.run(result) if inspect.iscoroutine(result) else result


def _tool(built: BuiltTool) -> BaseTool:
    return _Tool(
        name=built.name,
        description=built.description,
        args_schema=built.input,
        built=built,
        tags=[EFFECT_TAG] if built.effect else [],
    )

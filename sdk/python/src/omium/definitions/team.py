"""What every way of building a team shares: who is told what."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from ..json import JsonValue, dumps
from .model import AgentPart, Definition, TaskPart, fill
from .tools import BuiltTool


@dataclass(frozen=True, slots=True)
class Team:
    definition: Definition
    tools: Mapping[str, BuiltTool]

    def tools_of(self, agent: AgentPart) -> list[BuiltTool]:
        return [self.tools[name] for name in agent.tools]

    def parameters_of(self, agent: AgentPart) -> dict[str, Any]:
        """Of the agent's model calls, besides the model."""
        given = {"temperature": agent.temperature, "max_tokens": agent.max_tokens}
        return {name: value for name, value in given.items() if value is not None}

    def system_of(self, agent: AgentPart) -> str:
        """What an agent is told that it is."""
        return f"You are {agent.role}." + (f"\n\n{agent.instructions}" if agent.instructions else "")

    def prompt_of(self, task: TaskPart, given: JsonValue, said: Mapping[str, str]) -> str:
        """What a task asks, with the input and the answers of earlier tasks filled in."""
        members = given if isinstance(given, dict) else {}

        def value_of(name: str) -> str:
            if name in said:
                return said[name]
            value = members.get(name) if self.definition.input else given
            return value if isinstance(value, str) else dumps(value)

        prompt = fill(task.prompt, value_of)
        return prompt if task.expected is None else f"{prompt}\n\nA good answer: {task.expected}"

    async def answers(self, answer: Callable[[str, Mapping[str, str]], Awaitable[str]]) -> dict[str, str]:
        """What each task says. `answer` does one, given what those before it said; a task that fails ends the others."""
        said: dict[str, str] = {}
        tasks: dict[str, asyncio.Task[None]] = {}

        async def work(name: str) -> None:
            for before in self.definition.tasks[name].after:
                await tasks[before]
            said[name] = await answer(name, said)

        async with asyncio.TaskGroup() as group:
            for name in self.definition.in_order:
                tasks[name] = group.create_task(work(name))
        return said

    def output_of(self, said: Mapping[str, str]) -> Any:
        """The answer of the last task, or those of several by name."""
        last = self.definition.last_tasks
        return said[last[0]] if len(last) == 1 else {name: said[name] for name in last}


@dataclass(frozen=True, slots=True)
class Built:
    """A team on a framework."""

    made: Any
    """what the framework's adapter runs"""
    given: Callable[[JsonValue], JsonValue]
    """the input of that, for an input of the team"""
    said: Callable[[Any], Mapping[str, str]]
    """what each task said, from the output of that"""


def identifiers_of(names: Collection[str], taken: Collection[str] = ()) -> dict[str, str]:
    """Python identifiers for names of tasks, each as near to its name as it can be, none twice and none that is taken."""
    made: dict[str, str] = {}
    used = {*taken, *(name for name in names if "-" not in name)}
    for name in names:
        wanted = name.replace("-", "_")
        one, number = wanted, 1
        while one in used and (one != name or one in taken):
            number += 1
            one = f"{wanted}_{number}"
        made[name] = one
        used.add(one)
    return made

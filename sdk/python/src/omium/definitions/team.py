"""What every way of building a team shares: who is told what."""

from __future__ import annotations

from collections.abc import Mapping
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

    def output_of(self, said: Mapping[str, str]) -> Any:
        """The answer of the last task, or those of several by name."""
        last = self.definition.last_tasks
        return said[last[0]] if len(last) == 1 else {name: said[name] for name in last}

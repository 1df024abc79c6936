"""What may stand in a definition, and what must hold between its parts.

    omium: 1
    id: research-team
    framework: plain
    model: gpt-4o-mini
    input: {topic: string}
    tools: [calculator, {use: read_file, root: ./corpus}]
    agents:
      reader: {role: Reader, instructions: Read closely., tools: [read_file]}
      writer: {role: Writer}
    tasks:
      read:  {agent: reader, prompt: "What does the corpus say about {topic}?"}
      write: {agent: writer, prompt: "Write about {topic}: {read}", after: [read]}

A task begins once the tasks named in `after` are done; so tasks run in sequence, in parallel, or as any graph without cycles.
`{topic}` is a member of the input, `{read}` what a task before this one said; `{{` is a brace.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .document import Document, Problem

Framework: TypeAlias = Literal["plain", "langgraph", "crewai", "autogen", "semantic_kernel"]
Name: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$")]

_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([^{}]*)\}")
_TYPES: dict[str, Any] = {
    "string": str,
    "integer": int,
    "number": float,
    "boolean": bool,
    "array": list[Any],
    "object": dict[str, Any],
}
TypeName: TypeAlias = Literal["string", "integer", "number", "boolean", "array", "object"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class InputMember(_Part):
    type: TypeName
    description: str | None = None
    default: Any = None
    optional: bool = False


class ToolUse(_Part):
    """A tool of the SDK (`calculator`, `read_file`, `http_get`) or an allowed function (`module:function`)."""

    use: Annotated[str, Field(min_length=1, max_length=200)]
    name: Name | None = None
    description: Annotated[str, Field(max_length=2000)] | None = None
    effect: bool = False
    """it has an effect outside: its intent is recorded before it is called, and it is never blindly called again"""
    root: str | None = None
    """of `read_file`: the folder that it may read, from the definition's own"""
    hosts: list[str] | None = None
    """of `http_get`: the hosts that it may ask"""

    @property
    def known_as(self) -> str:
        return self.name or self.use.rsplit(":", 1)[-1].rsplit(".", 1)[-1]


class AgentPart(_Part):
    role: Annotated[str, Field(min_length=1, max_length=2000)]
    instructions: Annotated[str, Field(max_length=100_000)] = ""
    model: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    tools: list[str] = []
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    max_tokens: Annotated[int, Field(gt=0)] | None = None
    max_turns: Annotated[int, Field(gt=0, le=100)] = 10
    """answers of the model for one task, those that call tools included"""


class TaskPart(_Part):
    agent: str
    prompt: Annotated[str, Field(min_length=1, max_length=100_000)]
    after: list[str] = []
    expected: Annotated[str, Field(max_length=10_000)] | None = None
    """what a good answer is; told to the model"""


class Definition(_Part):
    omium: Literal[1]
    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
    description: Annotated[str, Field(max_length=2000)] | None = None
    framework: Framework = "plain"
    model: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    input: dict[Name, TypeName | InputMember] = {}
    tools: list[str | ToolUse] = []
    agents: Annotated[dict[Name, AgentPart], Field(min_length=1, max_length=100)]
    tasks: Annotated[dict[Name, TaskPart], Field(min_length=1, max_length=500)]
    output: str | None = None
    """the task whose answer is the output; without it the answer of the last task, or of each of several last ones"""
    budget_micro_credits: Annotated[int, Field(ge=0)] | None = None

    @property
    def tool_uses(self) -> list[ToolUse]:
        return [ToolUse(use=tool) if isinstance(tool, str) else tool for tool in self.tools]

    def model_of(self, agent: AgentPart) -> str:
        return agent.model or self.model or ""

    @property
    def last_tasks(self) -> list[str]:
        """Whose answers are the output."""
        if self.output is not None:
            return [self.output]
        followed = {name for task in self.tasks.values() for name in task.after}
        return [name for name in self.tasks if name not in followed]

    @property
    def in_order(self) -> list[str]:
        """Task names, each after those that it follows; the definition has no cycle."""
        ordered: list[str] = []
        left = dict(self.tasks)
        while left:
            for name in [name for name, task in left.items() if all(before not in left for before in task.after)]:
                ordered.append(name)
                del left[name]
        return ordered

    def input_type(self) -> type[BaseModel] | None:
        """What the input is checked against; None when the definition says nothing of it."""
        if not self.input:
            return None
        from pydantic import create_model

        fields: dict[str, Any] = {}
        for name, member in self.input.items():
            given = InputMember(type=member) if isinstance(member, str) else member
            kind = _TYPES[given.type]
            needed = not given.optional and "default" not in given.model_fields_set
            default = ... if needed else given.default
            fields[name] = (kind if needed else kind | None, Field(default, description=given.description))
        return create_model(f"Input of {self.id}", __config__=ConfigDict(extra="forbid"), **fields)


def parse_definition(document: Document) -> Definition:
    """The definition, each part as it must be. Raises OmiumError `settings_invalid` with one line for each problem."""
    try:
        return Definition.model_validate(document.value)
    except ValidationError as invalid:
        problems = [Problem(_place_of(error["loc"]), _expected(error)) for error in invalid.errors()]
        # what is of another version may differ in everything: only that is said
        version = [problem for problem in problems if problem.said.startswith(_OTHER_VERSION)]
        raise document.refuse(version or _without_repetition(problems)) from None


_OTHER_VERSION = "this SDK reads version 1"
"""How the problem of a definition begins that is none of this version."""


def _place_of(loc: tuple[Any, ...]) -> tuple[str | int, ...]:
    # members of a union are told apart by the names of their types, which are no places; so is "[key]"
    parts: list[str | int] = []
    for part in loc:
        if isinstance(part, str) and (
            part in ("str", "ToolUse", "InputMember", "[key]") or part.startswith("literal[")
        ):
            continue
        parts.append(part)
    return tuple(parts)


def _expected(error: Any) -> str:
    said = str(error["msg"])
    if error["type"] == "extra_forbidden":
        return "there is no such member here"
    if error["type"] == "missing":
        return "is missing"
    given = error["input"]
    if error["loc"] == ("omium",):
        return f"{_OTHER_VERSION} of definitions, not {given!r:.100}: install the omium that it was written for"
    shown = repr(given) if isinstance(given, (str, int, float, bool, type(None))) else f"a {type(given).__name__}"
    return f"{said[:1].lower()}{said[1:]}, not {shown[:100]}"


def _without_repetition(problems: list[Problem]) -> list[Problem]:
    # each member of a union complains: the one that looked deepest knows most
    deepest = [
        problem
        for problem in problems
        if not any(
            len(other.place) > len(problem.place) and other.place[: len(problem.place)] == problem.place
            for other in problems
        )
    ]
    first: dict[Any, Problem] = {}
    for problem in deepest:
        first.setdefault(problem.place, problem)
    return list(first.values())


def inconsistencies(definition: Definition) -> Iterator[Problem]:
    """What does not hold between its parts."""
    tools = [tool.known_as for tool in definition.tool_uses]
    for index, name in enumerate(tools):
        if tools.index(name) != index:
            yield Problem(("tools", index), f'another tool is called "{name}": give this one a `name`')
    for name, agent in definition.agents.items():
        if not definition.model_of(agent):
            yield Problem(("agents", name, "model"), "is missing, and the definition names no `model` for all")
        for index, tool in enumerate(agent.tools):
            if tool not in tools:
                yield Problem(("agents", name, "tools", index), _unknown("tool", tool, tools))
    for name in definition.input:
        if name in definition.tasks:
            yield Problem(
                ("tasks", name), "is the name of a member of the input as well: {" + name + "} would be either"
            )
    if definition.output is not None and definition.output not in definition.tasks:
        yield Problem(("output",), _unknown("task", definition.output, definition.tasks))
    for name, task in definition.tasks.items():
        if task.agent not in definition.agents:
            yield Problem(("tasks", name, "agent"), _unknown("agent", task.agent, definition.agents))
        for index, before in enumerate(task.after):
            if before not in definition.tasks:
                yield Problem(("tasks", name, "after", index), _unknown("task", before, definition.tasks))
    cycle = _cycle_in(definition)
    if cycle is not None:
        yield Problem(("tasks", cycle[0], "after"), f"the tasks wait for one another: {' -> '.join(cycle)}")
        return
    for name, task in definition.tasks.items():
        before = _before(definition, name)
        for asked in placeholders(task.prompt):
            if asked in definition.tasks and asked not in before:
                said = f'{{{asked}}} is what task "{asked}" says, which need not be done by then: add it to `after`'
                yield Problem(("tasks", name, "prompt"), said)
            elif (
                asked not in definition.tasks
                and asked not in definition.input
                and (definition.input or asked != "input")
            ):
                known = [*definition.input, *before] or ["input"]
                yield Problem(("tasks", name, "prompt"), _unknown("value", f"{{{asked}}}", known) + "; a brace is {{")


def _unknown(what: str, name: str, known: Any) -> str:
    listed = ", ".join(known)
    return f'there is no {what} "{name}"; there {f"are: {listed}" if listed else "are none"}'


def _cycle_in(definition: Definition) -> list[str] | None:
    done: set[str] = set()

    def visit(name: str, way: list[str]) -> list[str] | None:
        if name in way:
            return [*way[way.index(name) :], name]
        if name in done or name not in definition.tasks:
            return None
        for before in definition.tasks[name].after:
            found = visit(before, [*way, name])
            if found is not None:
                return found
        done.add(name)
        return None

    for name in definition.tasks:
        found = visit(name, [])
        if found is not None:
            return found
    return None


def _before(definition: Definition, name: str) -> set[str]:
    found: set[str] = set()
    following = list(definition.tasks[name].after)
    while following:
        one = following.pop()
        if one not in found and one in definition.tasks:
            found.add(one)
            following.extend(definition.tasks[one].after)
    return found


def placeholders(prompt: str) -> list[str]:
    """Names in braces, in order."""
    return [match.group(1).strip() for match in _PLACEHOLDER.finditer(prompt) if match.group(1) is not None]


def fill(prompt: str, value_of: Callable[[str], str]) -> str:
    """The prompt with its placeholders replaced."""

    def replace(match: re.Match[str]) -> str:
        name = match.group(1)
        return match.group(0)[0] if name is None else value_of(name.strip())

    return _PLACEHOLDER.sub(replace, prompt)

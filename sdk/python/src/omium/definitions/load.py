"""From a file to a durable agent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from ..adapters import agent_of, forbid_telemetry
from ..agent import Agent, AnyAgent, Schema
from ..context import Context
from ..errors import OmiumError
from ..json import JsonValue
from .document import read_document

if TYPE_CHECKING:
    from .model import Framework
    from .team import Built, Team

_SUFFIXES = (".yaml", ".yml", ".json")


def is_definition(target: str) -> bool:
    """Whether a target of `omium worker` is a file with a definition, and no module."""
    return target.lower().endswith(_SUFFIXES)


def load_definition(path: Path, allowed_tools: Collection[str] = ()) -> AnyAgent:
    """The agent that a file defines.

    `allowed_tools`: modules whose functions it may use as tools, and `http_get`.
    Raises OmiumError `not_found`, `settings_invalid` with a line for each problem: where it stands, what was expected.
    """
    document = read_document(path)
    try:
        from .model import inconsistencies, parse_definition
        from .team import Team
        from .tools import build_tools
    except ImportError as cause:
        said = f"{path} is a definition: install omium[definitions]"
        raise OmiumError("settings_invalid", said, cause=cause) from cause
    definition = parse_definition(document)
    tools, problems = build_tools(definition.tool_uses, path.resolve().parent, allowed_tools)
    problems.extend(inconsistencies(definition))
    if problems:
        raise document.refuse(problems)
    team = Team(definition, tools)
    given = definition.input_type()
    schema: Schema[Any] | None = None if given is None else Schema(given, f"agent {definition.id!r}")
    fn, grace_ms = _function_of(team, path)
    agent: AnyAgent = Agent(fn, definition.id, schema, definition.description, None, definition.budget_micro_credits)
    agent.mismatch_grace_ms = grace_ms or agent.mismatch_grace_ms
    # what is no code of the SDK may hang, leak or block
    agent.isolated = definition.framework != "plain" or any(tool.of_user for tool in tools.values())
    return agent


_Function: TypeAlias = "Callable[[Any, Context], Awaitable[Any]]"


def _function_of(team: Team, path: Path) -> tuple[_Function, int | None]:
    """What the agent runs, and how long its code may take between two calls, when that is not the usual."""
    if team.definition.framework == "plain":
        from .plain import build

        run = build(team)

        async def plain(given: Any, ctx: Context) -> Any:
            return await run(_as_json(given), ctx)

        return plain, None
    return _of_framework(team, path)


def _of_framework(team: Team, path: Path) -> tuple[_Function, int]:
    framework = team.definition.framework
    try:
        built = _builder_of(framework)(team)
        inner = agent_of(built.made, team.definition.id)
    except ImportError as cause:
        extra = framework.replace("_", "-")
        said = f"{path}: framework: {framework} is not installed ({cause}): install omium[{extra}]"
        raise OmiumError("settings_invalid", said, cause=cause) from cause
    except Exception as cause:
        said = f"{path}: {framework} can't build this team: {type(cause).__name__}: {cause}"
        raise OmiumError("settings_invalid", said, cause=cause) from cause
    if inner is None:
        raise OmiumError("settings_invalid", f"{path}: framework: this SDK does not run {framework} teams")
    agent = inner

    async def run(given: Any, ctx: Context) -> Any:
        output = await agent.execute(built.given(_as_json(given)), ctx)
        return team.output_of(built.said(output))

    return run, agent.mismatch_grace_ms


def _builder_of(framework: Framework) -> Callable[[Team], Built]:
    # none may phone home, which each has to be told before it is imported
    forbid_telemetry()
    match framework:
        case "crewai":
            from .crewai import build
        case "autogen":
            from .autogen import build
        case "semantic_kernel":
            from .semantic_kernel import build
        case _:
            from .langgraph import build
    return build


def _as_json(given: Any) -> JsonValue:
    dump = getattr(given, "model_dump", None)
    return cast(JsonValue, dump(mode="json") if callable(dump) else given)

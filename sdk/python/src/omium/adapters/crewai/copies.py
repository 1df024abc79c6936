"""A crew or flow of its own for every attempt.

CrewAI keeps the state of a run in the objects themselves: texts with inputs filled in, outputs, executors, counters of
tools and tokens. Runs that shared them would see each other, and an attempt would see the one before.

1. The object that the user made is never run. What may change in a run is copied, what only configures is shared.
2. Two references to one object are two references to one copy.
"""

# The framework's insides.
# pyright: basic, reportPrivateUsage=false, reportPrivateImportUsage=false

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, cast

from crewai import Crew, Flow
from crewai.agents.cache.cache_handler import CacheHandler
from crewai.agents.tools_handler import ToolsHandler
from crewai.utilities.rpm_controller import RPMController
from pydantic import BaseModel

from ...errors import OmiumError

_WHAT = "give a Crew, a Flow, a @CrewBase class, or a function annotated to return a Crew or a Flow"


def maker_of(given: Any, agent_id: str) -> Callable[[], Any]:
    """A function that makes the crew or flow of one attempt. Raises OmiumError `agent_unknown`, `agent_threw`."""
    if isinstance(given, Crew):
        return lambda: crew_copy(given)
    if isinstance(given, Flow):
        return _flow_maker(cast("Flow[Any]", given), agent_id)
    if getattr(given, "is_crew_class", False):
        base: Any = _built(given, agent_id) if isinstance(given, type) else given
        crew = _built(base.crew, agent_id)
        return lambda: crew_copy(crew)
    if inspect.isroutine(given) or (isinstance(given, type) and issubclass(given, Flow)):
        made = _built(given, agent_id)
        if isinstance(made, (Crew, Flow)):
            return given
        raise OmiumError("agent_unknown", f'"{agent_id}" makes a {type(made).__name__}, no crew and no flow: {_WHAT}')
    raise OmiumError(
        "agent_unknown", f'"{agent_id}" is a {type(given).__name__} of CrewAI, which does not run by itself: {_WHAT}'
    )


def _built(make: Callable[[], Any], agent_id: str) -> Any:
    try:
        return make()
    except Exception as cause:
        said = f"{type(cause).__name__}: {cause}"
        raise OmiumError("agent_threw", f'"{agent_id}" can\'t be made: {said}', cause=cause) from cause


def _flow_maker(flow: Flow[Any], agent_id: str) -> Callable[[], Any]:
    kind = type(flow)
    # what was given to its constructor: the settings, and the state that it starts with
    settings = {name: getattr(flow, name) for name in flow.model_fields_set if not name.startswith("checkpoint")}

    def again() -> Any:
        made = kind(**settings)
        made._state = flow._copy_state()
        return made

    _built(again, agent_id)
    return again


def crew_copy(crew: Crew) -> Crew:
    """The crew with agents, tasks, models, counters and caches of its own."""
    return _Copies().crew(crew)


class _Copies:
    """See the module's invariants."""

    def __init__(self) -> None:
        self._made: dict[int, Any] = {}

    def crew(self, crew: Crew) -> Crew:
        agents = [self._agent(agent) for agent in crew.agents]
        tasks = [self._task(task) for task in crew.tasks]
        return self._copy(
            crew,
            agents=agents,
            tasks=tasks,
            manager_agent=self._agent(crew.manager_agent),
            manager_llm=self._model(crew.manager_llm),
            function_calling_llm=self._model(crew.function_calling_llm),
            planning_llm=self._model(crew.planning_llm),
        )

    def _task(self, task: Any) -> Any:
        context = [self._task(one) for one in task.context] if isinstance(task.context, list) else task.context
        return self._once(task, agent=self._agent(task.agent), context=context, tools=self._tools(task.tools))

    def _agent(self, agent: Any) -> Any:
        if agent is None:
            return None
        return self._once(
            agent,
            llm=self._model(agent.llm),
            tools=self._tools(agent.tools),
            tools_handler=ToolsHandler(),
            agent_executor=None,
            crew=None,
        )

    def _model(self, model: Any) -> Any:
        if not isinstance(model, BaseModel):
            return model
        copy = self._once(model)
        private = cast("dict[str, Any]", copy.__pydantic_private__ or {})
        if "_async_client" in private:
            # its connections belong to the loop that used it first; the next use makes another
            private["_async_client"] = None
        return copy

    def _tools(self, tools: Any) -> Any:
        # only a tool that counts its uses has a state of a run
        return tools and [tool if tool.max_usage_count is None else self._once(tool) for tool in tools]

    def _once(self, one: Any, **changed: Any) -> Any:
        found = self._made.get(id(one))
        return found if found is not None else self._copy(one, **changed)

    def _copy(self, one: Any, **changed: Any) -> Any:
        copy = one.model_copy()
        self._made[id(one)] = copy
        fields = copy.__dict__
        for name, value in fields.items():
            fields[name] = changed[name] if name in changed else self._of_its_own(value)
        private = copy.__pydantic_private__ or {}
        for name, value in private.items():
            private[name] = self._of_its_own(value)
        return copy

    def _of_its_own(self, value: Any) -> Any:
        """Containers, and the framework's own counters and caches."""
        if type(value) in (list, dict, set):
            return type(value)(value)
        if isinstance(value, CacheHandler):
            return self._made.setdefault(id(value), CacheHandler())
        if isinstance(value, RPMController):
            if id(value) not in self._made:
                self._made[id(value)] = RPMController(max_rpm=value.max_rpm, logger=value.logger)
            return self._made[id(value)]
        return value

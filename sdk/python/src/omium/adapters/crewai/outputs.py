"""What crews and flows give, as JSON, without what differs between attempts: times and random ids."""

# The framework's insides.
# pyright: basic, reportPrivateUsage=false, reportPrivateImportUsage=false

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from crewai import Flow
from crewai.crews.crew_output import CrewOutput
from crewai.flow.human_feedback import HumanFeedbackResult
from pydantic import BaseModel


def crew_output(output: CrewOutput) -> dict[str, Any]:
    return {
        "raw": output.raw,
        "json": _json_of(output),
        "tasks": [task_output(task) for task in output.tasks_output],
    }


def task_output(task: Any) -> dict[str, Any]:
    return {"name": task.name, "agent": task.agent.strip(), "raw": task.raw, "json": _json_of(task)}


def _json_of(output: Any) -> Any:
    return output.pydantic.model_dump(mode="json") if output.pydantic is not None else output.json_dict


def plain(value: Any) -> Any:
    """What a flow gave."""
    if isinstance(value, CrewOutput):
        return crew_output(value)
    if isinstance(value, HumanFeedbackResult):
        return {"output": plain(value.output), "feedback": value.feedback, "outcome": value.outcome}
    if isinstance(value, BaseModel):
        return plain({name: getattr(value, name) for name in type(value).model_fields})
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in cast("list[Any]", value)]
    return value


def state_of(flow: Flow[Any]) -> Any:
    shown = plain(flow.state)
    return {key: value for key, value in shown.items() if key != "id"} if isinstance(shown, dict) else shown

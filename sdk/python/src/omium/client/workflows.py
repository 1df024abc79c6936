"""Calls about workflow definitions and their runs; see `schemas/src/api/workflows.ts` for the shapes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Literal, NotRequired, TypedDict, TypeVar

from ..ids import new_id
from ..json import JsonValue, plain_json
from .flows import Calls, Driver, Flow, HttpRequest, Items, call, collected, given, items, pages, segment
from .views import WriteReceipt

_Run = TypeVar("_Run")


class WorkflowReceipt(TypedDict):
    """Answer of a write; `position` is of the workflow events topic."""

    id: str
    position: str
    deduplicated: bool


class VersionReceipt(WorkflowReceipt):
    version: int


class WorkflowProblem(TypedDict):
    pointer: str
    """JSON pointer of the place"""
    code: str
    message: str
    expected: NotRequired[str]
    suggestion: NotRequired[str]
    severity: Literal["error", "warning"]


class ValidationReport(TypedDict):
    valid: bool
    problems: list[WorkflowProblem]


class WorkflowVersion(TypedDict):
    version: int
    status: Literal["draft", "published", "deprecated"]
    hash: str
    createdAt: str
    createdBy: str
    publishedAt: NotRequired[str]
    deprecatedAt: NotRequired[str]


class WorkflowDefinition(WorkflowVersion):
    id: str
    definition: JsonValue


class WorkflowView(TypedDict):
    id: str
    name: str
    description: NotRequired[str]
    publishedVersion: NotRequired[int]
    """the version that runs unless another is named"""
    latestVersion: int
    activeRuns: int
    createdAt: str
    updatedAt: str
    position: str


class WorkflowDetail(WorkflowView):
    versions: list[WorkflowVersion]


class RunEnd(TypedDict):
    """How a run ended, without its output."""

    status: Literal["completed", "failed", "cancelled", "refused"]
    code: NotRequired[str]
    detail: NotRequired[str]


class WorkflowRun(TypedDict):
    id: str
    """of its execution"""
    workflow: str
    version: int
    source: dict[str, Any]
    status: Literal["requested", "started", "completed", "failed", "cancelled", "refused"]
    end: NotRequired[RunEnd]
    requestedAt: str
    endedAt: NotRequired[str]


class WorkflowTemplate(TypedDict):
    id: str
    name: str
    description: str
    agents: list[str]
    definition: JsonValue


class WorkflowRunOptions(TypedDict, total=False):
    """What a start may set over what the definition says."""

    priority: int
    timeoutMs: int
    budgetMicroCredits: int


class WorkflowCalls(Calls, Generic[_Run]):
    """Workflow definitions and their runs. Raises OmiumError, e.g. `workflow_invalid` with each problem."""

    def __init__(self, driver: Driver, handle: Callable[[str, WriteReceipt | None], _Run]) -> None:
        super().__init__(driver)
        self._handle = handle

    @items
    def list(self, *, page_size: int = 50) -> Items[WorkflowView]:
        return pages(self._api, "/v1/workflows", {"limit": page_size})

    @call
    def get(self, id: str) -> Flow[WorkflowDetail]:
        return self._api.json(HttpRequest("GET", _path(id)))

    @call
    def version(self, id: str, version: int) -> Flow[WorkflowDefinition]:
        """One version with its definition."""
        return self._api.json(HttpRequest("GET", f"{_path(id)}/versions/{version}"))

    @call
    def validate(self, definition: object) -> Flow[ValidationReport]:
        """Everything that is wrong with a definition."""
        body: JsonValue = {"definition": plain_json(definition, "the definition")}
        return self._api.json(HttpRequest("POST", "/v1/workflows/validate", body))

    @call
    def create(self, id: str, definition: object, *, publish: bool = False) -> Flow[VersionReceipt]:
        """A new workflow, or another version of one; an equal definition makes none."""
        body: JsonValue = {"definition": plain_json(definition, "the definition"), "publish": publish}
        return self._api.json(HttpRequest("POST", _path(id), body))

    @call
    def publish(self, id: str, version: int) -> Flow[WorkflowReceipt]:
        return self._api.json(HttpRequest("POST", f"{_path(id)}/versions/{version}/publish", {}))

    @call
    def deprecate(self, id: str, version: int, reason: str | None = None) -> Flow[WorkflowReceipt]:
        """No new runs of the version."""
        return self._api.json(HttpRequest("POST", f"{_path(id)}/versions/{version}/deprecate", given(reason=reason)))

    @call
    def delete(self, id: str) -> Flow[WorkflowReceipt]:
        """No new runs; those that run go on."""
        return self._api.json(HttpRequest("DELETE", _path(id)))

    @call
    def run(
        self,
        id: str,
        parameters: object = None,
        *,
        run_id: str | None = None,
        version: int | None = None,
        options: WorkflowRunOptions | None = None,
    ) -> Flow[_Run]:
        """Runs a workflow. Twice with one `run_id` and equal parameters gives one run; the newest published version runs
        unless one is named."""
        body = {
            "parameters": plain_json({} if parameters is None else parameters, "the parameters"),
            "id": run_id or new_id("exe"),
            **given(version=version, options=options),
        }
        receipt = yield from self._api.json(HttpRequest("POST", f"{_path(id)}/runs", body))
        execution_id, position = receipt["executionId"], receipt.get("executionPosition")
        if position is None:
            return self._handle(execution_id, None)
        return self._handle(
            execution_id,
            {"executionId": execution_id, "position": position, "deduplicated": receipt["deduplicated"]},
        )

    @items
    def runs(self, id: str, *, page_size: int = 50) -> Items[WorkflowRun]:
        """Newest first."""
        return pages(self._api, f"{_path(id)}/runs", {"limit": page_size})

    @call
    def templates(self) -> Flow[list[WorkflowTemplate]]:
        """Definitions to start from."""
        return collected(pages(self._api, "/v1/workflow-templates", {}))


def _path(workflow_id: str) -> str:
    return f"/v1/workflows/{segment(workflow_id)}"

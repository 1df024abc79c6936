"""Calls about failures, what was decided about them, and the policies by which that is done.

See `schemas/src/api/recoveries.ts` and `schemas/src/recovery/model.ts` for the shapes.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypeAlias, TypedDict

from ..errors import Failure
from ..json import JsonValue, plain_json
from ..protocol import RunOverrides
from .flows import Api, Calls, Flow, HttpRequest, Items, Query, call, given, items, pages, segment

IncidentStatus: TypeAlias = Literal[
    "intervening", "planned", "escalated", "compensating", "recovering", "succeeded", "given_up", "dismissed"
]


class CauseLink(TypedDict):
    """One link of the chain of causes."""

    executionId: str
    agentId: NotRequired[str]
    path: NotRequired[str]
    code: str
    detail: str
    name: NotRequired[str]
    """class of the error in user code"""


class Retry(TypedDict):
    type: Literal["retry"]
    delayMs: NotRequired[int]
    overrides: NotRequired[RunOverrides]
    rerun: NotRequired[list[str]]
    """recorded failed steps that run anew; absent: those that the worker named when the attempt failed, or all"""
    avoidWorker: NotRequired[bool]


class RollBack(TypedDict):
    type: Literal["roll_back"]
    toPath: str | None
    delayMs: NotRequired[int]
    overrides: NotRequired[RunOverrides]


class Settle(TypedDict):
    """The step that failed, or another one, gets this value, and the run goes on."""

    type: Literal["settle"]
    path: NotRequired[str]
    output: JsonValue


class Hold(TypedDict):
    type: Literal["hold"]
    untilMs: int


class GiveUp(TypedDict):
    type: Literal["give_up"]


class Compensate(TypedDict):
    """This agent undoes the effects first."""

    type: Literal["compensate"]
    agentId: str
    afterwards: NotRequired[Literal["give_up", "roll_back"]]


Decision: TypeAlias = Retry | RollBack | Settle | Hold | GiveUp | Compensate
"""What a person decides."""


class PolicyRef(TypedDict):
    name: str
    version: int


class RecoveryPlan(TypedDict):
    number: int
    strategy: str
    action: dict[str, Any]
    policy: PolicyRef


class FailedStep(TypedDict):
    path: str
    name: str
    kind: str


_Classified = TypedDict("_Classified", {"class": NotRequired[str]})


class IncidentView(_Classified):
    id: str
    executionId: str
    agent: str
    status: IncidentStatus
    classifiedBy: NotRequired[str]
    fingerprint: NotRequired[str]
    rootCause: NotRequired[CauseLink]
    chain: NotRequired[list[CauseLink]]
    """from what the run saw to the root cause"""
    error: NotRequired[Failure]
    step: NotRequired[FailedStep]
    plan: NotRequired[RecoveryPlan]
    """what was decided last"""
    why: NotRequired[str]
    attempts: int
    costMicroCredits: int
    until: NotRequired[str]
    """until when a person may answer"""
    openedAt: str
    updatedAt: str
    closedAt: NotRequired[str]
    recoveredInMs: NotRequired[int]
    position: str


class IncidentEvent(TypedDict):
    id: str
    type: str
    version: int
    time: str
    actor: str
    data: JsonValue


class IncidentDetail(IncidentView):
    history: list[IncidentEvent]


FailureGroup = TypedDict(
    "FailureGroup",
    {
        "fingerprint": str,
        "class": str,
        "agent": str,
        "code": str,
        "detail": str,
        "incidents": int,
        "open": int,
        "recovered": int,
        "runs": int,
        "firstAt": str,
        "lastAt": str,
    },
)
"""Failures that are likely to have one reason."""

RecoveryStatistic = TypedDict(
    "RecoveryStatistic",
    {
        "class": str,
        "strategy": str,
        "tries": int,
        "successes": int,
        "successRate": float,
        "recoveredInP50Ms": NotRequired[float],
        "recoveredInP99Ms": NotRequired[float],
    },
)


class IncidentReceipt(TypedDict):
    """`position` is of the recovery events topic."""

    incidentId: str
    position: str
    deduplicated: bool


class PolicyProblem(TypedDict):
    path: str
    message: str


class PolicyReceipt(TypedDict):
    name: str
    position: str
    deduplicated: bool
    warnings: list[PolicyProblem]


class PolicyVerdict(TypedDict):
    valid: bool
    policy: NotRequired[dict[str, JsonValue]]
    """with its defaults"""
    errors: list[PolicyProblem]
    warnings: list[PolicyProblem]


class PolicyVersion(TypedDict):
    name: str
    version: int
    """0 is the built-in policy, which `default` is until it is published"""
    inForce: bool
    policy: dict[str, JsonValue]
    note: NotRequired[str]
    publishedBy: NotRequired[str]
    publishedAt: NotRequired[str]


class RecoveryCalls(Calls):
    """Failures, what was decided about them, and a person's answers."""

    @items
    def list(
        self,
        *,
        status: IncidentStatus | None = None,
        failure_class: str | None = None,
        fingerprint: str | None = None,
        execution: str | None = None,
        page_size: int = 50,
    ) -> Items[IncidentView]:
        """All incidents that fit, newest first, fetched page by page."""
        query = {"status": status, "class": failure_class, "fingerprint": fingerprint, "execution": execution}
        return pages(self._api, "/v1/recoveries", {**query, "limit": page_size})

    @call
    def get(self, id: str, *, min_position: str | None = None) -> Flow[IncidentDetail]:
        """An incident with its whole history. `min_position`: of a receipt whose change has to be in it."""
        return self._api.json(HttpRequest("GET", _incident(id), query={"min_position": min_position}))

    @call
    def groups(self, *, hours: int | None = None, limit: int | None = None) -> Flow[list[FailureGroup]]:
        """Failures that are likely to have one reason, the most frequent first, of the last `hours`."""
        return _listed(self._api, "/v1/recoveries/groups", {"hours": hours, "limit": limit})

    @call
    def stats(self, *, hours: int | None = None, fingerprint: str | None = None) -> Flow[list[RecoveryStatistic]]:
        """What was tried, how often it helped and how long that took, in the last `hours`."""
        return _listed(self._api, "/v1/recoveries/stats", {"hours": hours, "fingerprint": fingerprint})

    @call
    def decide(self, id: str, action: Decision, reason: str | None = None) -> Flow[IncidentReceipt]:
        """Answers an incident that waits for a person. Raises OmiumError `incident_unknown`, `incident_not_undecided`."""
        body = {"action": plain_json(action, "the action"), **given(reason=reason)}
        return self._api.json(HttpRequest("POST", f"{_incident(id)}/decide", body))


class RecoveryPolicyCalls(Calls):
    """By which policies recoveries are decided."""

    @call
    def list(self) -> Flow[list[PolicyVersion]]:
        """The newest version of each."""
        return _whole(self._api, "/v1/recovery-policies")

    @call
    def versions(self, name: str) -> Flow[list[PolicyVersion]]:
        """All versions, newest first. Raises OmiumError `not_found`."""
        return _whole(self._api, _policy(name))

    @call
    def publish(
        self, name: str, policy: object, *, note: str | None = None, expected_version: int | None = None
    ) -> Flow[PolicyReceipt]:
        """Publishes a version. Raises OmiumError `invalid_request` naming every bad place, `policy_conflict` when
        `expected_version` is not the one before."""
        body = {"policy": plain_json(policy, "the policy"), **given(note=note, expectedVersion=expected_version)}
        return self._api.json(HttpRequest("PUT", _policy(name), body))

    @call
    def retire(self, name: str) -> Flow[PolicyReceipt]:
        """Runs that name it are handled by the built-in one."""
        return self._api.json(HttpRequest("DELETE", _policy(name)))

    @call
    def validate(self, policy: object) -> Flow[PolicyVerdict]:
        """Everything that is wrong with a policy."""
        body: JsonValue = {"policy": plain_json(policy, "the policy")}
        return self._api.json(HttpRequest("POST", "/v1/recovery-policies/validate", body))


def _listed(api: Api, path: str, query: Query) -> Flow[Any]:
    return (yield from api.json(HttpRequest("GET", path, query=query)))["items"]


def _whole(api: Api, path: str) -> Flow[Any]:
    """All pages of a short list."""
    found: list[JsonValue] = []
    cursor: str | None = None
    while True:
        page = yield from api.json(HttpRequest("GET", path, query={"limit": 200, "cursor": cursor}))
        found += page["items"]
        cursor = page.get("nextCursor")
        if cursor is None:
            return found


def _incident(id: str) -> str:
    return f"/v1/recoveries/{segment(id)}"


def _policy(name: str) -> str:
    return f"/v1/recovery-policies/{segment(name)}"

"""The API's shapes, with its names; see `schemas/src/api/executions.ts`."""

from __future__ import annotations

from typing import Literal, NotRequired, TypeAlias, TypedDict

from ..errors import Failure
from ..json import JsonValue

ExecutionStatus: TypeAlias = Literal[
    "awaiting_permit", "queued", "running", "suspended", "paused", "recovering", "completed", "failed", "cancelled"
]


class WriteReceipt(TypedDict):
    """Answer of every write: the outcome is accepted on the log."""

    executionId: str
    position: str
    """`<partition>:<offset>` of the execution events topic"""
    deduplicated: bool


class ExecutionView(TypedDict):
    id: str
    agent: str
    status: ExecutionStatus
    attempt: int
    input: NotRequired[JsonValue]
    output: NotRequired[JsonValue]
    error: NotRequired[Failure]
    waitingFor: NotRequired[list[str]]
    stepsCompleted: int
    costMicroCredits: int
    inputTokens: int
    outputTokens: int
    options: dict[str, JsonValue]
    parentId: NotRequired[str]
    forkedFrom: NotRequired[str]
    forkedToPath: NotRequired[str]
    generation: NotRequired[int]
    """roll backs so far"""
    recovery: NotRequired[dict[str, JsonValue]]
    """while it is `recovering`: `incident`, `error`, `giveUpAt`"""
    createdAt: str
    startedAt: NotRequired[str]
    finishedAt: NotRequired[str]
    version: int
    position: str


class StepView(TypedDict):
    path: str
    name: str
    kind: str
    status: Literal["running", "completed", "failed", "retrying", "pending", "unknown"]
    executionAttempt: int
    stepAttempt: int
    input: NotRequired[JsonValue]
    output: NotRequired[JsonValue]
    error: NotRequired[Failure]
    model: NotRequired[str]
    inputTokens: NotRequired[int]
    outputTokens: NotRequired[int]
    costMicroCredits: NotRequired[int]
    startedAt: NotRequired[str]
    finishedAt: NotRequired[str]
    durationMs: NotRequired[float]
    superseded: NotRequired[bool]
    """a roll back made it void"""


class EventHead(TypedDict):
    """What every event says beside its data."""

    id: str
    type: str
    version: int
    time: str
    actor: str
    position: str
    commandId: NotRequired[str]


class EventView(EventHead):
    data: JsonValue


class DeltaView(TypedDict):
    """Live output of a step that runs, e.g. tokens of a model."""

    path: str
    attempt: int
    text: str


class FailureView(TypedDict):
    executionId: str
    agent: str
    code: str
    detail: str
    stepPath: NotRequired[str]
    attempt: int
    time: str
    final: bool


class AgentView(TypedDict):
    agent: str
    description: NotRequired[str]
    inputSchema: NotRequired[dict[str, JsonValue]]
    registeredAt: str


class ModelTarget(TypedDict):
    provider: str
    model: NotRequired[str]


class ModelPrice(TypedDict):
    """US dollars per million tokens."""

    input: float
    output: float
    version: str


class ModelFacts(TypedDict):
    pattern: bool
    """a name that ends in `*` stands for all that begin so"""
    targets: list[ModelTarget]
    """asked in turn"""
    scripted: bool
    """answered by a program, not by a model"""
    price: NotRequired[ModelPrice]


class ModelView(TypedDict):
    id: str
    omium: ModelFacts


class CallerLimits(TypedDict):
    workflows: list[str]
    agents: list[str]


class CallerView(TypedDict):
    tenant: str
    actor: str
    """`key:<id>` or `user:<id>`"""
    role: NotRequired[str]
    permissions: list[str]
    limits: NotRequired[CallerLimits]
    """of a key that reaches no other runs"""


class ResolvedCompleted(TypedDict):
    status: Literal["completed"]
    output: object


class ResolvedFailed(TypedDict):
    status: Literal["failed"]
    detail: str


class ResolvedRetry(TypedDict):
    status: Literal["retry"]


Resolution: TypeAlias = ResolvedCompleted | ResolvedFailed | ResolvedRetry
"""The resolution of a step whose outcome is unknown."""


class WorkerConnection(TypedDict):
    token: str
    expiresAt: str
    endpoints: list[str]
    """of the engines"""

"""Going back in runs, starting others from them, comparing: what is asked, and the reports; see `schemas/src/api/rewind.ts`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NotRequired, TypedDict

from ..json import JsonValue, plain_json
from ..protocol import RunOverrides
from .flows import given
from .views import ExecutionStatus


@dataclass(frozen=True, slots=True)
class Edits:
    """What is changed of a run that is run again."""

    outputs: Mapping[str, object] = field(default_factory=dict[str, object])
    """other results of steps that are taken over, by path: e.g. of a tool or a model"""
    overrides: RunOverrides | None = None
    """another model, more instructions, a shorter context, for model calls that are really made"""
    agent: str | None = None
    """another agent, e.g. the next version of this one"""

    def wire(self) -> dict[str, JsonValue]:
        """As they travel."""
        outputs: list[JsonValue] = [
            {"path": path, "output": plain_json(output, f"the output of {path}")}
            for path, output in self.outputs.items()
        ]
        return given(outputs=outputs or None, overrides=self.overrides, agent=self.agent)


class RecordedSum(TypedDict):
    steps: int
    modelCalls: int
    inputTokens: int
    outputTokens: int
    costMicroCredits: int
    durationMs: float
    """with steps that ran side by side counted once"""


class RecordedStep(TypedDict):
    path: str
    name: str
    kind: str
    effect: bool
    costMicroCredits: int
    durationMs: float


class EffectRef(TypedDict):
    path: str
    name: str


class ChildRef(TypedDict):
    path: str
    executionId: str


class RewindPreview(TypedDict):
    """What a roll back or a fork would do, told from what was recorded. Nothing has been done."""

    toPath: str | None
    kept: RecordedSum
    again: RecordedSum
    """what is likely to run again, and about what that costs: as much as the first time"""
    steps: list[RecordedStep]
    """those of `again`, at most 1000"""
    effects: list[EffectRef]
    """those of them that have an effect outside, which would be made once more"""
    children: list[ChildRef]
    """children that run and would be cancelled"""
    edited: list[str]


class DiffRun(TypedDict):
    id: str
    agent: str
    status: ExecutionStatus
    total: RecordedSum


class DiffSide(TypedDict):
    path: str
    kind: str
    what: NotRequired[JsonValue]


class Divergence(TypedDict):
    path: NotRequired[str]
    """the step at which the runs part; absent when only their ends differ"""
    cause: Literal["input", "agent", "prompt", "model", "tool", "state", "code"]
    detail: str
    a: DiffSide | None
    b: DiffSide | None


class Downstream(TypedDict):
    a: RecordedSum
    b: RecordedSum
    costDeltaMicroCredits: int
    durationDeltaMs: float


class DiffStep(TypedDict):
    path: str
    kind: str
    change: Literal["same", "request", "result", "only_a", "only_b"]
    costDeltaMicroCredits: int
    durationDeltaMs: float


class RunDiff(TypedDict):
    """Where two runs part, why, and what follows from it."""

    a: DiffRun
    b: DiffRun
    identical: bool
    """same steps with the same requests and results, and the same end"""
    sameOutcome: bool
    divergence: Divergence | None
    downstream: Downstream
    """from the divergence on"""
    steps: list[DiffStep]
    """every step of either, in the order of settlement"""

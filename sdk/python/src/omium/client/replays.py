"""Sets of past runs, run once more otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NotRequired, TypedDict

from ..errors import Failure
from ..ids import new_id
from ..json import JsonValue
from .flows import Calls, Flow, HttpRequest, call, given, segment
from .rewind import Edits
from .views import ExecutionStatus

# up to 200 runs are read and started
_CREATE_TIMEOUT_S = 300.0
_REPORT_TIMEOUT_S = 120.0


class StartedReplay(TypedDict):
    of: str
    executionId: str


class RefusedReplay(TypedDict):
    of: str
    error: Failure


class ReplayReceipt(TypedDict):
    id: str
    started: list[StartedReplay]
    refused: list[RefusedReplay]


Compared = TypedDict("Compared", {"was": float, "is": float, "delta": float})
"""A figure of the past, of now, and the difference."""


class ReplayedRun(TypedDict):
    of: str
    executionId: str
    status: ExecutionStatus
    outcome: Literal["same", "different", "failed", "missed", "over_budget", "running"]
    """`missed`: it asked for what was never recorded; `over_budget`: its share of the budget was spent"""
    error: NotRequired[Failure]
    modelCalls: Compared
    """of the model calls that were made anew, and of those in their place in the past"""
    costMicroCredits: Compared
    modelMs: Compared


class ReplayTotal(TypedDict):
    modelCalls: Compared
    costMicroCredits: Compared
    modelMs: Compared


class ReplayReport(TypedDict):
    id: str
    runs: list[ReplayedRun]
    outcomes: dict[str, int]
    total: ReplayTotal
    """of the runs that have ended"""


class ReplayCalls(Calls):
    """Replays of finished runs."""

    @call
    def create(
        self,
        runs: Sequence[str] | None = None,
        *,
        agent: str | None = None,
        status: Literal["completed", "failed", "cancelled"] | None = None,
        last: int = 50,
        start: int | str | None = None,
        edits: Edits | None = None,
        budget: int | None = None,
        budget_per_run: int | None = None,
        id: str | None = None,
    ) -> Flow[ReplayReceipt]:
        """Runs finished runs once more, otherwise: these, or the last ones of an agent.

        Model calls are made, everything else is answered from what was recorded. `start`: how many recorded results are
        kept, or the path of the first step that is run anew. Budgets in millionths of a credit.
        """
        chosen: JsonValue = {"ids": [*runs]} if runs is not None else given(agent=agent, status=status, last=last)
        caps = given(totalMicroCredits=budget, perRunMicroCredits=budget_per_run)
        first = None if start is None else {"step" if isinstance(start, int) else "path": start}
        body = {
            "id": id or new_id("rpl"),
            "runs": chosen,
            **given(**{"from": first, "budget": caps or None}),
            **(edits.wire() if edits is not None else {}),
        }
        return self._api.json(HttpRequest("POST", "/v1/replays", body, usual_timeout_s=_CREATE_TIMEOUT_S))

    @call
    def report(self, id: str) -> Flow[ReplayReport]:
        """How the runs of a replay compare with those of the past: outcome, cost, latency."""
        return self._api.json(HttpRequest("GET", f"/v1/replays/{segment(id)}", usual_timeout_s=_REPORT_TIMEOUT_S))

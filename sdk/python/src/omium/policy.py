"""Retry policies and run options, as users write them and as they travel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypedDict

from .durations import Duration, duration_to_ms
from .json import JsonValue


class RetryPolicy(TypedDict):
    """Exponential backoff as it travels; see `retryPolicy` of schemas/."""

    maxAttempts: int
    initialDelayMs: int
    backoff: float
    maxDelayMs: int
    jitter: float
    nonRetryable: list[str]


default_step_retry: Final[RetryPolicy] = {
    "maxAttempts": 3,
    "initialDelayMs": 100,
    "backoff": 2,
    "maxDelayMs": 30_000,
    "jitter": 0.2,
    "nonRetryable": [],
}
no_retry: Final[RetryPolicy] = {**default_step_retry, "maxAttempts": 1}


@dataclass(frozen=True, slots=True)
class Retry:
    """Deviations from the default policy; what is None stays as it is by default."""

    max_attempts: int | None = None
    initial_delay: Duration | None = None
    backoff: float | None = None
    max_delay: Duration | None = None
    jitter: float | None = None
    """share of the delay that is random, 0 to 1"""
    non_retryable: tuple[str, ...] | None = None
    """codes or names of user errors that are not retried"""

    def over(self, base: RetryPolicy) -> RetryPolicy:
        """The base policy with these deviations."""
        policy = base.copy()
        if self.max_attempts is not None:
            policy["maxAttempts"] = self.max_attempts
        if self.initial_delay is not None:
            policy["initialDelayMs"] = duration_to_ms(self.initial_delay)
        if self.backoff is not None:
            policy["backoff"] = self.backoff
        if self.max_delay is not None:
            policy["maxDelayMs"] = duration_to_ms(self.max_delay)
        if self.jitter is not None:
            policy["jitter"] = self.jitter
        if self.non_retryable is not None:
            policy["nonRetryable"] = list(self.non_retryable)
        return policy


def retry_policy(given: Retry | bool | None, base: RetryPolicy) -> RetryPolicy:
    """The policy in force: `None` or True the base, False a single try."""
    if isinstance(given, Retry):
        return given.over(base)
    return no_retry if given is False else base


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """When checkpoints of a run are made without being asked for."""

    every: Literal["step", "task", "never"] = "never"
    """`step`: whenever a result is recorded; `task`: when one of the outermost level is"""
    every_time: Duration | None = None
    """with the first result that is recorded so long after the last checkpoint"""
    before_effects: bool = False
    """when the intent of an effect is recorded, before the effect is made"""

    def wire(self) -> dict[str, JsonValue]:
        """As it travels."""
        policy: dict[str, JsonValue] = {"every": self.every, "beforeEffects": self.before_effects}
        if self.every_time is not None:
            policy["everyMs"] = duration_to_ms(self.every_time)
        return policy


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What a start may set for a run; what is None is left to the agent's defaults."""

    priority: int | None = None
    """larger goes first among the runs that wait for a worker, -100 to 100"""
    timeout: Duration | None = None
    """limit for the whole run, from its request"""
    retry: Retry | None = None
    """what happens when the agent function itself raises"""
    concurrency: tuple[str, int] | None = None
    """(key, limit): at most `limit` runs of one key hold a permit at once"""
    budget_micro_credits: int | None = None
    """cap on recorded usage cost, millionths of a credit (1 credit = 1 USD)"""
    labels: Mapping[str, str] | None = None
    """what the run is shown and found by, at most 20"""
    recovery: str | None = None
    """a failure of the run waits for the recovery orchestrator, which decides by this policy"""
    checkpoints: Checkpoints | None = None
    """which checkpoints of the run are made by themselves"""

    def wire(self) -> dict[str, JsonValue]:
        """As they travel."""
        options: dict[str, JsonValue] = {}
        if self.priority is not None:
            options["priority"] = self.priority
        if self.timeout is not None:
            options["timeoutMs"] = duration_to_ms(self.timeout)
        if self.retry is not None:
            policy = self.retry.over(default_step_retry)
            options["retry"] = {
                "maxAttempts": policy["maxAttempts"],
                "initialDelayMs": policy["initialDelayMs"],
                "backoff": policy["backoff"],
                "maxDelayMs": policy["maxDelayMs"],
                "jitter": policy["jitter"],
                "nonRetryable": [*policy["nonRetryable"]],
            }
        if self.concurrency is not None:
            options["concurrency"] = {"key": self.concurrency[0], "limit": self.concurrency[1]}
        if self.budget_micro_credits is not None:
            options["budgetMicroCredits"] = self.budget_micro_credits
        if self.labels is not None:
            options["labels"] = dict(self.labels)
        if self.recovery is not None:
            options["recovery"] = {"policy": self.recovery}
        if self.checkpoints is not None:
            options["checkpoints"] = self.checkpoints.wire()
        return options

"""How an exception of user code becomes a recorded failure."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from ..errors import DETAIL_LIMIT, Failure, NonRetryableError, OmiumError, RemoteCause, cause_of, clip


def _name_of(error: BaseException | None) -> str | None:
    if error is None:
        return None
    return error.name if isinstance(error, RemoteCause) else type(error).__name__


def forbids_retry(error: BaseException, non_retryable: Collection[str] = ()) -> bool:
    """Whether a policy forbids another try: by `NonRetryableError`, or its `code`, class name or cause's class name."""
    if isinstance(error, (NonRetryableError, MemoryError)):
        return True
    if isinstance(error, OmiumError) and not error.retryable:
        return True
    if not non_retryable:
        return False
    names = {_name_of(error), getattr(error, "code", None), _name_of(error.__cause__)}
    return any(entry in names for entry in non_retryable)


def failure_of(
    error: BaseException, code: Literal["step_failed", "agent_threw"], what: str, retryable: bool
) -> Failure:
    """An `OmiumError` keeps its code; anything else gets `code`, its class, message and stack in `cause`, and its own
    `code` in `data.code`."""
    if isinstance(error, OmiumError):
        own = error.to_failure()
        own["retryable"] = own["retryable"] and retryable
        return own
    cause = cause_of(error)
    if isinstance(error, MemoryError):
        said = f"{what} asked for more memory than its process may have"
        return {"code": "memory_exceeded", "detail": said, "retryable": False, "cause": cause}
    failure: Failure = {
        "code": code,
        "detail": clip(f"{what} threw {cause['name']}: {cause['message']}", DETAIL_LIMIT),
        "retryable": retryable,
        "cause": cause,
    }
    user_code = getattr(error, "code", None)
    if isinstance(user_code, str):
        failure["data"] = {"code": clip(user_code, 200)}
    return failure


_MOST_RERUNS = 1000
"""As many failed steps as a `fail` may name."""


class GivenFailures:
    """The failures of steps that user code was given."""

    def __init__(self) -> None:
        # an id is nobody else's as long as its error is kept
        self._origins: dict[int, tuple[OmiumError, str]] = {}
        self._unanswered: list[str] = []

    def give(self, path: str, failure: Failure) -> OmiumError:
        """The error for user code."""
        error = OmiumError.from_failure(failure)
        self._origins[id(error)] = (error, path)
        self._unanswered.append(path)
        return error

    def asked(self) -> None:
        """User code has asked for something, which may rest on every failure that it was given."""
        self._unanswered.clear()

    @property
    def rerun(self) -> list[str]:
        """Steps that failed since user code last asked for anything: no record depends on them."""
        return self._unanswered[-_MOST_RERUNS:]

    def named(self, error: BaseException, failure: Failure) -> Failure:
        """The failure of the run with the step in it whose error ended it."""
        origin = self._origins.get(id(error))
        if origin is None:
            return failure
        data = failure.get("data")
        return {**failure, "data": {**(data if isinstance(data, dict) else {}), "stepPath": origin[1]}}

    def clear(self) -> None:
        self._origins.clear()

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

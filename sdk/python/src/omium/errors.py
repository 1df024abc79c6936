"""Every error that Omium can tell anyone: the closed list of `schemas/src/errors.ts`, held equal by a spec of both."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Final, NotRequired, TypedDict

if TYPE_CHECKING:
    from .json import JsonValue

error_catalogue: Final[dict[str, tuple[int, bool]]] = {
    # code: (HTTP status, whether the same request may succeed later unchanged)
    "malformed_request": (400, False),
    "invalid_json": (400, False),
    "invalid_request": (422, False),
    "payload_too_large": (413, False),
    "headers_too_large": (431, False),
    "unsupported_media_type": (415, False),
    "method_not_allowed": (405, False),
    "upgrade_required": (426, False),
    "idempotency_conflict": (409, False),
    "request_timeout": (408, True),
    "slow_reader": (408, True),
    "unauthenticated": (401, False),
    "forbidden": (403, False),
    "outside_hours": (403, False),
    "policy_denied": (403, False),
    "not_found": (404, False),
    "rate_limited": (429, True),
    "offset_not_reached": (412, True),
    "unavailable": (503, True),
    "timeout": (504, True),
    "internal": (500, False),
    "address_refused": (422, False),
    "outside_failed": (502, True),
    "agent_unknown": (404, False),
    "input_invalid": (422, False),
    "execution_unknown": (404, False),
    "execution_conflict": (409, False),
    "execution_finished": (409, False),
    "execution_not_paused": (409, False),
    "execution_not_running": (409, False),
    "execution_recovering": (409, False),
    "execution_not_recovering": (409, False),
    "execution_paused": (409, False),
    "execution_cancelled": (409, False),
    "execution_timeout": (504, False),
    "execution_parked": (500, False),
    "approval_unknown": (404, False),
    "approval_rejected": (409, False),
    "step_unknown": (404, False),
    "outcome_not_unknown": (409, False),
    "execution_looping": (500, False),
    "execution_stalled": (504, False),
    "attempts_exhausted": (500, False),
    "session_ended": (401, False),
    "refresh_reused": (401, False),
    "magic_link_unusable": (410, False),
    "magic_link_other_browser": (403, False),
    "user_unknown": (404, False),
    "tenant_unknown": (404, False),
    "member_unknown": (404, False),
    "invitation_unknown": (404, False),
    "api_key_unknown": (404, False),
    "last_owner": (409, False),
    "identity_conflict": (409, False),
    "sign_in_expired": (400, False),
    "sign_in_refused": (401, False),
    "address_unverified": (403, False),
    "reauthentication_required": (403, False),
    "mfa_required": (401, False),
    "mfa_enrolment_required": (403, False),
    "step_up_required": (401, False),
    "factor_refused": (401, False),
    "factor_proof_used": (401, False),
    "authenticator_suspect": (401, False),
    "factor_unknown": (404, False),
    "last_factor": (409, False),
    "origin_refused": (403, False),
    "sso_connection_unknown": (404, False),
    "sso_assertion_refused": (401, False),
    "sso_address_refused": (403, False),
    "sso_role_none": (403, False),
    "sso_required": (403, False),
    "domain_unknown": (404, False),
    "domain_refused": (422, False),
    "domain_taken": (409, False),
    "domain_unverified": (409, True),
    "tenant_none": (403, False),
    "incident_unknown": (404, False),
    "incident_not_undecided": (409, False),
    "policy_conflict": (409, False),
    "step_failed": (500, True),
    "step_timeout": (504, True),
    "step_outcome_unknown": (409, False),
    "child_failed": (500, False),
    "wait_timeout": (504, False),
    "agent_threw": (500, False),
    "output_invalid": (422, False),
    "budget_exceeded": (402, False),
    "replay_miss": (409, False),
    "replay_mismatch": (409, False),
    "checkpoint_unknown": (404, False),
    "checkpoint_conflict": (409, False),
    "checkpoint_needed": (409, False),
    "checkpoint_corrupt": (410, False),
    "model_rate_limited": (429, True),
    "model_overloaded": (503, True),
    "model_auth": (401, False),
    "model_context_length": (413, False),
    "model_content_filter": (422, False),
    "model_malformed": (502, True),
    "workflow_unknown": (404, False),
    "workflow_invalid": (422, False),
    "workflow_conflict": (409, False),
    "workflow_unpublished": (409, False),
    "workflow_failed": (500, False),
    "schedule_unknown": (404, False),
    "schedule_invalid": (422, False),
    "trigger_unknown": (404, False),
    "trigger_signature": (401, False),
    "webhook_unknown": (404, False),
    "webhook_conflict": (409, False),
    "protocol_unsupported": (426, False),
    "protocol_violation": (400, False),
    "attempt_fenced": (409, False),
    "memory_exceeded": (507, False),
    "worker_lost": (503, True),
    "log_unreachable": (503, True),
    "log_fenced": (503, True),
    "log_in_doubt": (503, True),
    "log_truncated": (500, False),
    "record_undecodable": (400, False),
    "record_unfoldable": (500, False),
    "schema_incompatible": (409, False),
    "snapshot_corrupt": (500, False),
    "object_corrupt": (500, False),
    "object_missing": (500, True),
    "settings_invalid": (500, False),
}


class Cause(TypedDict):
    """The class, message and stack of user code that raised."""

    name: str
    message: str
    stack: NotRequired[str]


class Failure(TypedDict):
    """How a failure travels on the log and the wire."""

    code: str
    detail: str
    retryable: bool
    cause: NotRequired[Cause]
    data: NotRequired[JsonValue]


_MESSAGE_LIMIT = 4096
_STACK_LIMIT = 8192
DETAIL_LIMIT = 8192


def clip(text: str, limit: int) -> str:
    """The text, cut to `limit` characters with an ellipsis; unpaired surrogates, which JSON in UTF-8 lacks, replaced."""
    text = text.encode("utf-8", "replace").decode("utf-8")
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def cause_of(error: BaseException) -> Cause:
    """What raised, as it is recorded."""
    if isinstance(error, RemoteCause):
        return {"name": error.name, "message": clip(str(error), _MESSAGE_LIMIT)}
    stack = "".join(traceback.format_exception(error, chain=False))
    # the end of a Python traceback is where the error is
    stack = stack if len(stack) <= _STACK_LIMIT else f"…{stack[-_STACK_LIMIT + 1 :]}"
    return {
        "name": type(error).__name__,
        "message": clip(str(error), _MESSAGE_LIMIT),
        "stack": clip(stack, _STACK_LIMIT),
    }


class RemoteCause(Exception):
    """What raised in another process: `name` is the class it had there."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


class OmiumError(Exception):
    """The one error class of the platform. The message says what happened, to what, and what to do.

    Attributes: `code` from the closed list, `retryable`, `data`; `__cause__` holds the user's own error when there is one.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        cause: BaseException | None = None,
        data: JsonValue = None,
        retryable: bool | None = None,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.retryable = error_catalogue.get(code, (500, False))[1] if retryable is None else retryable
        self.data = data
        self.__cause__ = cause

    def __str__(self) -> str:
        return self.detail

    def __repr__(self) -> str:
        return f"OmiumError({self.code!r}, {self.detail!r})"

    @property
    def status(self) -> int:
        """HTTP status of RFC 9457 problem details."""
        return error_catalogue.get(self.code, (500, False))[0]

    def to_failure(self) -> Failure:
        """As it travels on the log and the wire."""
        failure: Failure = {
            "code": self.code,
            "detail": clip(self.detail, DETAIL_LIMIT),
            "retryable": self.retryable,
        }
        if self.__cause__ is not None:
            failure["cause"] = cause_of(self.__cause__)
        if self.data is not None:
            failure["data"] = self.data
        return failure

    @staticmethod
    def from_failure(failure: Failure) -> OmiumError:
        """The error behind a recorded failure; its cause is a `RemoteCause`."""
        cause = failure.get("cause")
        return OmiumError(
            failure["code"],
            failure["detail"],
            retryable=failure["retryable"],
            data=failure.get("data"),
            cause=RemoteCause(cause["name"], cause["message"]) if cause else None,
        )


class NonRetryableError(Exception):
    """An error that no policy tries again: `raise NonRetryableError("the account is closed")`."""

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code

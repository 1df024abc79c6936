"""What a replay mismatch says: the step, what was recorded, what came, and the fix."""

from __future__ import annotations

from typing import Protocol

from ..errors import OmiumError
from ..json import JsonValue, dumps
from ..protocol import JournalEntry


class Asked(Protocol):
    """What user code asked for, as far as a mismatch needs to show it."""

    @property
    def path(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def request_hash(self) -> str: ...
    @property
    def shown_input(self) -> JsonValue: ...
    @property
    def has_input(self) -> bool: ...


_FIX = (
    "The agent code changed, or is not deterministic outside of its steps. Deploy the code that wrote this history, "
    "start a new run, or fork this one from the last step before the change. Give changed steps a new name or key, and "
    "take time, randomness and I/O from ctx."
)


def _excerpt(asked: Asked) -> str:
    text = dumps(asked.shown_input) if asked.has_input else "none"
    return f"{text[:299]}…" if len(text) > 300 else text


def _recorded_text(entry: JournalEntry) -> str:
    return f'a {entry["kind"]} at "{entry["path"]}" (request {entry["requestHash"]}, {entry["status"]})'


def _asked_text(asked: Asked) -> str:
    return f'a {asked.kind} at "{asked.path}" (request {asked.request_hash}, input {_excerpt(asked)})'


def _mismatch(detail: str, recorded: JournalEntry, asked: Asked | None) -> OmiumError:
    actual: JsonValue = None
    if asked is not None:
        actual = {"path": asked.path, "kind": asked.kind, "requestHash": asked.request_hash}
    return OmiumError(
        "replay_mismatch",
        f'Step "{recorded["path"]}" does not fit the history: {detail} {_FIX}',
        data={
            "path": recorded["path"],
            "recorded": {
                "path": recorded["path"],
                "kind": recorded["kind"],
                "requestHash": recorded["requestHash"],
            },
            "actual": actual,
        },
    )


def other_request(recorded: JournalEntry, asked: Asked) -> OmiumError:
    """The code asks for something else at a recorded path."""
    return _mismatch(
        f"recorded is {_recorded_text(recorded)}, the code now asks for {_asked_text(asked)}.", recorded, asked
    )


def other_step(recorded: JournalEntry, asked: Asked) -> OmiumError:
    """The history has a result where the code asks for something else."""
    return _mismatch(
        f"next in the record is {_recorded_text(recorded)}, but the code asks for {_asked_text(asked)} and not for it.",
        recorded,
        asked,
    )


def never_asked(recorded: JournalEntry) -> OmiumError:
    """The code came to its end without asking for something recorded."""
    return _mismatch(
        f"recorded is {_recorded_text(recorded)}, but the code ended without asking for it.", recorded, None
    )

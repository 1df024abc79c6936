"""Results on their way to user code."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import Failure
from ..json import JsonValue
from ..protocol import JournalEntry


@dataclass(frozen=True, slots=True)
class Settlement:
    path: str
    value: JsonValue
    failure: Failure | None


def settlement_of(entry: JournalEntry) -> Settlement | None:
    """The result that an entry of the journal holds; None while its call is under way."""
    match entry["status"]:
        case "completed":
            return Settlement(entry["path"], entry.get("value"), None)
        case "failed":
            return Settlement(entry["path"], None, entry.get("error"))
        case _:
            return None

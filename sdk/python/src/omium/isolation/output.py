"""What a process of a run writes: into the worker's log, and the last of it into the explanation of its death."""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Callable, Mapping

_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL", re.IGNORECASE)
_SECRET_TEXT = re.compile(
    r"(?i:bearer\s+)[\w.~+/=-]{8,}"
    r"|\b(?:sk|pk|rk|om|ghp|gho|xox[abp])[-_][\w-]{12,}"
    r"|\bAKIA[0-9A-Z]{16}\b"
    r"|\beyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]*"
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"
)
_LINE_LIMIT = 2000
"""Characters; a longer line is cut."""
_LOGGED_LIMIT = 1024 * 1024
"""Bytes of one attempt that go to the log."""
_TAIL_LINES = 30
_TAIL_LIMIT = 1500


def secrets_of(environment: Mapping[str, str]) -> list[str]:
    """Values of variables whose names say that they are secret, longest first."""
    found = {value for name, value in environment.items() if _SECRET_NAME.search(name) and len(value) >= 8}
    return sorted(found, key=len, reverse=True)


def redacted(text: str, secrets: list[str]) -> str:
    """The text without the secrets, and without what looks like one."""
    for secret in secrets:
        text = text.replace(secret, "[redacted]")
    return _SECRET_TEXT.sub("[redacted]", text)


class Output:
    """Takes bytes as they come; gives whole lines to `show`."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show
        self._secrets = secrets_of(os.environ)
        self._partial = b""
        self._logged = 0
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)

    def feed(self, data: bytes) -> None:
        *lines, self._partial = (self._partial + data).split(b"\n")
        if len(self._partial) > 4 * _LINE_LIMIT:
            lines.append(self._partial)
            self._partial = b""
        for line in lines:
            self._line(line)

    def end(self) -> None:
        if self._partial:
            self._line(self._partial)
            self._partial = b""

    @property
    def last_lines(self) -> str:
        """The end of what was written, at most 1500 characters."""
        text = "\n".join(self._tail)
        return text if len(text) <= _TAIL_LIMIT else f"…{text[-_TAIL_LIMIT + 1 :]}"

    def _line(self, line: bytes) -> None:
        text = redacted(line.decode("utf-8", "replace").rstrip(), self._secrets)
        if not text:
            return
        text = text if len(text) <= _LINE_LIMIT else f"{text[: _LINE_LIMIT - 1]}…"
        self._tail.append(text)
        before = self._logged
        self._logged += len(line)
        if before <= _LOGGED_LIMIT:
            self._show(text if self._logged <= _LOGGED_LIMIT else "(what follows of its output is not logged)")

"""Step paths: how a call made by user code finds its record again.

1. A path is `name#n` or `name:key#n`; levels are joined by `/`. `n` counts the calls of one name and key in one scope,
   from 1, in the order in which user code makes them.
2. `%`, `/` and `#`, and `:` in names, are percent-encoded, so that two different calls never share a path.
3. The order of calls is the same in every attempt (see run.py), and therefore so are the paths.
"""

from __future__ import annotations

import re

from ..errors import OmiumError

_MAX_PATH_LENGTH = 1024
_IN_NAMES = re.compile(r"[%/#:]")
_IN_KEYS = re.compile(r"[%/#]")


def _encode(text: str, reserved: re.Pattern[str]) -> str:
    return reserved.sub(lambda match: f"%{ord(match[0]):02x}", text)


class PathScope:
    """One level of paths: the run itself, or a helper's own calls such as those of a tool loop."""

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix
        self._occurrences: dict[str, int] = {}

    def next(self, name: str, key: str | int | None = None) -> str:
        """Path of the next call of this name and key. Raises OmiumError `invalid_request` when it is too long."""
        label = _encode(name, _IN_NAMES)
        if key is not None:
            label += f":{_encode(str(key), _IN_KEYS)}"
        occurrence = self._occurrences.get(label, 0) + 1
        self._occurrences[label] = occurrence
        path = f"{self._prefix}{label}#{occurrence}"
        # counted as the platform does, in UTF-16 code units
        length = len(path) if path.isascii() else len(path.encode("utf-16-le", "surrogatepass")) // 2
        if length > _MAX_PATH_LENGTH:
            raise OmiumError(
                "invalid_request",
                f'the path of step "{name}" has {length} characters, {_MAX_PATH_LENGTH} are allowed: '
                "use a shorter name or key",
            )
        return path

    def below(self, path: str) -> PathScope:
        """The scope below a path of this one."""
        return PathScope(f"{path}/")

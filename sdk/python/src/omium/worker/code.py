"""What version of the agents a worker runs."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable
from pathlib import Path


def code_of(targets: Iterable[str]) -> str:
    """A short hash of the sources behind `module:attr` and files: equal in all workers that run the same agents.

    Counts are the target's file and the modules beside and below it that are loaded; installed packages are not.
    """
    digest = hashlib.sha256()
    for path in sorted({path for target in targets for path in _sources_of(target)}):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def _sources_of(target: str) -> Iterable[Path]:
    own = _file_of(target.partition(":")[0].partition(".")[0])
    if own is None:
        if Path(target).is_file():
            yield Path(target)
        return
    for name in list(sys.modules):
        source = _file_of(name)
        if source is not None and source.is_relative_to(own.parent) and "site-packages" not in source.parts:
            yield source


def _file_of(module: str) -> Path | None:
    source = getattr(sys.modules.get(module), "__file__", None)
    if not isinstance(source, str) or not source.endswith(".py"):
        return None
    path = Path(source).resolve()
    return path if path.is_file() else None

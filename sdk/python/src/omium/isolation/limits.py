"""What one attempt may take, and the watch over it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ..errors import OmiumError

CANCEL_GRACE_S = 1.0
"""From the word that an attempt is over to SIGKILL: code may clean up for so long."""
WATCH_EVERY_S = 0.25
_MIB = 1024 * 1024
_HEADROOM_BYTES = 1024 * _MIB
"""Address space is more than memory: stacks of threads, arenas of the allocator, files that are mapped."""


@dataclass(frozen=True, slots=True)
class Limits:
    """`memory_mb`: resident memory of an attempt's process, what it shares with the worker included, in MiB.

    `stall_s`: how long an attempt that does not wait may neither ask for anything nor end.
    """

    memory_mb: int | None = None
    stall_s: float | None = None


def resident_bytes(pid: int) -> int | None:
    """Resident memory of a process. None when it is gone, or where there is no /proc."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    except (OSError, IndexError):
        return None
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def bound_address_space(memory_mb: int) -> None:
    """Makes an allocation far beyond the limit raise MemoryError at once, in this process; the watch sees the rest."""
    import resource

    try:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    bound = used + memory_mb * _MIB + _HEADROOM_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (bound if hard < 0 else min(bound, hard), hard))


def memory_exceeded(limit_mb: int, used_bytes: int) -> OmiumError:
    return OmiumError(
        "memory_exceeded",
        f"the attempt's process used {used_bytes // _MIB} MiB, more than its limit of {limit_mb} MiB, and was ended; raise "
        "the worker's memory limit, or have steps write large data elsewhere and return where it is",
    )


def stalled(stall_s: float, during: str | None) -> OmiumError:
    where = f' It was in "{during}", which had begun and not come back.' if during is not None else ""
    return OmiumError(
        "execution_stalled",
        f"the code asked for nothing, and did not end, for {stall_s:g} s; its process was ended.{where} Give slow calls a "
        "timeout, or raise the worker's stall timeout",
        # what hangs once may not hang again: the run's own policy decides
        retryable=True,
    )

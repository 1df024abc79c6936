"""Durations: seconds, a `timedelta`, or a number with a unit."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from typing import TypeAlias

Duration: TypeAlias = "float | timedelta | str"
"""Seconds, a timedelta, or a text: `"250ms"`, `"30s"`, `"5m"`, `"2h"`, `"3d"`, `"1w"`."""

_UNIT_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


def duration_to_ms(duration: Duration) -> int:
    """Whole milliseconds of a duration, rounded up. Raises ValueError when it is negative, not finite or has no known unit."""
    if isinstance(duration, timedelta):
        ms = duration.total_seconds() * 1000
    elif isinstance(duration, str):
        match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)", duration)
        ms = float(match[1]) * _UNIT_MS[match[2]] if match else math.nan
    else:
        ms = float(duration) * 1000
    if not math.isfinite(ms) or ms < 0:
        raise ValueError(f"{duration!r} is not a duration: give seconds or a text such as '30s' or '3d'")
    # 0.29 s is 290 ms, although 0.29 * 1000 is a little more
    return math.ceil(round(ms, 6))

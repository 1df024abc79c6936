"""What worker, zygote and attempt tell one another.

1. Worker and zygote share a stream of fixed-size records. A request for an attempt carries two descriptors: the attempt's end of
   its socket, and of the pipe that takes its output.
2. Worker and attempt share a socket of JSON lines: to the attempt the engine's messages and `drain` and `suspend`, back the
   messages of `docs/worker-protocol.md` and `keep`, a state that the worker stores.
"""

from __future__ import annotations

import struct
from typing import Final

REQUEST: Final = struct.Struct("<cQ")
"""kind, number of the attempt"""
FORK: Final = b"f"
FRESH: Final = b"x"
KILL: Final = b"k"

REPORT: Final = struct.Struct("<cQqq")
"""kind, number of the attempt, process id, exit status (negative: the signal) or errno"""
STARTED: Final = b"s"
ENDED: Final = b"e"
REFUSED: Final = b"r"

LINE_LIMIT: Final = 64 * 1024 * 1024
"""No message is longer, bytes: an engine hangs up on frames of that size."""

"""Identifiers that clients mint: a typed prefix and a UUIDv7 (RFC 9562, section 5.7) in hex."""

from __future__ import annotations

import os
import time


def new_id(prefix: str) -> str:
    """`exe_<uuidv7>` for the prefix `exe`; sorts by time of creation."""
    value = bytearray((time.time_ns() // 1_000_000).to_bytes(6, "big") + os.urandom(10))
    value[6] = 0x70 | (value[6] & 0x0F)
    value[8] = 0x80 | (value[8] & 0x3F)
    return f"{prefix}_{value.hex()}"

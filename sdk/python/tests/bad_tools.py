"""Tools that mean their run ill."""

import threading
from typing import Any


def returns_much(word: str) -> str:
    """Returns 50 MB."""
    return "x" * 50_000_000


def returns_a_lock(word: str) -> Any:
    """Returns what no JSON can hold."""
    return {"lock": threading.Lock()}


def raises_exit(word: str) -> str:
    """Wants to end the process."""
    raise SystemExit(3)


def fills_memory(word: str) -> str:
    """Asks for more memory than there is."""
    raise MemoryError


def hears(word: str) -> str:
    """Says what it is told."""
    return f"heard {word}"

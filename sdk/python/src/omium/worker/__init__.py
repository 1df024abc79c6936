"""Workers: processes that connect out to every engine and run the agents they are given."""

from .worker import Worker

__all__ = ["Worker"]

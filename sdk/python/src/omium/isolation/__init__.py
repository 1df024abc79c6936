"""A process of its own for each attempt of a run, so that a run that hangs, leaks, exits or crashes takes only itself down.

worker (engine connections, heartbeats, tokens; never runs agent code once it is up)
  └─ zygote (has imported the agents; one thread; makes, kills and reaps)
       └─ attempt (one event loop, one Run; speaks the run's messages over a socket; forked, or a fresh interpreter
          where what the agents have imported does not survive a fork)
"""

from .isolated_run import IsolatedRun, IsolatedRunPort
from .limits import Limits
from .nursery import Nursery

__all__ = ["IsolatedRun", "IsolatedRunPort", "Limits", "Nursery"]

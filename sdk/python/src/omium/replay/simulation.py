"""Answers the calls of a run from what other runs recorded.

1. The same path and request first, then the same name and request, each recording once and the last one from then on; for
   an effect, then the newest of its name.
2. Whoever asks in the same order gets the same answers.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import OmiumError
from ..protocol import Recording


def replay_miss(path: str, kind: str, request_hash: str) -> OmiumError:
    """Nothing that was recorded answers the call, and nothing live may."""
    return OmiumError(
        "replay_miss",
        f'Step "{path}" (a {kind}, request {request_hash}) was never recorded, and a replay makes no live calls. '
        "The code asks for something that the recorded run did not; fork the run to make the call for real.",
        data={"path": path, "kind": kind, "requestHash": request_hash},
    )


class Simulation:
    """See the module's rules."""

    def __init__(self, recordings: Sequence[Recording]) -> None:
        self._by_path: dict[tuple[str, str], Recording] = {}
        self._by_request: dict[tuple[str, str], list[Recording]] = {}
        self._newest: dict[str, Recording] = {}
        for recording in recordings:
            self._by_path[recording["path"], recording["requestHash"]] = recording
            self._by_request.setdefault((recording["name"], recording["requestHash"]), []).append(recording)
            self._newest[recording["name"]] = recording

    def find(self, path: str, name: str, request_hash: str, *, effect: bool) -> Recording | None:
        """The recording that answers the call, None for a miss. `effect`: the call has one outside."""
        candidates = self._by_request.get((name, request_hash), [])
        exact = self._by_path.get((path, request_hash))
        if exact is not None:
            for index, candidate in enumerate(candidates):
                if candidate is exact and len(candidates) > 1:
                    del candidates[index]
                    break
            return exact
        if candidates:
            return candidates.pop(0) if len(candidates) > 1 else candidates[0]
        return self._newest.get(name) if effect else None

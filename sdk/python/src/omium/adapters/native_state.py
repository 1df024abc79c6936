"""What a framework calls its state, kept among the checkpoints of the run, for people to look at.

1. A run does not depend on it: it is carried by its journal. Keeping a state costs the run a copy of it and no wait.
2. A state has the same id in every attempt; what an attempt replays was kept by an earlier one, and is not kept again.
   What runs again behind a point to which the run was rolled back has ids of its own.
3. A state shows as much as JSON can hold: what it cannot is shown as text.
4. A framework that cannot say what its state is costs nothing but a warning.
"""

from __future__ import annotations

import contextvars
import json
from collections.abc import Callable
from typing import Any, cast

from ..client.checkpoints import NewCheckpoint, Scalar
from ..errors import OmiumError
from ..json import JsonValue, plain_json
from ..replay.run import Run

MOST_CHARACTERS = 4 * 1024 * 1024
"""A longer state is not kept: it is copied whenever it changes."""


def keep_state(
    run: Run,
    framework: str,
    name: str,
    state: Callable[[], Any],
    *,
    label: str,
    namespace: str = "",
    metadata: dict[str, Scalar] | None = None,
) -> None:
    """Keeps a state under `name`, which is another for each moment of a run and the same in each of its attempts.

    `state` is only asked when it is kept. `namespace` tells nested parts of a run apart. May be called in any thread.
    """
    if run.replaying or run.closed or run.only_looks_back:
        return
    try:
        shown = _shown(state())
        size = len(json.dumps(shown))
    except Exception as error:
        run.port.log.warning("the state %s of run %s cannot be shown: %s", name, run.execution_id, error)
        return
    if size > MOST_CHARACTERS:
        run.port.log.warning("the state %s of run %s is too long to be kept: %d", name, run.execution_id, size)
        return
    kept: NewCheckpoint = {
        "thread": run.execution_id,
        "id": name if run.generation == 0 else f"{name}.r{run.generation}",
        "namespace": f"{framework}:{namespace}" if namespace else framework,
        "state": {"json": shown},
        "label": label[:500],
        "metadata": {"framework": framework, "attempt": run.attempt, **(metadata or {})},
    }
    # by nobody's code: it must not keep the run from standing still
    run.port.loop.call_soon_threadsafe(run.port.keep, kept, context=contextvars.Context())


def _shown(state: Any) -> JsonValue:
    try:
        return plain_json(state, "a state")
    except OmiumError:
        text = json.dumps(state, default=_written, skipkeys=True, allow_nan=True)
        # NaN and infinities, which Python's JSON has and the platform's lacks
        return plain_json(json.loads(text, parse_constant=str), "a state")


def _written(value: Any) -> Any:
    dump = getattr(value, "model_dump", None)
    if callable(dump) and not isinstance(value, type):
        return dump(mode="json")
    if isinstance(value, (set, frozenset)):
        return sorted(cast("set[Any]", value), key=repr)
    if isinstance(value, (bytes, bytearray)):
        return f"<{len(value)} bytes>"
    return str(value)

"""What the bench's programs have in common: where they block to be killed, and what they tell of their process."""

import os
import time
from pathlib import Path


def block_once(marker: str | None) -> None:
    """The first process that comes here writes its process id to the file, and stays."""
    if marker and not Path(marker).exists():
        Path(f"{marker}.new").write_text(str(os.getpid()))
        Path(f"{marker}.new").rename(marker)
        time.sleep(600)


def report() -> dict[str, int]:
    """Of this process: its id, and the memory that it has for itself."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return {
        "pid": os.getpid(),
        "private_kib": sum(
            int(line.split()[1]) for line in lines if line.startswith("Private")
        ),
    }

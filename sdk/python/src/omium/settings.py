"""Where the platform is: given, or from `OMIUM_URL`, `OMIUM_API_KEY` and `OMIUM_MODELS_URL`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from urllib.parse import urlsplit

from .errors import OmiumError


@dataclass(frozen=True, slots=True)
class Connection:
    url: str
    api_key: str
    models_url: str | None = None
    """where the model gateway is"""


def connection(url: str | None, api_key: str | None, models_url: str | None = None) -> Connection:
    """The connection in force. Raises OmiumError `settings_invalid` with one line for each bad setting."""
    given_url = (url or os.environ.get("OMIUM_URL") or "http://localhost:8080").rstrip("/")
    given_key = api_key or os.environ.get("OMIUM_API_KEY") or ""
    problems: list[str] = []
    parts = urlsplit(given_url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        problems.append(f"  OMIUM_URL: {given_url!r} is not an http(s) URL")
    if not given_key:
        problems.append("  OMIUM_API_KEY: required; pass api_key or set the variable")
    if problems:
        raise OmiumError("settings_invalid", f"{len(problems)} bad setting(s)\n" + "\n".join(problems))
    given_models = models_url or os.environ.get("OMIUM_MODELS_URL")
    return Connection(given_url, given_key, given_models.rstrip("/") if given_models else None)

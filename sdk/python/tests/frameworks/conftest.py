"""No framework may phone home in tests either; it has to be told before it is imported."""

from omium.adapters import forbid_telemetry

forbid_telemetry()

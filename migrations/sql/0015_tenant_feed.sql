-- The feed of a tenant's events is resumed by log offset. Rows come in the order of offsets, so a block range index finds the
-- newest of them and costs the projection next to nothing.
CREATE INDEX events_by_offset ON executions.events USING brin (log_offset) WITH (pages_per_range = 32, autosummarize = on);

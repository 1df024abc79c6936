-- What roll backs, forks, recoveries and labels need in the read models of the execution context.

ALTER TABLE executions.events
  -- whether it gives its path a result that counts; null for events without a path, and for those of before this column
  ADD COLUMN settles boolean,
  -- the version of the roll back that made the event's path void
  ADD COLUMN superseded_by integer;

ALTER TABLE executions.executions
  -- the last step that a fork took over; null: all of them
  ADD COLUMN forked_upto text,
  -- roll backs so far
  ADD COLUMN generation integer NOT NULL DEFAULT 0,
  -- a copy of those in the options, to search by
  ADD COLUMN labels jsonb;
CREATE INDEX executions_by_fork ON executions.executions (tenant, forked_from, created_at DESC, id DESC)
  WHERE forked_from IS NOT NULL;
CREATE INDEX executions_by_label ON executions.executions USING gin (labels jsonb_path_ops) WHERE labels IS NOT NULL;

-- an installation with a history gets the new columns filled by a rebuild
UPDATE projection_versions SET code_version = 2
  WHERE projection = 'executions' AND live AND NOT EXISTS (SELECT FROM executions.events);

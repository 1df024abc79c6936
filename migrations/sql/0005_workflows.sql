-- The read models of the workflow context. As with executions, the schema's name is the projection's, and nothing here may
-- depend on a table by foreign key, trigger or view: a rebuild fills a copy of these tables and then takes its name.

CREATE SCHEMA workflows;

CREATE TABLE workflows.workflows (
  tenant            text NOT NULL,
  id                text NOT NULL,
  name              text NOT NULL,
  description       text,
  latest_version    integer NOT NULL,
  published_version integer,
  active_runs       integer NOT NULL,
  deleted           boolean NOT NULL,
  created_at        timestamptz NOT NULL,
  updated_at        timestamptz NOT NULL,
  version           integer NOT NULL,
  partition         integer NOT NULL,
  log_offset        bigint NOT NULL,
  PRIMARY KEY (tenant, id)
);

CREATE TABLE workflows.versions (
  tenant        text NOT NULL,
  workflow      text NOT NULL,
  version       integer NOT NULL,
  status        text NOT NULL,
  -- a payload: the bundle, or where it is
  bundle        json NOT NULL,
  bundle_hash   text NOT NULL,
  created_at    timestamptz NOT NULL,
  created_by    text NOT NULL,
  published_at  timestamptz,
  deprecated_at timestamptz,
  PRIMARY KEY (tenant, workflow, version)
);

CREATE TABLE workflows.runs (
  tenant       text NOT NULL,
  id           text NOT NULL,
  workflow     text NOT NULL,
  version      integer NOT NULL,
  source       json NOT NULL,
  status       text NOT NULL,
  -- how it ended
  ended        json,
  requested_at timestamptz NOT NULL,
  ended_at     timestamptz,
  PRIMARY KEY (tenant, id)
);
CREATE INDEX runs_by_workflow ON workflows.runs (tenant, workflow, requested_at DESC, id DESC);

CREATE TABLE workflows.schedules (
  tenant        text NOT NULL,
  id            text NOT NULL,
  spec          json NOT NULL,
  status        text NOT NULL,
  -- the last moment that was dealt with
  cursor_at     timestamptz NOT NULL,
  fired         integer NOT NULL,
  skipped       integer NOT NULL,
  last_fired_at timestamptz,
  version       integer NOT NULL,
  partition     integer NOT NULL,
  log_offset    bigint NOT NULL,
  PRIMARY KEY (tenant, id)
);

-- What became of each moment of a schedule; moments that were skipped together are one row.
CREATE TABLE workflows.firings (
  tenant     text NOT NULL,
  schedule   text NOT NULL,
  nominal_at timestamptz NOT NULL,
  outcome    text NOT NULL,
  reason     text,
  count      integer NOT NULL,
  run_id     text,
  ended      json,
  PRIMARY KEY (tenant, schedule, nominal_at)
);
CREATE INDEX firings_by_run ON workflows.firings (tenant, run_id) WHERE run_id IS NOT NULL;

CREATE TABLE workflows.triggers (
  tenant        text NOT NULL,
  id            text NOT NULL,
  spec          json NOT NULL,
  status        text NOT NULL,
  fired         integer NOT NULL,
  ignored       integer NOT NULL,
  last_fired_at timestamptz,
  version       integer NOT NULL,
  partition     integer NOT NULL,
  log_offset    bigint NOT NULL,
  PRIMARY KEY (tenant, id)
);

INSERT INTO projection_versions (projection, generation, code_version, live) VALUES ('workflows', 1, 1, true);

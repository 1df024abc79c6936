-- The read models of the execution context. The schema's name is the projection's: a rebuild fills a copy of these tables
-- (CREATE TABLE ... LIKE ... INCLUDING ALL) in a schema beside this one and then takes its name, so nothing here may
-- depend on a table by foreign key, trigger or view.
--
-- Payloads are `json`, not `jsonb`: what was recorded is returned as it was, including numbers' spelling, the order of
-- members, and strings with U+0000, which jsonb refuses. Nothing queries inside them.

CREATE SCHEMA executions;

CREATE TABLE executions.executions (
  tenant             text NOT NULL,
  id                 text NOT NULL,
  agent              text NOT NULL,
  status             text NOT NULL,
  attempt            integer NOT NULL,
  -- what it waits for: journal paths and labels of everything open, and what `status` needs to be folded further
  pending            json NOT NULL,
  steps_completed    integer NOT NULL,
  cost_micro_credits bigint NOT NULL,
  input_tokens       bigint NOT NULL,
  output_tokens      bigint NOT NULL,
  options            json NOT NULL,
  input              json NOT NULL,
  output             json,
  error              json,
  parent_id          text,
  forked_from        text,
  created_at         timestamptz NOT NULL,
  started_at         timestamptz,
  finished_at        timestamptz,
  version            integer NOT NULL,
  partition          integer NOT NULL,
  log_offset         bigint NOT NULL,
  PRIMARY KEY (tenant, id)
);
-- half of the writes change only unindexed columns: room on the page keeps them heap-only
ALTER TABLE executions.executions SET (fillfactor = 70);
CREATE INDEX executions_newest ON executions.executions (tenant, created_at DESC, id DESC);
CREATE INDEX executions_by_agent ON executions.executions (tenant, agent, created_at DESC, id DESC);
-- few rows are anything but completed; listing those newest first walks executions_newest
CREATE INDEX executions_by_status ON executions.executions (tenant, status, created_at DESC, id DESC)
  WHERE status <> 'completed';
CREATE INDEX executions_by_parent ON executions.executions (tenant, parent_id, created_at DESC, id DESC)
  WHERE parent_id IS NOT NULL;

-- The history of each execution, append-only. The columns after `data` are typed copies of what the timeline shows.
CREATE TABLE executions.events (
  tenant             text NOT NULL,
  execution_id       text NOT NULL,
  version            integer NOT NULL,
  event_id           text NOT NULL,
  type               text NOT NULL,
  time               timestamptz NOT NULL,
  actor              text NOT NULL,
  command_id         text,
  partition          integer NOT NULL,
  log_offset         bigint NOT NULL,
  data               json NOT NULL,
  path               text,
  step_name          text,
  step_kind          text,
  attempt            integer,
  step_attempt       integer,
  started_at         timestamptz,
  duration_ms        double precision,
  model              text,
  input_tokens       bigint,
  output_tokens      bigint,
  cost_micro_credits bigint,
  PRIMARY KEY (tenant, execution_id, version)
);

CREATE TABLE executions.failures (
  tenant       text NOT NULL,
  time         timestamptz NOT NULL,
  execution_id text NOT NULL,
  version      integer NOT NULL,
  agent        text NOT NULL,
  code         text NOT NULL,
  detail       text NOT NULL,
  step_path    text,
  attempt      integer NOT NULL,
  final        boolean NOT NULL,
  PRIMARY KEY (tenant, time, execution_id, version)
);
CREATE INDEX failures_by_execution ON executions.failures (tenant, execution_id, version);

CREATE TABLE executions.agents (
  tenant          text NOT NULL,
  agent           text NOT NULL,
  definition      json NOT NULL,
  definition_hash text NOT NULL,
  registered_at   timestamptz NOT NULL,
  version         integer NOT NULL,
  PRIMARY KEY (tenant, agent)
);

-- Who owns each partition of the execution context, from its claims: where workers connect. Belongs to no tenant.
CREATE TABLE executions.partition_owners (
  partition  integer NOT NULL,
  epoch      integer NOT NULL,
  owner      text NOT NULL,
  endpoint   text,
  claimed_at timestamptz NOT NULL,
  PRIMARY KEY (partition)
);

INSERT INTO projection_versions (projection, generation, code_version, live) VALUES ('executions', 1, 1, true);

-- The read models of the recovery context; see 0003_executions.sql for what holds for all of them.

CREATE SCHEMA recoveries;

CREATE TABLE recoveries.incidents (
  tenant             text NOT NULL,
  -- <execution id>.<number>
  id                 text NOT NULL,
  execution_id       text NOT NULL,
  agent              text NOT NULL,
  status             text NOT NULL,
  class              text,
  classified_by      text,
  fingerprint        text,
  root_cause         json,
  chain              json,
  error              json,
  step               json,
  -- of the latest plan
  plan               integer NOT NULL,
  strategy           text,
  action             json,
  why                text,
  policy             text,
  policy_version     integer,
  attempts           integer NOT NULL,
  cost_micro_credits bigint NOT NULL,
  -- until when a person may answer
  until              timestamptz,
  opened_at          timestamptz NOT NULL,
  updated_at         timestamptz NOT NULL,
  closed_at          timestamptz,
  recovered_in_ms    bigint,
  version            integer NOT NULL,
  partition          integer NOT NULL,
  log_offset         bigint NOT NULL,
  PRIMARY KEY (tenant, id)
);
CREATE INDEX incidents_newest ON recoveries.incidents (tenant, opened_at DESC, id DESC);
CREATE INDEX incidents_by_execution ON recoveries.incidents (tenant, execution_id, opened_at DESC, id DESC);
CREATE INDEX incidents_by_fingerprint ON recoveries.incidents (tenant, fingerprint, opened_at DESC, id DESC);
-- few are open at a time
CREATE INDEX incidents_open ON recoveries.incidents (tenant, status, opened_at DESC, id DESC)
  WHERE status NOT IN ('succeeded', 'given_up', 'dismissed');

-- The whole history of each incident, append-only: every decision with its reasons.
CREATE TABLE recoveries.history (
  tenant      text NOT NULL,
  incident_id text NOT NULL,
  version     integer NOT NULL,
  event_id    text NOT NULL,
  type        text NOT NULL,
  time        timestamptz NOT NULL,
  actor       text NOT NULL,
  data        json NOT NULL,
  PRIMARY KEY (tenant, incident_id, version)
);

-- What was tried and whether it helped: everything that policies may go by.
CREATE TABLE recoveries.tries (
  tenant          text NOT NULL,
  incident_id     text NOT NULL,
  plan            integer NOT NULL,
  time            timestamptz NOT NULL,
  class           text NOT NULL,
  fingerprint     text NOT NULL,
  strategy        text NOT NULL,
  succeeded       boolean NOT NULL,
  recovered_in_ms bigint,
  PRIMARY KEY (tenant, incident_id, plan)
);
CREATE INDEX tries_by_time ON recoveries.tries (tenant, time);

-- Every version of every policy; versions never change.
CREATE TABLE recoveries.policies (
  tenant       text NOT NULL,
  name         text NOT NULL,
  version      integer NOT NULL,
  policy       json NOT NULL,
  note         text,
  published_by text NOT NULL,
  published_at timestamptz NOT NULL,
  PRIMARY KEY (tenant, name, version)
);

-- Which version of a policy is in force; none while it is retired.
CREATE TABLE recoveries.policy_heads (
  tenant     text NOT NULL,
  name       text NOT NULL,
  version    integer NOT NULL,
  retired    boolean NOT NULL,
  changed_at timestamptz NOT NULL,
  PRIMARY KEY (tenant, name)
);

INSERT INTO projection_versions (projection, generation, code_version, live) VALUES ('recoveries', 1, 1, true);

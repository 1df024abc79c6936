-- The read models of the webhook context; see 0003_executions.sql for what holds for all of them.

CREATE SCHEMA webhooks;

CREATE TABLE webhooks.endpoints (
  tenant          text NOT NULL,
  id              text NOT NULL,
  url             text NOT NULL,
  types           text[] NOT NULL,
  workflows       text[],
  agents          text[],
  description     text,
  -- null: enabled
  disabled_reason text,
  disabled_detail text,
  -- when the secret before the newest one ends to sign; null: there was none
  previous_until  timestamptz,
  -- since when every attempt has failed
  failing_since   timestamptz,
  created_by      text NOT NULL,
  created_at      timestamptz NOT NULL,
  updated_at      timestamptz NOT NULL,
  partition       integer NOT NULL,
  log_offset      bigint NOT NULL,
  PRIMARY KEY (tenant, id)
);
CREATE INDEX endpoints_newest ON webhooks.endpoints (tenant, created_at DESC, id DESC);

-- One row for each message and endpoint, however often it was asked for.
CREATE TABLE webhooks.deliveries (
  tenant       text NOT NULL,
  endpoint_id  text NOT NULL,
  id           text NOT NULL,
  type         text NOT NULL,
  body         text NOT NULL,
  occurred_at  timestamptz NOT NULL,
  -- of the latest request
  origin       text NOT NULL,
  requested_at timestamptz NOT NULL,
  -- pending, delivered, dead
  status       text NOT NULL,
  -- all there were
  attempts     integer NOT NULL,
  next_at      timestamptz,
  settled_at   timestamptz,
  last_status  integer,
  -- why it is dead, or was not delivered yet
  why          text,
  PRIMARY KEY (tenant, endpoint_id, id)
);
CREATE INDEX deliveries_newest ON webhooks.deliveries (tenant, endpoint_id, requested_at DESC, id DESC);
CREATE INDEX deliveries_by_status ON webhooks.deliveries (tenant, endpoint_id, status, requested_at DESC, id DESC);

-- Every attempt, append-only.
CREATE TABLE webhooks.attempts (
  tenant      text NOT NULL,
  endpoint_id text NOT NULL,
  delivery_id text NOT NULL,
  -- of the endpoint, after it
  version     integer NOT NULL,
  at          timestamptz NOT NULL,
  took_ms     double precision NOT NULL,
  status      integer,
  answer      text,
  error       text,
  result      text NOT NULL,
  PRIMARY KEY (tenant, endpoint_id, delivery_id, version)
);

CREATE TABLE webhooks.replays (
  tenant       text NOT NULL,
  endpoint_id  text NOT NULL,
  id           text NOT NULL,
  from_at      timestamptz NOT NULL,
  to_at        timestamptz NOT NULL,
  types        text[],
  -- running, finished, stopped
  status       text NOT NULL,
  found        integer,
  requested_by text NOT NULL,
  requested_at timestamptz NOT NULL,
  finished_at  timestamptz,
  PRIMARY KEY (tenant, endpoint_id, id)
);

INSERT INTO projection_versions (projection, generation, code_version, live) VALUES ('webhooks', 1, 1, true);

-- Secrets of webhooks, of those that come in and those that go out, wrapped by the key management. No read model: nothing else
-- has them, and what is deleted here is gone.
CREATE TABLE webhook_secrets (
  id         text PRIMARY KEY,
  tenant     text NOT NULL,
  -- whose: trigger/<id>, webhook_endpoint/<id>
  owner      text NOT NULL,
  wrapped    bytea NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX webhook_secrets_by_owner ON webhook_secrets (tenant, owner);
GRANT SELECT, INSERT, DELETE ON webhook_secrets TO omium_app;

-- The read models of the checkpoint context; the rules of 0003_executions.sql hold here too. What is searched is `jsonb` and
-- holds no U+0000; everything that is only shown is `json`.

CREATE SCHEMA checkpoints;

CREATE TABLE checkpoints.checkpoints (
  tenant        text NOT NULL,
  thread        text NOT NULL,
  namespace     text NOT NULL,
  -- compared byte by byte, as programs do that make ids which sort by time
  id            text COLLATE "C" NOT NULL,
  -- version of the thread that created it: the order of creation within the thread
  seq           integer NOT NULL,
  parent        text,
  needs_parent  boolean NOT NULL,
  kind          text NOT NULL,
  corrupted     boolean NOT NULL,
  superseded    boolean NOT NULL,
  format        text NOT NULL,
  object        json NOT NULL,
  label         text,
  metadata      jsonb NOT NULL,
  execution_id  text,
  point         json,
  pins          text[] NOT NULL,
  created_at    timestamptz NOT NULL,
  version       integer NOT NULL,
  partition     integer NOT NULL,
  log_offset    bigint NOT NULL,
  PRIMARY KEY (tenant, thread, namespace, id)
);
CREATE INDEX checkpoints_in_thread ON checkpoints.checkpoints (tenant, thread, seq DESC);
CREATE INDEX checkpoints_newest ON checkpoints.checkpoints (tenant, created_at DESC, thread DESC, seq DESC);
CREATE INDEX checkpoints_by_id ON checkpoints.checkpoints (tenant, id DESC);

-- What tasks wrote on top of a checkpoint, which may come later than the writes.
CREATE TABLE checkpoints.writes (
  tenant     text NOT NULL,
  thread     text NOT NULL,
  namespace  text NOT NULL,
  id         text NOT NULL,
  version    integer NOT NULL,
  data       json NOT NULL,
  partition  integer NOT NULL,
  log_offset bigint NOT NULL,
  PRIMARY KEY (tenant, thread, namespace, id, version)
);

CREATE TABLE checkpoints.retentions (
  tenant    text NOT NULL,
  thread    text NOT NULL,
  retention json NOT NULL,
  version   integer NOT NULL,
  PRIMARY KEY (tenant, thread)
);

INSERT INTO projection_versions (projection, generation, code_version, live) VALUES ('checkpoints', 1, 1, true);

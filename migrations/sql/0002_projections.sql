-- How far each projection is. These rows change in the transaction that changes the read model, and in no other.

-- `live` is the generation that readers see, in the schema named like the projection; larger ones are being rebuilt.
CREATE TABLE projection_versions (
  projection   text NOT NULL,
  generation   integer NOT NULL,
  -- version of the code that filled it; another one means that contents may rightly differ
  code_version integer NOT NULL,
  live         boolean NOT NULL,
  created_at   timestamptz NOT NULL DEFAULT now(),
  switched_at  timestamptz,
  PRIMARY KEY (projection, generation)
);
CREATE UNIQUE INDEX projection_versions_one_live ON projection_versions (projection) WHERE live;

CREATE TABLE projection_offsets (
  projection   text NOT NULL,
  generation   integer NOT NULL,
  partition    integer NOT NULL,
  next_offset  bigint NOT NULL,
  updated_at   timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (projection, generation, partition)
);

-- State of the log's acceptance fold at `next_offset`, so that a reader starts in the middle. Always disposable.
CREATE TABLE projection_checkpoints (
  projection   text NOT NULL,
  generation   integer NOT NULL,
  partition    integer NOT NULL,
  next_offset  bigint NOT NULL,
  body         bytea NOT NULL,
  updated_at   timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (projection, generation, partition)
);

-- Records that a projection could not apply, and why. The record itself stays on the log at this position.
CREATE TABLE dead_letters (
  projection   text NOT NULL,
  topic        text NOT NULL,
  partition    integer NOT NULL,
  log_offset   bigint NOT NULL,
  tenant       text,
  aggregate    text,
  type         text,
  code         text NOT NULL,
  detail       text NOT NULL,
  recorded_at  timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (projection, topic, partition, log_offset)
);
CREATE INDEX dead_letters_by_tenant ON dead_letters (tenant, recorded_at DESC);

-- Second factors. They belong to people, not to tenants; what they are proved with is here as it is on the log: sealed, or digests.

ALTER TABLE identity.tenants ADD COLUMN mfa_required boolean NOT NULL DEFAULT false;
ALTER TABLE identity.sessions ADD COLUMN mfa_at timestamptz;

CREATE TABLE identity.factors (
  user_id      text NOT NULL,
  id           text NOT NULL,
  kind         text NOT NULL,
  label        text NOT NULL,
  material     text NOT NULL,
  added_at     timestamptz NOT NULL,
  used_at      timestamptz,
  -- when its counter went back: there may be a copy of it
  suspected_at timestamptz,
  PRIMARY KEY (user_id, id)
);

-- Those that nobody has used yet.
CREATE TABLE identity.recovery_codes (
  user_id text NOT NULL,
  code    text NOT NULL,
  PRIMARY KEY (user_id, code)
);

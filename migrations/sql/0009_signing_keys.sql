-- Keys that sign access tokens. Private halves are wrapped by the key management; no read model and no log has them.

CREATE TABLE signing_keys (
  kid             text PRIMARY KEY,
  public_jwk      jsonb NOT NULL,
  wrapped_private bytea NOT NULL,
  signs_from      timestamptz NOT NULL,
  signs_until     timestamptz NOT NULL,
  CHECK (signs_from < signs_until)
);

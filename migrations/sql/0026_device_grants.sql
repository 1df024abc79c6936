-- Programs without a browser that ask for a session, and what a person said to them. Codes are keyed digests; who asked can be
-- read only with the person's code. No column is a tenant's: nobody belongs to one here yet.
CREATE TABLE identity.device_grants (
  id          text NOT NULL PRIMARY KEY,
  device      text NOT NULL,
  code        text NOT NULL,
  asker       text NOT NULL,
  -- asked, approved, denied or over; whether it has expired is for the reader's clock
  status      text NOT NULL,
  expires_at  timestamptz NOT NULL,
  -- of the approval: who let it in, and as what the session begins
  approval    jsonb
);
CREATE INDEX device_grants_by_code ON identity.device_grants (code);

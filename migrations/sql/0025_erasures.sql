-- What was asked to be erased, and what became of it. Of a whole person it is under the platform's name and the user's id, of
-- what one tenant held of somebody under the tenant's.

CREATE TABLE identity.erasures (
  tenant       text NOT NULL,
  id           text NOT NULL,
  -- whom, as far as they were known
  user_id      text,
  requested_by text NOT NULL,
  requested_at timestamptz NOT NULL,
  completed_at timestamptz,
  -- what has ended by it
  memberships  integer NOT NULL,
  invitations  integer NOT NULL,
  PRIMARY KEY (tenant, id)
);

-- Of an erased user nothing stays, not even what nobody can open any more.
ALTER TABLE identity.users ALTER COLUMN email DROP NOT NULL;

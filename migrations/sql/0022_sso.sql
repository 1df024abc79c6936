-- Enterprise sign-in: part of the read model of the identity context. Secrets are here as they are on the log: sealed.

ALTER TABLE identity.tenants ADD COLUMN sso_required boolean NOT NULL DEFAULT false;

CREATE TABLE identity.sso_connections (
  tenant       text NOT NULL,
  id           text NOT NULL,
  name         text NOT NULL,
  -- draft, active or disabled
  status       text NOT NULL,
  domains      text[] NOT NULL,
  settings     json NOT NULL,
  rules        json NOT NULL,
  default_role text,
  created_at   timestamptz NOT NULL,
  changed_at   timestamptz NOT NULL,
  tested_at    timestamptz,
  -- ok, or an error's code
  test_outcome text,
  PRIMARY KEY (tenant, id)
);
-- people who sign in belong to no tenant yet
CREATE INDEX sso_connections_by_id ON identity.sso_connections (id);

CREATE TABLE identity.domains (
  tenant        text NOT NULL,
  domain        text NOT NULL,
  token         text NOT NULL,
  -- pending, verified, missing or lapsed
  status        text NOT NULL,
  claimed_at    timestamptz NOT NULL,
  verified_at   timestamptz,
  missing_since timestamptz,
  PRIMARY KEY (tenant, domain)
);
-- whose an address is, before anybody is known; one tenant at most
CREATE UNIQUE INDEX domains_owned ON identity.domains (domain) WHERE status IN ('verified', 'missing');

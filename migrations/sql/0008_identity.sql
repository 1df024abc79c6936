-- Who may use the installation. The read model of the identity context takes the place of the first tables; see
-- 0003_executions.sql for what holds for all read models. Personal data is here as it is on the log: sealed.

DROP TABLE api_keys;
DROP TABLE tenants;

CREATE SCHEMA identity;

-- To whom an e-mail address (its keyed digest) belongs.
CREATE TABLE identity.addresses (
  digest  text NOT NULL PRIMARY KEY,
  user_id text NOT NULL
);

CREATE TABLE identity.users (
  id            text NOT NULL PRIMARY KEY,
  address       text NOT NULL,
  email         text NOT NULL,
  name          text,
  -- the tenant that was founded with them
  tenant        text,
  registered_at timestamptz NOT NULL,
  erased_at     timestamptz
);

CREATE TABLE identity.logins (
  user_id   text NOT NULL,
  method    text NOT NULL,
  issuer    text NOT NULL,
  subject   text NOT NULL,
  linked_at timestamptz NOT NULL,
  PRIMARY KEY (user_id, method, issuer, subject)
);
CREATE INDEX logins_by_subject ON identity.logins (subject);

CREATE TABLE identity.tenants (
  tenant     text NOT NULL PRIMARY KEY,
  name       text NOT NULL,
  -- addresses that its people and keys may come from; empty: any
  ranges     text[] NOT NULL,
  founded_at timestamptz NOT NULL
);

CREATE TABLE identity.memberships (
  tenant  text NOT NULL,
  user_id text NOT NULL,
  role    text NOT NULL,
  since   timestamptz NOT NULL,
  PRIMARY KEY (tenant, user_id)
);
CREATE INDEX memberships_by_user ON identity.memberships (user_id, tenant);

CREATE TABLE identity.invitations (
  tenant     text NOT NULL,
  id         text NOT NULL,
  address    text NOT NULL,
  email      text NOT NULL,
  role       text NOT NULL,
  -- open, accepted or revoked; whether an open one has expired is for the reader's clock
  status     text NOT NULL,
  invited_by text NOT NULL,
  invited_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (tenant, id)
);
CREATE INDEX invitations_by_address ON identity.invitations (address) WHERE status = 'open';

CREATE TABLE identity.api_keys (
  tenant      text NOT NULL,
  id          text NOT NULL,
  name        text NOT NULL,
  environment text NOT NULL,
  prefix      text NOT NULL,
  -- HMAC-SHA-256 of the whole key under the pepper of this version, hex
  digest      text NOT NULL,
  pepper      integer NOT NULL,
  permissions text[] NOT NULL,
  workflows   text[],
  agents      text[],
  ranges      text[] NOT NULL,
  created_by  text NOT NULL,
  created_at  timestamptz NOT NULL,
  -- its own expiry, or the end of the overlap with its successor
  expires_at  timestamptz,
  replaces    text,
  successor   text,
  revoked_at  timestamptz,
  revoked_by  text,
  PRIMARY KEY (tenant, id)
);
-- the one look-up that happens before the tenant is known
CREATE INDEX api_keys_by_id ON identity.api_keys (id);

CREATE TABLE identity.sessions (
  id               text NOT NULL PRIMARY KEY,
  user_id          text NOT NULL,
  tenant           text NOT NULL,
  method           text NOT NULL,
  issuer           text NOT NULL,
  subject          text NOT NULL,
  amr              text[] NOT NULL,
  client           text NOT NULL,
  authenticated_at timestamptz NOT NULL,
  started_at       timestamptz NOT NULL,
  refreshed_at     timestamptz NOT NULL,
  expires_at       timestamptz NOT NULL,
  generation       integer NOT NULL,
  ended_at         timestamptz,
  ended_why        text
);
CREATE INDEX sessions_by_user ON identity.sessions (user_id, started_at DESC, id DESC);

INSERT INTO projection_versions (projection, generation, code_version, live) VALUES ('identity', 1, 1, true);

-- When a key was last used; no read model, since the log does not say it. Coarse, and nothing depends on it.
CREATE TABLE api_key_uses (
  tenant  text NOT NULL,
  id      text NOT NULL,
  used_at timestamptz NOT NULL,
  PRIMARY KEY (tenant, id)
);

-- Keys of personal data, wrapped by the KMS. No log and no read model: what is destroyed here is gone.
CREATE TABLE subject_keys (
  subject      text NOT NULL,
  version      integer NOT NULL,
  -- null once it is destroyed
  wrapped      bytea,
  created_at   timestamptz NOT NULL DEFAULT now(),
  destroyed_at timestamptz,
  PRIMARY KEY (subject, version)
);

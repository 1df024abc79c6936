-- Who may use the installation. A key is stored as a hash only; its prefix lets a person recognise it.

CREATE TABLE tenants (
  tenant     text PRIMARY KEY,
  name       text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE api_keys (
  tenant       text NOT NULL REFERENCES tenants (tenant),
  id           text NOT NULL,
  name         text NOT NULL,
  prefix       text NOT NULL,
  -- SHA-256 of the whole key; keys carry at least 128 random bits, so a slow hash would add nothing
  hash         bytea NOT NULL CHECK (octet_length(hash) = 32),
  scopes       text[] NOT NULL DEFAULT '{}',
  created_at   timestamptz NOT NULL DEFAULT now(),
  expires_at   timestamptz,
  revoked_at   timestamptz,
  last_used_at timestamptz,
  PRIMARY KEY (tenant, id)
);

-- the one look-up that happens before the tenant is known
CREATE UNIQUE INDEX api_keys_by_hash ON api_keys (hash);

-- The second wall between tenants. The gateways read as the role omium_app (the runner makes it), which owns nothing and to which
-- row-level security shows the rows of one tenant, or of one user: those that the statement's transaction names in the settings
-- omium.tenant and omium.user. Where nothing is named there are no rows. See projections/kit/src/reads.ts for how it is named.
--
-- Everything else (projections, consumers, migrations) works as the tables' owner, whom row-level security leaves alone. It is not
-- forced on the owner: PostgreSQL refuses COPY FROM, with which projections write, to whoever it applies to.

CREATE SCHEMA access;
GRANT USAGE ON SCHEMA access TO omium_app;

-- Builds the walls around every table of a schema that has none yet, for the runner after each migration and for rebuilds, whose
-- copies of tables come without. A column `tenant` says whose a row is, `user_id` which person's. Tables of read models become
-- readable; what is outside of them is granted table by table.
CREATE FUNCTION access.build_walls(namespace text) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  tenant_is CONSTANT text := $q$tenant = current_setting('omium.tenant', true)$q$;
  user_is CONSTANT text := $q$ = current_setting('omium.user', true)$q$;
  one record;
  visible text;
BEGIN
  IF namespace <> 'public' THEN
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO omium_app', namespace);
  END IF;
  FOR one IN
    SELECT c.oid::regclass AS name, c.relname, c.relrowsecurity,
           bool_or(a.attname = 'tenant') AS of_tenant, bool_or(a.attname = 'user_id') AS of_user
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relnamespace = quote_ident(namespace)::regnamespace AND c.relkind IN ('r', 'p')
    GROUP BY c.oid
  LOOP
    IF namespace <> 'public' THEN
      EXECUTE format('GRANT SELECT ON %s TO omium_app', one.name);
    END IF;
    CONTINUE WHEN one.relrowsecurity OR NOT (one.of_tenant OR one.of_user);
    visible := CASE
      -- a person is visible to themselves and to the tenants that they are a member of, not to the one they founded
      WHEN namespace ~ '^identity(_g\d+)?$' AND one.relname = 'users' THEN
        format('id%s OR EXISTS (SELECT FROM %I.memberships m WHERE m.user_id = id AND m.%s)', user_is, namespace, tenant_is)
      -- a tenant is visible to itself and to its members
      WHEN namespace ~ '^identity(_g\d+)?$' AND one.relname = 'tenants' THEN
        format('%s OR EXISTS (SELECT FROM %I.memberships m WHERE m.tenant = tenants.tenant AND m.user_id%s)',
               tenant_is, namespace, user_is)
      ELSE concat_ws(' OR ', CASE WHEN one.of_tenant THEN tenant_is END, CASE WHEN one.of_user THEN 'user_id' || user_is END)
    END;
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', one.name);
    EXECUTE format('CREATE POLICY own_rows ON %s TO omium_app USING (%s)', one.name, visible);
  END LOOP;
END $$;
REVOKE ALL ON FUNCTION access.build_walls FROM PUBLIC;

-- What is asked before it is known whose it is. Each answers for one name that cannot be guessed, and tells no more than needed.

-- A request brings an API key: whose is it? Ids of keys are random; the key's hash is compared afterwards, among that tenant's rows.
CREATE FUNCTION access.tenants_of_api_key(key_id text) RETURNS TABLE (tenant text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
$$ SELECT k.tenant FROM identity.api_keys k WHERE k.id = key_id LIMIT 10 $$;

-- Somebody signs in who has proved that an address (its keyed digest) is theirs.
CREATE FUNCTION access.user_of_address(address_digest text) RETURNS TABLE (user_id text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
$$ SELECT a.user_id FROM identity.addresses a WHERE a.digest = address_digest $$;

-- Somebody signs in whom an identity provider knows by this subject.
CREATE FUNCTION access.user_of_login(login_method text, login_issuer text, login_subject text) RETURNS TABLE (user_id text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
$$ SELECT l.user_id FROM identity.logins l
   WHERE l.subject = login_subject AND l.method = login_method AND l.issuer = login_issuer $$;

-- Whoever has an address is told which tenants invite it, before they are a member of any.
CREATE FUNCTION access.invitations_of_address(address_digest text, expire_after timestamptz) RETURNS TABLE (
  tenant text, id text, address text, email text, role text, status text, invited_by text, invited_at timestamptz,
  expires_at timestamptz, tenant_name text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
$$ SELECT i.tenant, i.id, i.address, i.email, i.role, i.status, i.invited_by, i.invited_at, i.expires_at, t.name
   FROM identity.invitations i JOIN identity.tenants t USING (tenant)
   WHERE i.address = address_digest AND i.status = 'open' AND i.expires_at > expire_after
   ORDER BY i.invited_at DESC LIMIT 100 $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA access FROM PUBLIC;
GRANT EXECUTE ON FUNCTION access.tenants_of_api_key, access.user_of_address, access.user_of_login,
  access.invitations_of_address TO omium_app;

-- How far read models are, and where the gateways begin to follow the log: nobody's rows.
GRANT SELECT ON projection_versions, projection_offsets, projection_checkpoints TO omium_app;
-- Gateways note when a key was used, make keys of people's data when they seal it, and share the keys that sign tokens.
GRANT SELECT, INSERT, UPDATE ON api_key_uses TO omium_app;
GRANT SELECT, INSERT ON subject_keys TO omium_app;
GRANT SELECT, INSERT, DELETE ON signing_keys TO omium_app;

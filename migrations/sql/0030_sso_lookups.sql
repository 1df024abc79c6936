-- What enterprise sign-in asks before it is known whose it is (see 0024_walls.sql).
SET LOCAL check_function_bodies = off;

-- An identity provider answers about a connection, whose id is in its address.
CREATE FUNCTION access.tenant_of_sso_connection(connection_id text) RETURNS TABLE (tenant text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
$$ SELECT c.tenant FROM identity.sso_connections c WHERE c.id = connection_id LIMIT 10 $$;

-- Somebody types an address: which connections does the owner of its domain use?
CREATE FUNCTION access.sso_connections_of_domain(address_domain text) RETURNS TABLE (tenant text, id text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
$$ SELECT c.tenant, c.id FROM identity.domains d
   JOIN identity.sso_connections c ON c.tenant = d.tenant AND c.status = 'active' AND d.domain = ANY (c.domains)
   WHERE d.domain = address_domain AND d.status IN ('verified', 'missing') $$;

REVOKE ALL ON FUNCTION access.tenant_of_sso_connection, access.sso_connections_of_domain FROM PUBLIC;
GRANT EXECUTE ON FUNCTION access.tenant_of_sso_connection, access.sso_connections_of_domain TO omium_app;

-- Lists that had no index in their order: all of a tenant's rows were sorted for each page.

CREATE INDEX api_keys_newest ON identity.api_keys (tenant, created_at DESC, id DESC);
CREATE INDEX memberships_oldest ON identity.memberships (tenant, since, user_id);
CREATE INDEX invitations_newest ON identity.invitations (tenant, invited_at DESC, id DESC) WHERE status = 'open';
CREATE INDEX replays_newest ON webhooks.replays (tenant, endpoint_id, requested_at DESC, id DESC);

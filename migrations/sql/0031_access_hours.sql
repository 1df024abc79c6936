-- When a tenant and its API keys may be used: windows of days, times and a time zone; none: at any time.

ALTER TABLE identity.tenants ADD COLUMN hours json NOT NULL DEFAULT '[]';
ALTER TABLE identity.api_keys ADD COLUMN hours json NOT NULL DEFAULT '[]';

-- Which secrets of webhooks an event has put in force. Those of before are found in their events again, which are read anew.

ALTER TABLE webhook_secrets
  -- offset of the newest event that has it in force; null: none is known, and none may come (the command was refused, or never sent)
  ADD COLUMN in_force_at bigint;
CREATE INDEX webhook_secrets_in_doubt ON webhook_secrets (created_at) WHERE in_force_at IS NULL;

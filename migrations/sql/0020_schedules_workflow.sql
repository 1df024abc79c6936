-- Schedules are listed by workflow. Taken out of the spec, since a spec may hold what `->>` refuses ("\u0000" in a parameter).

ALTER TABLE workflows.schedules ADD COLUMN workflow text;
UPDATE workflows.schedules SET workflow = spec ->> 'workflow' WHERE position('\u0000' IN spec::text) = 0;
CREATE INDEX schedules_by_workflow ON workflows.schedules (tenant, workflow, id);

"""Days of workloads whose cost has changed, for whatever rests on it: an outbox, filled by the rating's transaction."""

from django.db import migrations

TABLE = """
CREATE TABLE costs_changed_day (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    workload_id bigint NOT NULL,
    day date NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO costs_changed_day (workload_id, day)
SELECT DISTINCT workload_id, day FROM costs_line WHERE workload_id IS NOT NULL;
"""


class Migration(migrations.Migration):
    dependencies = [("costs", "0004_owner_month")]
    operations = [migrations.RunSQL(TABLE, "DROP TABLE costs_changed_day")]

"""What each workload costs a month, in one narrow row: by it the pages rank thousands of workloads over a year."""

from django.db import migrations

TABLE = """
CREATE TABLE costs_owner_month (
    charge_month date NOT NULL,
    workload_id bigint,
    basis text NOT NULL,
    role text NOT NULL,
    amount_org numeric(38,18) NOT NULL DEFAULT 0,
    requests bigint NOT NULL DEFAULT 0,
    lines bigint NOT NULL DEFAULT 0,
    CONSTRAINT costs_owner_month_key UNIQUE NULLS NOT DISTINCT (charge_month, workload_id, basis, role)
);
INSERT INTO costs_owner_month
SELECT charge_month, workload_id, basis, role, sum(amount_org), sum(requests), sum(lines)
FROM costs_month GROUP BY 1, 2, 3, 4;
"""


class Migration(migrations.Migration):
    dependencies = [("costs", "0003_tables")]
    operations = [migrations.RunSQL(TABLE, "DROP TABLE costs_owner_month")]

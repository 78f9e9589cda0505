"""Bills of which a role was said are looked at again: it reaches their tokens or GPU time, and what else is on them
only where both check.

Their days are queued and worked out by the next rating; signed months get corrections.
"""

from django.db import migrations

QUEUE = """
INSERT INTO costs_dirty_day (day, identity_id, reason, recorded_at)
SELECT DISTINCT day::date, c.identity_id, 'bill role', now()
FROM core_organisation o CROSS JOIN usage_charge c JOIN sources_part p ON p.id = c.part_id
CROSS JOIN LATERAL generate_series(
    (c.charge_start AT TIME ZONE o.zone)::date,
    CASE WHEN c.accrued THEN ((c.charge_end - interval '1 microsecond') AT TIME ZONE o.zone)::date
        ELSE (c.charge_start AT TIME ZONE o.zone)::date END, interval '1 day') day
WHERE p.source_id IN (SELECT source_id FROM sources_role)
"""


class Migration(migrations.Migration):
    dependencies = (("costs", "0007_bill_roles"), ("sources", "0002_initial"), ("usage", "0003_corrections"))
    operations = (migrations.RunSQL(QUEUE, migrations.RunSQL.noop),)

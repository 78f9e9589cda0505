"""Bills are looked at again: what of them no log holds (GPU time, transfer, storage, taxes, credits) counts from now on.

Their days are queued and worked out by the next rating; signed months get corrections.
"""

from django.db import migrations

QUEUE = """
INSERT INTO costs_dirty_day (day, identity_id, reason, recorded_at)
SELECT DISTINCT day::date, c.identity_id, 'bill role', now()
FROM core_organisation o CROSS JOIN usage_charge c CROSS JOIN LATERAL generate_series(
    (c.charge_start AT TIME ZONE o.zone)::date,
    CASE WHEN c.accrued THEN ((c.charge_end - interval '1 microsecond') AT TIME ZONE o.zone)::date
        ELSE (c.charge_start AT TIME ZONE o.zone)::date END, interval '1 day') day
"""


class Migration(migrations.Migration):
    dependencies = (("costs", "0006_corrections"), ("usage", "0003_corrections"), ("core", "0003_signed_months"))
    operations = (migrations.RunSQL(QUEUE, migrations.RunSQL.noop),)

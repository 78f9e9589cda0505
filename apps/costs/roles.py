"""Saying that a source counts or checks: the role and the days it concerns, in one transaction."""

from datetime import datetime

from django.db import connection, transaction

from apps.core import organisation
from apps.core.actor import Actor
from apps.sources import services as sources
from apps.sources.models import Measure, Source, SourceRole
from apps.workloads.models import Workload


@transaction.atomic
def set_role(
    *,
    actor: Actor,
    source: Source,
    measure: Measure,
    role: SourceRole.Role,
    valid_from: datetime,
    workload: Workload | None = None,
) -> SourceRole:
    """The role holds from a full hour on; what lies after it is worked out again by the next rating."""
    made = sources.set_role(
        actor=actor, source=source, measure=measure, role=role, valid_from=valid_from, workload=workload
    )
    zone = organisation.get().zone
    with connection.cursor() as cursor:
        cursor.execute(_MARK, [zone, source.pk, valid_from, zone, zone, zone, source.pk, valid_from])
    return made


_MARK = """
INSERT INTO costs_dirty_day (day, identity_id, reason, recorded_at)
SELECT DISTINCT day, identity_id, 'role', now() FROM (
    SELECT (h.hour AT TIME ZONE %s)::date AS day, s.identity_id
    FROM sources_part p JOIN usage_series s ON s.part_id = p.id JOIN usage_hour h ON h.series_id = s.id
    WHERE p.source_id = %s AND h.hour >= %s
    UNION ALL
    SELECT day::date, c.identity_id
    FROM sources_part p JOIN usage_charge c ON c.part_id = p.id, generate_series(
        (c.charge_start AT TIME ZONE %s)::date,
        CASE WHEN c.accrued THEN ((c.charge_end - interval '1 microsecond') AT TIME ZONE %s)::date
            ELSE (c.charge_start AT TIME ZONE %s)::date END, interval '1 day') day
    WHERE p.source_id = %s AND c.charge_end > %s
) touched
"""

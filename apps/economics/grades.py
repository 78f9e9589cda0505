"""The grade table: what an hour of a kind of work costs. Analysts and administrators keep it, and only they see it."""

from datetime import date
from decimal import Decimal

from django.db import connection, transaction

from apps.accounts import rights
from apps.accounts.rights import Right
from apps.core import audit
from apps.core.actor import Actor
from apps.core.errors import BadInput, Conflict
from apps.economics.models import Grade, GradeRate

HIGHEST = Decimal(100_000)


@transaction.atomic
def add_grade(*, actor: Actor, name: str) -> Grade:
    rights.require(actor, Right.SEE_GRADES)
    text = " ".join(name.split())
    if not text or len(text) > 80:
        raise BadInput("A grade has a name of 1 to 80 characters.")
    if Grade.objects.filter(name__iexact=text).exists():
        raise Conflict(f"There is a grade “{text}” already.")
    grade = Grade.objects.create(name=text)
    audit.record(actor=actor, verb="added grade", subject=grade, data={"name": text})
    return grade


@transaction.atomic
def add_grade_with_rate(*, actor: Actor, name: str, hourly: Decimal, valid_from: date) -> Grade:
    """A grade and what an hour of it costs, both or neither."""
    grade = add_grade(actor=actor, name=name)
    set_grade_rate(actor=actor, grade=grade, hourly=hourly, valid_from=valid_from)
    return grade


@transaction.atomic
def set_grade_rate(*, actor: Actor, grade: Grade, hourly: Decimal, valid_from: date) -> GradeRate:
    """A rate holds from its day until the next one; months that are not signed are worked out again.

    The audit trail says that it changed, not to what: the trail is read by more people than the table.
    """
    rights.require(actor, Right.SEE_GRADES)
    if not hourly.is_finite() or not 0 < hourly <= HIGHEST:
        raise BadInput(f"An hourly rate lies above 0 and at {HIGHEST:,} at most.")
    rate = GradeRate.objects.create(grade=grade, hourly=hourly, valid_from=valid_from, recorded_by_id=actor.person_id)
    audit.record(actor=actor, verb="set hourly rate", subject=grade, data={"rate": rate.pk, "valid_from": valid_from})
    with connection.cursor() as cursor:
        cursor.execute(_MARK, {"grade": grade.pk, "first": valid_from.replace(day=1)})
    return rate


_MARK = """
INSERT INTO economics_dirty (workload_id, month, reason, recorded_at)
SELECT DISTINCT m.workload_id, m.month, 'hourly rate', now()
FROM economics_month m JOIN economics_value_case c ON c.workload_id = m.workload_id
WHERE m.is_current AND m.month >= %(first)s AND (c.grade_id = %(grade)s OR c.review_grade_id = %(grade)s)
    AND c.counts_from < m.month + interval '1 month' AND c.counts_to > m.month
"""

"""The organisation, its months, and what was done: nothing here knows a domain word."""

import pgtrigger
from django.db import models
from django.db.models.functions import Now


def _no_truncate() -> pgtrigger.Trigger:
    """TRUNCATE passes row triggers by, so it has its own."""
    return pgtrigger.Trigger(
        name="no_truncate",
        when=pgtrigger.Before,
        operation=pgtrigger.Truncate,
        level=pgtrigger.Statement,
        func="RAISE EXCEPTION 'Cannot truncate the append-only table %', TG_TABLE_NAME;",
    )


class Organisation(models.Model):
    """The one organisation of a database. Its zone decides in which month an hour counts."""

    name = models.CharField(max_length=120)
    currency = models.CharField(max_length=3, default="USD")
    zone = models.CharField(max_length=64, default="UTC")
    fiscal_start = models.PositiveSmallIntegerField(
        default=1, help_text="Month in which the fiscal year begins, 1 to 12."
    )
    governed_since = models.DateField(null=True, blank=True)
    settings = models.JSONField(default=dict, blank=True)
    only = models.BooleanField(default=True, editable=False, unique=True)

    class Meta:
        db_table = "core_organisation"
        constraints = (
            models.CheckConstraint(name="core_organisation_is_one", condition=models.Q(only=True)),
            models.CheckConstraint(
                name="core_organisation_currency", condition=models.Q(currency__regex=r"^[A-Z]{3}$")
            ),
            models.CheckConstraint(name="core_organisation_fiscal", condition=models.Q(fiscal_start__range=(1, 12))),
        )

    def __str__(self) -> str:
        return self.name


class Period(models.Model):
    """An accounting month, half-open in the organisation's zone, and whether it is signed."""

    class State(models.TextChoices):
        OPEN = "open", "open"
        CLOSING = "closing", "closing"
        SIGNED = "signed", "signed"
        REOPENED = "reopened", "reopened"

    month = models.DateField(primary_key=True, help_text="The first day of the month.")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    state = models.CharField(max_length=8, choices=State.choices, default=State.OPEN)
    revision = models.PositiveIntegerField(default=0)
    signed_at = models.DateTimeField(null=True, blank=True)
    pack_sha256 = models.CharField(max_length=64, blank=True)

    class Meta:
        db_table = "core_period"
        constraints = (
            models.CheckConstraint(name="core_period_half_open", condition=models.Q(starts_at__lt=models.F("ends_at"))),
            models.CheckConstraint(name="core_period_first_day", condition=models.Q(month__day=1)),
        )

    def __str__(self) -> str:
        return f"{self.month:%B %Y}"


class AuditEvent(models.Model):
    """One thing that was done. Written in the transaction of the deed; never changed afterwards.

    Persons stand here as ids: names live with the accounts and can be erased.
    """

    at = models.DateTimeField(db_default=Now())
    person_id = models.BigIntegerField(null=True)
    actor = models.CharField(max_length=80, blank=True, help_text="What acted when no person did: a task, a command.")
    channel = models.CharField(max_length=8)
    verb = models.CharField(max_length=60)
    subject_kind = models.CharField(max_length=60, blank=True)
    subject_id = models.CharField(max_length=60, blank=True)
    data = models.JSONField(default=dict)

    class Meta:
        db_table = "core_audit_event"
        indexes = (
            models.Index(fields=("subject_kind", "subject_id", "id"), name="core_audit_subject"),
            models.Index(fields=("person_id", "id"), name="core_audit_person"),
            models.Index(fields=("at",), name="core_audit_at"),
        )
        triggers = (
            pgtrigger.Protect(name="append_only", operation=pgtrigger.Update | pgtrigger.Delete),
            _no_truncate(),
        )

    def __str__(self) -> str:
        return f"{self.id} {self.verb} {self.subject_kind} {self.subject_id}".strip()


class AuditSeal(models.Model):
    """The link of one audit event in the hash chain; `position` is the order of sealing, without gaps."""

    position = models.BigIntegerField(primary_key=True)
    event = models.OneToOneField(AuditEvent, on_delete=models.PROTECT, related_name="seal")
    sha256 = models.CharField(max_length=64)

    class Meta:
        db_table = "core_audit_seal"
        triggers = (
            pgtrigger.Protect(name="append_only", operation=pgtrigger.Update | pgtrigger.Delete),
            _no_truncate(),
        )

    def __str__(self) -> str:
        return f"{self.position} {self.sha256[:12]}"

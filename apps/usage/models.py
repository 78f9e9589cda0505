"""Usage as it was reported: who spent (identity), on what (series), how much an hour, and bills at their own width."""

from collections.abc import Sequence

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from apps.catalog.models import Offering
from apps.core.money import MoneyField
from apps.sources.models import Part, Source


class CallKind(models.TextChoices):
    TOKEN = "token", "delivered"
    RETRY_FAILED = "retry_failed", "failed attempt"
    FALLBACK = "fallback", "fallback"


def label_of(pairs: Sequence[Sequence[str]]) -> str:
    """A spender as people say it: the value alone where one pair names it, else all pairs with their kinds."""
    if len(pairs) == 1:
        return str(pairs[0][1])
    return " / ".join(f"{kind} {value}" for kind, value in pairs) or "no key"


class Identity(models.Model):
    """The (kind, value) pairs by which a source names a spender; `digest` is SHA-256 of their canonical JSON."""

    source = models.ForeignKey(Source, on_delete=models.PROTECT, related_name="identities")
    pairs = models.JSONField()
    digest = models.CharField(max_length=64)
    first_seen = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "usage_identity"
        constraints = (models.UniqueConstraint(name="usage_identity_digest", fields=("source", "digest")),)

    def __str__(self) -> str:
        return self.label

    @property
    def label(self) -> str:
        return label_of(self.pairs)


class Series(models.Model):
    """Everything of an hour's key that is not the hour; a few thousand rows, so that hours stay narrow."""

    part = models.ForeignKey(Part, on_delete=models.PROTECT, related_name="series")
    identity = models.ForeignKey(Identity, on_delete=models.PROTECT, related_name="series")
    offering = models.ForeignKey(Offering, on_delete=models.PROTECT, related_name="+")
    call_kind = models.CharField(max_length=12, choices=CallKind.choices)
    service_tier = models.CharField(max_length=10)
    prompt_band = models.SmallIntegerField()

    class Meta:
        db_table = "usage_series"
        constraints = (
            models.UniqueConstraint(
                name="usage_series_key",
                fields=("part", "identity", "offering", "call_kind", "service_tier", "prompt_band"),
            ),
        )
        indexes = (models.Index(fields=("identity",), name="usage_series_identity"),)

    def __str__(self) -> str:
        return f"{self.identity_id} {self.offering_id} {self.call_kind}"


class Hour(models.Model):
    """One series in one UTC hour. Token types are disjoint; NULL is unknown and never zero.

    The table is partitioned by accounting month and made by hand in the first migration.
    """

    pk = models.CompositePrimaryKey("series_id", "hour", "revision")
    series_id = models.BigIntegerField()
    hour = models.DateTimeField()
    revision = models.SmallIntegerField(default=0)
    pull_id = models.BigIntegerField()
    requests = models.BigIntegerField(null=True)
    input = models.BigIntegerField(null=True)
    cached = models.BigIntegerField(null=True)
    cache_write = models.BigIntegerField(null=True)
    cache_write_1h = models.BigIntegerField(null=True)
    output = models.BigIntegerField(null=True)
    reasoning = models.BigIntegerField(null=True)
    gpu_seconds = MoneyField(null=True)
    gpu_busy_seconds = MoneyField(null=True)
    reported_cost = MoneyField(null=True)
    currency = models.CharField(max_length=3, null=True)
    latency_counts = ArrayField(models.BigIntegerField(), null=True)
    latency_sum_ms = MoneyField(null=True)
    ttft_counts = ArrayField(models.BigIntegerField(), null=True)
    flags = models.IntegerField(default=0)

    class Meta:
        db_table = "usage_hour"
        managed = False


class Charge(models.Model):
    """One row of a bill at its own width (FOCUS); never spread into hours."""

    pk = models.CompositePrimaryKey("part_id", "charge_start", "row_digest", "occurrence", "revision")
    part = models.ForeignKey(Part, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+")
    charge_start = models.DateTimeField()
    charge_end = models.DateTimeField()
    row_digest = models.CharField(max_length=64)
    occurrence = models.IntegerField()
    revision = models.SmallIntegerField(default=0)
    pull_id = models.BigIntegerField()
    billing_month = models.DateField(null=True)
    category = models.CharField(max_length=40)
    charge_class = models.CharField(max_length=40, db_column="class", blank=True)
    identity = models.ForeignKey(Identity, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+")
    offering = models.ForeignKey(
        Offering, on_delete=models.DO_NOTHING, null=True, db_constraint=False, related_name="+"
    )
    provider = models.TextField()
    service_category = models.TextField()
    meter = models.TextField()
    quantity = MoneyField(null=True)
    unit = models.TextField()
    billed = MoneyField()
    effective = MoneyField(null=True, help_text="None where the file's EffectiveCost cannot be used: billed is taken.")
    list = MoneyField(null=True)
    currency = models.CharField(max_length=3)
    in_scope = models.BooleanField()
    accrued = models.BooleanField(help_text="Longer than a month: effective cost is accrued by day.")
    extra = models.JSONField(default=dict)

    class Meta:
        db_table = "usage_charge"
        managed = False

"""What can be used and at what price: tiers, bands, offerings and their classes, rates, exchange rates.

All token prices are per 1,000,000 tokens of one kind (input excludes cached and cache-write tokens, output excludes
reasoning tokens); `gpu_hour` is per GPU and hour. NULL means that the price is not stated, never that it is free.
"""

from typing import Final

import pgtrigger
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateTimeRangeField, RangeOperators
from django.db import models
from django.db.models.constraints import Deferrable
from django.db.models.functions import Now

from apps.catalog.bands import LATENCY_EDGES_MS, PROMPT_BANDS, ServiceTier, bands_label
from apps.catalog.names import Rule
from apps.core.money import MoneyField, is_a_number

PRICE_FIELDS: Final = ("input", "cached", "cache_write", "cache_write_1h", "output", "reasoning", "gpu_hour")


def _not_negative(*fields: str) -> models.Q:
    condition = models.Q()
    for field in fields:
        condition &= models.Q(**{f"{field}__isnull": True}) | models.Q(**{f"{field}__gte": 0})
    return condition & is_a_number(*fields)


class ValueTier(models.Model):
    """What the work is worth, not how risky it is: T1 critical to T4 low."""

    code = models.CharField(max_length=2, primary_key=True)
    name = models.CharField(max_length=40, unique=True)
    sentence = models.CharField(max_length=200, help_text="The tier in plain words, as the register asks for it.")

    class Meta:
        db_table = "catalog_value_tier"
        ordering = ("code",)

    def __str__(self) -> str:
        return f"{self.code} {self.name}"


class LatencyBand(models.Model):
    """The 95th percentile that the business needs, in milliseconds; without a limit the work is scheduled."""

    code = models.SlugField(max_length=20, primary_key=True)
    name = models.CharField(max_length=40, unique=True)
    limit_ms = models.PositiveIntegerField(null=True, blank=True, unique=True)
    sentence = models.CharField(max_length=200)

    class Meta:
        db_table = "catalog_latency_band"
        ordering = (models.F("limit_ms").asc(nulls_last=True),)
        constraints = (
            # Latency is kept as counts between fixed edges: whether a limit was kept is only known at an edge.
            models.CheckConstraint(
                name="catalog_latency_band_on_edge",
                condition=models.Q(limit_ms__isnull=True) | models.Q(limit_ms__in=LATENCY_EDGES_MS),
            ),
        )

    def __str__(self) -> str:
        return self.name


class ModelClass(models.TextChoices):
    """By (3 x input + output) / 4 per 1,000,000 tokens in USD: below 1, below 5, below 20, and above."""

    ECONOMY = "economy", "economy"
    STANDARD = "standard", "standard"
    PREMIUM = "premium", "premium"
    FRONTIER = "frontier", "frontier"


class Offering(models.Model):
    """A provider's model (or an accelerator of our own). `seen` means: used, but no price is known."""

    class Hosted(models.TextChoices):
        API = "api", "by API"
        OWN = "own", "by ourselves"

    class State(models.TextChoices):
        KNOWN = "known", "priced"
        SEEN = "seen", "no price yet"

    provider = models.CharField(max_length=200, blank=True)
    name = models.CharField(max_length=200, blank=True)
    hosted = models.CharField(max_length=3, choices=Hosted.choices, default=Hosted.API)
    accelerator = models.CharField(max_length=60, blank=True)
    state = models.CharField(max_length=5, choices=State.choices, default=State.SEEN)
    # Whose price in the public list is taken, and under which name there; both blank when none is.
    listed_by = models.CharField(max_length=60, blank=True)
    listed_name = models.CharField(max_length=200, blank=True)
    first_seen = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "catalog_offering"
        ordering = ("provider", "name")
        constraints = (models.UniqueConstraint(name="catalog_offering_key", fields=("provider", "name")),)

    def __str__(self) -> str:
        return f"{self.provider}/{self.name}".strip("/") or "model not reported"


class OfferingAlias(models.Model):
    """A provider and model as a source reports them (in lower case), and the rule that made an offering of them."""

    provider = models.CharField(max_length=200, blank=True)
    model = models.CharField(max_length=200, blank=True)
    offering = models.ForeignKey(Offering, on_delete=models.PROTECT, related_name="aliases")
    rule = models.CharField(max_length=10, choices=Rule.choices)
    candidates = models.JSONField(default=list, blank=True, help_text="Who fits, where the name is ambiguous.")
    first_seen = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "catalog_offering_alias"
        constraints = (models.UniqueConstraint(name="catalog_offering_alias_key", fields=("provider", "model")),)

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}".strip("/")


class OfferingClass(models.Model):
    """The class of an offering from a moment on. A new price only proposes another one; a person sets it."""

    offering = models.ForeignKey(Offering, on_delete=models.PROTECT, related_name="classes")
    model_class = models.CharField(max_length=8, choices=ModelClass.choices, db_column="class")
    valid_from = models.DateTimeField()
    reason = models.CharField(max_length=300)
    recorded_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "catalog_offering_class"
        ordering = ("offering", "-valid_from")
        constraints = (models.UniqueConstraint(name="catalog_offering_class_key", fields=("offering", "valid_from")),)
        triggers = (pgtrigger.Protect(name="append_only", operation=pgtrigger.Update | pgtrigger.Delete),)

    def __str__(self) -> str:
        return f"{self.offering_id} {self.model_class} from {self.valid_from:%Y-%m-%d}"


def _point(value: models.expressions.Combinable) -> models.Func:
    """An integer as a range of one value: GiST compares ranges without any extension, plain integers not."""
    return models.Func(value, value, models.Value("[]"), function="int8range")


class Rate(models.Model):
    """A price as somebody stated it, immutable: a correction adds a row, and `superseded_by` points to it.

    A row of a prompt band holds for that band and the ones above it, up to the next band stated for the same tier;
    a tier without rows takes the standard ones. `effective.py` works that out. Times are full hours, half-open.
    """

    class Scope(models.TextChoices):
        PUBLIC = "public", "list price"
        CONTRACT = "contract", "contract"

    scope = models.CharField(max_length=8, choices=Scope.choices)
    offering = models.ForeignKey(Offering, on_delete=models.PROTECT, related_name="rates")
    service_tier = models.CharField(max_length=8, choices=ServiceTier.choices, default=ServiceTier.STANDARD)
    prompt_band = models.SmallIntegerField(default=0)
    valid_from = models.DateTimeField()
    valid_to = models.DateTimeField(null=True, blank=True)
    input = MoneyField(null=True, blank=True)
    cached = MoneyField(null=True, blank=True)
    cache_write = MoneyField(null=True, blank=True)
    cache_write_1h = MoneyField(null=True, blank=True)
    output = MoneyField(null=True, blank=True)
    reasoning = MoneyField(null=True, blank=True)
    gpu_hour = MoneyField(null=True, blank=True)
    currency = models.CharField(max_length=3)
    list_version = models.CharField(max_length=60, blank=True, help_text="Public list with version, or the contract.")
    doubts = models.CharField(
        max_length=40, blank=True, help_text="Where the list is finer than a row: time_of_day, prompt_size."
    )
    superseded_by = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="supersedes"
    )
    recorded_at = models.DateTimeField(db_default=Now())
    recorded_by = models.BigIntegerField(null=True, blank=True, help_text="Person; None for the public list.")

    class Meta:
        db_table = "catalog_rate"
        ordering = ("offering", "service_tier", "prompt_band", "valid_from")
        indexes = (models.Index(fields=("offering", "valid_from"), name="catalog_rate_offering"),)
        constraints = (
            models.CheckConstraint(name="catalog_rate_is_a_price", condition=_not_negative(*PRICE_FIELDS)),
            models.CheckConstraint(
                name="catalog_rate_states_one",
                condition=models.Q(input__isnull=False)
                | models.Q(output__isnull=False)
                | models.Q(gpu_hour__isnull=False),
            ),
            models.CheckConstraint(
                name="catalog_rate_half_open",
                condition=models.Q(valid_to__isnull=True) | models.Q(valid_from__lt=models.F("valid_to")),
            ),
            models.CheckConstraint(name="catalog_rate_currency", condition=models.Q(currency__regex=r"^[A-Z]{3}$")),
            models.CheckConstraint(name="catalog_rate_band", condition=models.Q(prompt_band__range=(0, 4))),
            models.CheckConstraint(
                name="catalog_rate_tier",
                condition=models.Q(service_tier__in=("standard", "batch", "flex", "priority")),
            ),
            # Deferred: a correction puts the new row in before the old one points to it.
            ExclusionConstraint(
                name="catalog_rate_one_at_a_time",
                expressions=[
                    (_point(models.F("offering_id")), RangeOperators.OVERLAPS),
                    (
                        _point(
                            models.Case(
                                models.When(service_tier="standard", then=0),
                                models.When(service_tier="batch", then=10),
                                models.When(service_tier="flex", then=20),
                                default=30,
                            )
                            + models.F("prompt_band")
                            + models.Case(models.When(scope="contract", then=100), default=0)
                        ),
                        RangeOperators.OVERLAPS,
                    ),
                    (
                        models.Func("valid_from", "valid_to", function="tstzrange", output_field=DateTimeRangeField()),
                        RangeOperators.OVERLAPS,
                    ),
                ],
                condition=models.Q(superseded_by__isnull=True),
                deferrable=Deferrable.DEFERRED,
            ),
        )
        triggers = (
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="immutable", operation=pgtrigger.Update, condition=pgtrigger.AnyChange(exclude=["superseded_by"])
            ),
            pgtrigger.Protect(
                name="superseded_once",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__superseded_by__isnull=False),
            ),
        )

    def __str__(self) -> str:
        return f"{self.get_scope_display()} {self.service_tier} {self.prompt_band} from {self.valid_from:%Y-%m-%d}"

    @property
    def from_band(self) -> str:
        """The prompts it is stated for, in words: its own band and those above it."""
        return bands_label(self.prompt_band, PROMPT_BANDS[-1])


class EffectiveRate(models.Model):
    """What `catalog_rate` comes to: for every key at most one row at any instant, to be joined by equality.

    Derived by `effective.py` in the transaction of every change of a rate, and rebuildable at any time. It has rows
    for *every* service tier (also unknown) and *every* prompt band (-1 is unknown) of a priced offering. Prices that
    nobody stated are filled in and marked `..._assumed`; a price that stays NULL cannot be filled in.
    `valid_to` is never NULL here: the open end is the year 9999.
    """

    offering = models.ForeignKey(Offering, on_delete=models.CASCADE, related_name="effective_rates", db_index=False)
    service_tier = models.CharField(max_length=8, choices=ServiceTier.choices)
    prompt_band = models.SmallIntegerField()
    valid_from = models.DateTimeField()
    valid_to = models.DateTimeField()
    input = MoneyField(null=True)
    cached = MoneyField(null=True)
    cache_write = MoneyField(null=True)
    cache_write_1h = MoneyField(null=True)
    output = MoneyField(null=True)
    reasoning = MoneyField(null=True)
    gpu_hour = MoneyField(null=True)
    currency = models.CharField(max_length=3)
    rate = models.ForeignKey(Rate, on_delete=models.CASCADE, related_name="+", db_index=False)
    scope = models.CharField(max_length=8, choices=Rate.Scope.choices)
    list_version = models.CharField(max_length=60)
    cached_assumed = models.BooleanField()
    cache_write_assumed = models.BooleanField()
    cache_write_1h_assumed = models.BooleanField()
    reasoning_assumed = models.BooleanField()
    tier_assumed = models.BooleanField(help_text="The tier is unknown or has no price of its own: standard is taken.")
    band_assumed = models.BooleanField(help_text="The prompt size is unknown: the price of short prompts is taken.")
    doubts = models.CharField(max_length=40, blank=True)

    class Meta:
        db_table = "catalog_effective_rate"
        constraints = (
            models.UniqueConstraint(
                name="catalog_effective_rate_key", fields=("offering", "service_tier", "prompt_band", "valid_from")
            ),
        )

    def __str__(self) -> str:
        return f"{self.offering_id} {self.service_tier} {self.prompt_band} from {self.valid_from:%Y-%m-%d}"


class RateChange(models.Model):
    """What must be worked out again: usage of an offering, or amounts in a currency, from a moment on.

    Written in the transaction of the change. Whoever rates usage marks its days dirty and sets `handled_at`.
    """

    offering = models.ForeignKey(Offering, on_delete=models.CASCADE, null=True, related_name="+")
    currency = models.CharField(max_length=3, blank=True)
    valid_from = models.DateTimeField()
    valid_to = models.DateTimeField(null=True, help_text="None: everything after `valid_from`.")
    recorded_at = models.DateTimeField(db_default=Now())
    handled_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "catalog_rate_change"
        constraints = (
            models.CheckConstraint(
                name="catalog_rate_change_of_one",
                condition=models.Q(offering__isnull=False, currency="")
                | models.Q(offering__isnull=True, currency__gt=""),
            ),
        )
        indexes = (
            # Read by the sweep that re-rates.
            models.Index(fields=("id",), name="catalog_rate_change_open", condition=models.Q(handled_at__isnull=True)),
        )

    def __str__(self) -> str:
        return f"{self.currency or self.offering_id} from {self.valid_from:%Y-%m-%d %H:%M}"


class Fx(models.Model):
    """How many units of `quote` one unit of `currency` was worth on a day: amount x rate = amount in `quote`.

    Every day has a row of its own. `as_of` is the day whose rate it is: earlier than `day` on a weekend.
    """

    day = models.DateField()
    currency = models.CharField(max_length=3)
    quote = models.CharField(max_length=3)
    rate = MoneyField()
    as_of = models.DateField()
    source = models.CharField(max_length=60)

    class Meta:
        db_table = "catalog_fx"
        constraints = (
            models.UniqueConstraint(name="catalog_fx_key", fields=("quote", "currency", "day")),
            models.CheckConstraint(name="catalog_fx_is_a_rate", condition=models.Q(rate__gt=0) & is_a_number("rate")),
            models.CheckConstraint(name="catalog_fx_not_ahead", condition=models.Q(as_of__lte=models.F("day"))),
        )

    def __str__(self) -> str:
        return f"{self.day} 1 {self.currency} = {self.rate.normalize():f} {self.quote}"

    @property
    def is_carried(self) -> bool:
        """Whether the rate is an earlier day's: a weekend, a holiday, or the days after the last published one."""
        return self.as_of < self.day

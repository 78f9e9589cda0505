"""What came out, why it is worth something, and what a month of a workload comes to."""

import pgtrigger
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from apps.accounts import rights
from apps.accounts.models import Person
from apps.accounts.rights import Right
from apps.core.actor import Actor
from apps.core.money import MoneyField, is_a_number
from apps.sources.models import Source
from apps.workloads.models import Workload

REPORTED = "reported"  # the source of outcomes where none is named: form, file and API then correct each other


# --- What came out ----------------------------------------------------------------------------------------------------


class OutcomeQuerySet(models.QuerySet["Outcome"]):
    def visible_to(self, actor: Actor) -> "OutcomeQuerySet":
        return self.filter(workload__in=Workload.objects.money_visible_to(actor))

    def current(self) -> "OutcomeQuerySet":
        """The newest revision of each period and source, without those that were taken back."""
        return self.filter(is_latest=True, is_withdrawn=False)


class Outcome(models.Model):
    """What a workload produced on a day or in a month, how much of it was useful, and how much a person read.

    Either counts, or a share of the delivered calls that is declared to be useful. Rows never change: a correction is
    the next revision of the same period and source. Other sources of the same workload add up.
    """

    workload = models.ForeignKey(Workload, on_delete=models.PROTECT, related_name="outcomes")
    period_start = models.DateField(help_text="A day, or the first day of a month.")
    period_end = models.DateField(help_text="The day after the last one.")
    source = models.CharField(max_length=60, default=REPORTED)
    revision = models.PositiveIntegerField(default=0)
    produced = models.BigIntegerField(null=True)
    accepted = models.BigIntegerField(null=True, help_text="Useful outputs.")
    reviewed = models.BigIntegerField(null=True, help_text="Outputs that a person checked; unknown when empty.")
    declared = models.DecimalField(
        max_digits=9, decimal_places=8, null=True, help_text="Useful share of delivered calls, 0 to 1."
    )
    declared_reviewed = models.DecimalField(
        max_digits=9,
        decimal_places=8,
        null=True,
        help_text="Share of delivered calls that a person checks; unknown when empty.",
    )
    is_withdrawn = models.BooleanField(
        default=False, help_text="The figures of this period and source were no figures."
    )
    is_latest = models.BooleanField(default=True)
    external_id = models.CharField(
        max_length=200, blank=True, help_text="What the sender calls it; sent twice, kept once."
    )
    digest = models.CharField(max_length=64, blank=True, help_text="SHA-256 of what was sent under that name.")
    recorded_by = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="+")
    recorded_at = models.DateTimeField(db_default=Now())

    objects = OutcomeQuerySet.as_manager()

    class Meta:
        db_table = "economics_outcome"
        ordering = ("workload", "period_start", "source", "revision")
        indexes = (models.Index(fields=("workload", "period_start"), name="economics_outcome_when"),)
        constraints = (
            models.UniqueConstraint(
                name="economics_outcome_revision",
                fields=("workload", "period_start", "period_end", "source", "revision"),
            ),
            models.UniqueConstraint(
                name="economics_outcome_latest",
                fields=("workload", "period_start", "period_end", "source"),
                condition=models.Q(is_latest=True),
            ),
            models.UniqueConstraint(
                name="economics_outcome_sent_once",
                fields=("workload", "source", "external_id"),
                condition=~models.Q(external_id=""),
            ),
            models.CheckConstraint(
                name="economics_outcome_day_or_month",
                condition=models.Q(period_end=models.F("period_start") + 1)
                | models.Q(
                    period_start__day=1,
                    period_end__day=1,
                    period_end__gt=models.F("period_start") + 27,
                    period_end__lt=models.F("period_start") + 32,
                ),
            ),
            models.CheckConstraint(
                name="economics_outcome_counts",
                condition=models.Q(produced__isnull=True)
                | models.Q(
                    produced__gte=0,
                    accepted__isnull=False,
                    accepted__gte=0,
                    accepted__lte=models.F("produced"),
                ),
            ),
            models.CheckConstraint(
                name="economics_outcome_reviewed",
                condition=models.Q(reviewed__isnull=True)
                | models.Q(reviewed__gte=0, reviewed__lte=models.F("produced"), produced__isnull=False),
            ),
            models.CheckConstraint(
                name="economics_outcome_counted_or_declared",
                condition=models.Q(
                    is_withdrawn=True, produced__isnull=True, accepted__isnull=True, declared__isnull=True
                )
                | models.Q(is_withdrawn=False, produced__isnull=False, declared__isnull=True)
                | models.Q(
                    is_withdrawn=False,
                    produced__isnull=True,
                    accepted__isnull=True,
                    # A NULL would be no violation of a range.
                    declared__isnull=False,
                    declared__range=(0, 1),
                ),
            ),
            models.CheckConstraint(
                name="economics_outcome_declared_reviewed",
                condition=models.Q(declared_reviewed__isnull=True)
                | models.Q(declared__isnull=False, declared_reviewed__range=(0, 1)),
            ),
        )
        triggers = (
            pgtrigger.Protect(name="never_deleted", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="only_superseded",
                operation=pgtrigger.Update,
                condition=pgtrigger.AnyChange(exclude=["is_latest"]),
            ),
        )

    def __str__(self) -> str:
        return f"{self.workload} {self.period_start} {self.source} r{self.revision}"

    @property
    def is_monthly(self) -> bool:
        return (self.period_end - self.period_start).days > 1


# --- Why it is worth something ----------------------------------------------------------------------------------------


class Grade(models.Model):
    """A kind of work as the value cases name it. What an hour of it costs stands apart and is seen by few."""

    name = models.CharField(max_length=80, unique=True)
    active = models.BooleanField(default=True)

    class Meta:
        db_table = "economics_grade"
        ordering = ("name",)
        constraints = (models.CheckConstraint(name="economics_grade_named", condition=~models.Q(name="")),)

    def __str__(self) -> str:
        return self.name


class GradeRateQuerySet(models.QuerySet["GradeRate"]):
    def visible_to(self, actor: Actor) -> "GradeRateQuerySet":
        """Loaded hourly rates are close to salaries: analysts and administrators only."""
        return self if rights.rights_of(actor).may(Right.SEE_GRADES) else self.none()


class GradeRate(models.Model):
    """What an hour of a grade costs, all loaded, from a day on; a correction of the same day is a newer row."""

    grade = models.ForeignKey(Grade, on_delete=models.PROTECT, related_name="rates")
    hourly = MoneyField(help_text="In the organisation's currency.")
    valid_from = models.DateField()
    recorded_by = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="+")
    recorded_at = models.DateTimeField(db_default=Now())

    objects = GradeRateQuerySet.as_manager()

    class Meta:
        db_table = "economics_grade_rate"
        ordering = ("grade", "valid_from", "pk")
        indexes = (models.Index(fields=("grade", "valid_from"), name="economics_grade_rate_when"),)
        constraints = (
            models.CheckConstraint(
                name="economics_grade_rate_positive", condition=is_a_number("hourly") & models.Q(hourly__gt=0)
            ),
        )
        triggers = (pgtrigger.Protect(name="append_only", operation=pgtrigger.Update | pgtrigger.Delete),)

    def __str__(self) -> str:
        return f"{self.grade} from {self.valid_from}"


class EvidenceQuerySet(models.QuerySet["Evidence"]):
    def visible_to(self, actor: Actor) -> "EvidenceQuerySet":
        return self.filter(workload__in=Workload.objects.money_visible_to(actor))


class Evidence(models.Model):
    """A file that supports a value case: at most 10 MB, kept in the database, only ever given out as a download."""

    workload = models.ForeignKey(Workload, on_delete=models.PROTECT, related_name="evidence")
    name = models.CharField(max_length=200)
    content_type = models.CharField(max_length=100)
    size = models.PositiveIntegerField(help_text="Bytes.")
    sha256 = models.CharField(max_length=64)
    content = models.BinaryField()
    uploaded_by = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="+")
    uploaded_at = models.DateTimeField(db_default=Now())

    objects = EvidenceQuerySet.as_manager()

    class Meta:
        db_table = "economics_evidence"
        constraints = (
            models.CheckConstraint(
                name="economics_evidence_size", condition=models.Q(size__gt=0, size__lte=10 * 1024 * 1024)
            ),
        )
        triggers = (pgtrigger.Protect(name="append_only", operation=pgtrigger.Update | pgtrigger.Delete),)

    def __str__(self) -> str:
        return self.name


class ValueCaseQuerySet(models.QuerySet["ValueCase"]):
    def visible_to(self, actor: Actor) -> "ValueCaseQuerySet":
        return self.filter(workload__in=Workload.objects.money_visible_to(actor))

    def waiting(self) -> "ValueCaseQuerySet":
        """Written and not attested, and not replaced by a newer version."""
        return self.filter(attested_at__isnull=True, superseded_by__isnull=True, ended_at__isnull=True)


class ValueCase(models.Model):
    """A version of why a workload is worth it. What it says never changes; a new thought is a new version.

    It counts on the days `counts_from` to `counts_to` (half-open), which attestation sets: from its first day on, but
    never inside a signed month, until it expires or the next attested version begins.
    """

    class Kind(models.TextChoices):
        LABOUR = "labour", "Labour saved"
        MARGIN = "margin", "Margin protected"
        REVENUE = "revenue", "Revenue"
        RISK = "risk", "Risk avoided"

    workload = models.ForeignKey(Workload, on_delete=models.PROTECT, related_name="value_cases")
    kind = models.CharField(max_length=8, choices=Kind.choices, default=Kind.LABOUR)
    version = models.PositiveIntegerField()
    assumptions = models.JSONField(
        help_text="minutes_saved, realisation, review_minutes: each low, base, high as text."
    )
    grade = models.ForeignKey(Grade, on_delete=models.PROTECT, null=True, related_name="+")
    review_grade = models.ForeignKey(Grade, on_delete=models.PROTECT, null=True, related_name="+")
    reason = models.CharField(max_length=300, blank=True, help_text="What changed since the version before.")
    evidence_link = models.URLField(max_length=500, blank=True)
    evidence_file = models.ForeignKey(Evidence, on_delete=models.PROTECT, null=True, related_name="cases")
    owner = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    written_by = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="+")
    written_at = models.DateTimeField(db_default=Now())
    valid_from = models.DateField()
    expires = models.DateField(help_text="The day after the last one on which it may count.")
    attested_by = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="+")
    attested_at = models.DateTimeField(null=True)
    decision_id = models.BigIntegerField(null=True, unique=True)
    counts_from = models.DateField(null=True)
    counts_to = models.DateField(null=True)
    ended_at = models.DateTimeField(null=True, help_text="When somebody let it end before its time.")
    superseded_by = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="supersedes")

    objects = ValueCaseQuerySet.as_manager()

    class Meta:
        db_table = "economics_value_case"
        ordering = ("workload", "kind", "-version")
        constraints = (
            models.UniqueConstraint(name="economics_case_version", fields=("workload", "kind", "version")),
            models.CheckConstraint(
                name="economics_case_half_open", condition=models.Q(valid_from__lt=models.F("expires"))
            ),
            models.CheckConstraint(
                name="economics_case_has_evidence",
                condition=~models.Q(evidence_link="") | models.Q(evidence_file__isnull=False),
            ),
            models.CheckConstraint(
                name="economics_case_attested_by_another",
                condition=models.Q(attested_by__isnull=True)
                | models.Q(written_by__isnull=True)
                | ~models.Q(attested_by=models.F("written_by")),
            ),
            models.CheckConstraint(
                name="economics_case_counts_when_attested",
                condition=models.Q(attested_at__isnull=False, counts_from__isnull=False, counts_to__isnull=False)
                | models.Q(attested_at__isnull=True, counts_from__isnull=True, counts_to__isnull=True),
            ),
            models.CheckConstraint(
                name="economics_case_counts_in_its_time",
                condition=models.Q(counts_from__isnull=True)
                | models.Q(
                    counts_from__gte=models.F("valid_from"),
                    counts_from__lte=models.F("counts_to"),
                    counts_to__lte=models.F("expires"),
                ),
            ),
            # int8range instead of plain equality: that would need an extension.
            ExclusionConstraint(
                name="economics_case_one_at_a_time",
                expressions=(
                    (models.Func("workload_id", "workload_id", models.Value("[]"), function="int8range"), "&&"),
                    (models.Func("counts_from", "counts_to", function="daterange"), "&&"),
                ),
                condition=models.Q(kind="labour", counts_from__isnull=False),
            ),
        )
        triggers = (
            pgtrigger.Protect(name="never_deleted", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="what_it_says_never_changes",
                operation=pgtrigger.Update,
                condition=pgtrigger.AnyChange(
                    *("workload", "kind", "version", "assumptions", "grade", "review_grade", "reason", "evidence_link"),
                    *("evidence_file", "owner", "written_by", "written_at", "valid_from", "expires"),
                ),
            ),
        )

    def __str__(self) -> str:
        return f"{self.workload} value case v{self.version}"

    @property
    def is_attested(self) -> bool:
        return self.attested_at is not None


# --- What a month comes to --------------------------------------------------------------------------------------------


class EconomicsMonthQuerySet(models.QuerySet["EconomicsMonth"]):
    def visible_to(self, actor: Actor) -> "EconomicsMonthQuerySet":
        return self.filter(workload__in=Workload.objects.money_visible_to(actor))

    def current(self) -> "EconomicsMonthQuerySet":
        """What is known now: provisional, as signed, or restated since."""
        return self.filter(is_current=True)

    def signed(self) -> "EconomicsMonthQuerySet":
        """As the newest signature has them."""
        return self.filter(is_signed_now=True)


class EconomicsMonth(models.Model):
    """Cost, outcomes, value and verdict of a month. A signed row never changes; a restated one stands beside it.

    `cost` None is unknown, and so is every figure that rests on something unknown. `spans` keeps the days on which a
    case counted, with its rates and outcomes: the proof of the value, kept with it.
    """

    class State(models.TextChoices):
        PROVISIONAL = "provisional", "provisional"
        SIGNED = "signed", "signed"
        RESTATED = "restated", "restated"

    workload = models.ForeignKey(Workload, on_delete=models.PROTECT, related_name="economics")
    month = models.DateField()
    revision = models.PositiveIntegerField(default=0)
    state = models.CharField(max_length=11, choices=State.choices, default=State.PROVISIONAL)
    is_current = models.BooleanField(default=True)
    is_signed_now = models.BooleanField(default=False)
    is_complete = models.BooleanField(help_text="Whether the month was over when this was worked out.")
    inputs_digest = models.CharField(max_length=64)
    cost = MoneyField(null=True)
    components = models.JSONField(default=dict, help_text="Cost by component, as text.")
    requests = models.BigIntegerField(default=0)
    delivered = models.BigIntegerField(default=0)
    produced = MoneyField(null=True)
    useful = MoneyField(null=True)
    reviewed = MoneyField(null=True)
    is_declared = models.BooleanField(default=False)
    value_low = MoneyField(null=True)
    value_base = MoneyField(null=True)
    value_high = MoneyField(null=True)
    review_low = MoneyField(null=True)
    review_base = MoneyField(null=True)
    review_high = MoneyField(null=True)
    net_low = MoneyField(null=True)
    net_base = MoneyField(null=True)
    net_high = MoneyField(null=True)
    verdict = models.CharField(max_length=8)
    reasons = models.JSONField(
        help_text="The verdict in full: rule, sentence, numbers, what would change it, what is missing."
    )
    coverage = models.JSONField(help_text="Days with usage and without outcomes, unknown share of cost, latency band.")
    spans = models.JSONField(default=list)
    computed_at = models.DateTimeField(db_default=Now())
    signed_at = models.DateTimeField(null=True)

    objects = EconomicsMonthQuerySet.as_manager()

    class Meta:
        db_table = "economics_month"
        ordering = ("workload", "month", "revision")
        indexes = (
            models.Index(fields=("month", "verdict"), name="economics_month_verdict"),
            # The portfolio draws the largest of a month.
            models.Index(
                fields=("month", "-cost"), name="economics_month_largest", condition=models.Q(is_current=True)
            ),
            # The clock looks every few seconds for months that are over meanwhile.
            models.Index(
                fields=("month",),
                name="economics_month_so_far",
                condition=models.Q(is_current=True, is_complete=False),
            ),
        )
        constraints = (
            models.UniqueConstraint(name="economics_month_revision", fields=("workload", "month", "revision")),
            models.UniqueConstraint(
                name="economics_month_current", fields=("workload", "month"), condition=models.Q(is_current=True)
            ),
            models.UniqueConstraint(
                name="economics_month_signed", fields=("workload", "month"), condition=models.Q(is_signed_now=True)
            ),
            models.CheckConstraint(name="economics_month_first_day", condition=models.Q(month__day=1)),
            models.CheckConstraint(
                name="economics_month_signed_is_marked",
                condition=models.Q(is_signed_now=False) | models.Q(state="signed"),
            ),
        )
        triggers = (
            pgtrigger.Protect(
                name="signed_is_kept", operation=pgtrigger.Delete, condition=pgtrigger.Q(old__state="signed")
            ),
            # Only the marks that say which row is the newest may move.
            pgtrigger.Protect(
                name="signed_never_changes",
                operation=pgtrigger.Update,
                condition=pgtrigger.Condition(
                    "OLD.state = 'signed' AND (to_jsonb(OLD.*) - 'is_current' - 'is_signed_now') IS DISTINCT FROM "
                    "(to_jsonb(NEW.*) - 'is_current' - 'is_signed_now')"
                ),
            ),
        )

    def __str__(self) -> str:
        return f"{self.workload} {self.month:%B %Y} r{self.revision}"


class Dirty(models.Model):
    """A month of a workload to be worked out again; written in the transaction of the cause, one row for each."""

    workload = models.ForeignKey(
        Workload, on_delete=models.CASCADE, db_constraint=False, related_name="+", db_index=False
    )
    month = models.DateField()
    reason = models.CharField(max_length=20)
    recorded_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "economics_dirty"

    def __str__(self) -> str:
        return f"{self.workload_id} {self.month} {self.reason}"


class ChangedPromise(models.Model):
    """A workload whose band or mandate changed, or whose band got another limit: its months are to be looked at.

    Triggers on `workloads_revision` and `catalog_latency_band` write it in the transaction of the change.
    """

    workload = models.ForeignKey(
        Workload, on_delete=models.CASCADE, db_constraint=False, related_name="+", db_index=False
    )

    class Meta:
        db_table = "economics_changed_promise"

    def __str__(self) -> str:
        return f"{self.workload_id}"


class SilentSource(models.Model):
    """A live source that has not delivered all of a month: its figures end before `covered_to`, and are wanted to
    `seen_to`, the month's end or the day on which somebody looked.
    """

    source = models.ForeignKey(Source, on_delete=models.CASCADE, related_name="+")
    month = models.DateField()
    covered_to = models.DateField()
    seen_to = models.DateField()

    class Meta:
        db_table = "economics_silent_source"
        constraints = (
            models.UniqueConstraint(name="economics_silent_source_key", fields=("source", "month")),
            models.CheckConstraint(
                name="economics_silent_source_ends",
                condition=models.Q(month__lte=models.F("covered_to"), covered_to__lt=models.F("seen_to")),
            ),
        )

    def __str__(self) -> str:
        return f"{self.source} {self.month:%B %Y} to {self.covered_to}"


class ServiceDay(models.Model):
    """How fast a workload's delivered calls of a day were: counts between the fixed edges, summed over its hours."""

    workload = models.ForeignKey(
        Workload, on_delete=models.CASCADE, db_constraint=False, related_name="+", db_index=False
    )
    day = models.DateField()
    counts = ArrayField(models.BigIntegerField())

    class Meta:
        db_table = "economics_service_day"
        constraints = (models.UniqueConstraint(name="economics_service_day_key", fields=("workload", "day")),)

    def __str__(self) -> str:
        return f"{self.workload_id} {self.day}"

"""Workloads, the unit of governance: what they are for, who answers for them, and which usage is theirs."""

from datetime import UTC, date, datetime

from django.db import models
from django.db.models.functions import Now

from apps.accounts import rights
from apps.accounts.models import CostCentre, Person
from apps.catalog.models import LatencyBand, ValueTier
from apps.core.actor import Actor
from apps.core.money import MoneyField, is_a_number

# Attribution is gapless from the first to the last instant anybody will load.
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
END = datetime(9999, 1, 1, tzinfo=UTC)


class WorkloadQuerySet(models.QuerySet["Workload"]):
    def visible_to(self, actor: Actor) -> "WorkloadQuerySet":
        """The register is public inside the organisation; a draft is seen by whom it names and by administrators."""
        held = rights.rights_of(actor)
        if held.may(rights.Right.MANAGE_SETTINGS):
            return self
        if not held.may(rights.Right.SEE_REGISTER):
            return self.none()
        drafts = models.Q(created_by_id=actor.person_id) | self._owned_by(actor)
        return self.filter(~models.Q(state=Workload.State.DRAFT) | drafts)

    def money_visible_to(self, actor: Actor) -> "WorkloadQuerySet":
        """Workloads whose cost and usage the actor may see: their own, and those of their cost centres."""
        if actor.is_machine:
            return self
        return self.visible_to(actor).filter(self._owned_by(actor) | rights.money_scope(actor, "cost_centre"))

    def owned_by(self, actor: Actor) -> "WorkloadQuerySet":
        """Those the actor owns in one of the three ways; nobody's for whoever is no person."""
        return self.filter(self._owned_by(actor)) if actor.person_id else self.none()

    def active(self) -> "WorkloadQuerySet":
        return self.exclude(state=Workload.State.DRAFT)

    @staticmethod
    def _owned_by(actor: Actor) -> models.Q:
        person = actor.person_id
        return (
            models.Q(business_owner_id=person) | models.Q(technical_owner_id=person) | models.Q(budget_owner_id=person)
        )


class Workload(models.Model):
    """One AI use case in its context. A draft may lack anything but a name; an active one lacks nothing."""

    class State(models.TextChoices):
        DRAFT = "draft", "draft"
        ACTIVE = "active", "active"
        SUSPENDED = "suspended", "suspended"
        CLOSED = "closed", "closed"

    class Stage(models.TextChoices):
        CONCEPT = "concept", "Concept"
        PILOT = "pilot", "Pilot"
        PRODUCTION = "production", "Production"
        SUNSET = "sunset", "Sunset"

    class Audience(models.TextChoices):
        CUSTOMER = "customer", "Customers"
        EMPLOYEE = "employee", "Employees"
        AUTOMATION = "automation", "No person: automation"

    class Benefit(models.TextChoices):
        LABOUR = "labour", "It saves somebody time"
        REVENUE = "revenue", "It brings in sales"
        MARGIN = "margin", "It protects margin"
        RISK = "risk", "It avoids a loss"

    slug = models.SlugField(max_length=80, unique=True)
    name = models.CharField(max_length=120)
    purpose = models.TextField(blank=True)
    output_unit = models.CharField(max_length=60, blank=True, help_text="One useful answer, such as 'ticket summary'.")
    audience = models.CharField(max_length=10, choices=Audience.choices, blank=True)
    benefit = models.CharField(max_length=10, choices=Benefit.choices, blank=True)
    stage = models.CharField(max_length=10, choices=Stage.choices, default=Stage.PILOT)
    state = models.CharField(max_length=10, choices=State.choices, default=State.DRAFT)
    cost_centre = models.ForeignKey(CostCentre, on_delete=models.PROTECT, null=True, related_name="workloads")
    business_owner = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="business_workloads")
    technical_owner = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="technical_workloads")
    budget_owner = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="budget_workloads")
    monthly_spend_expected = MoneyField(
        null=True, help_text="What it may spend a month, in the organisation's currency."
    )
    registered_for = models.JSONField(
        null=True, help_text="The usage it was registered for: source_id and pairs, to be bound once it is active."
    )
    first_estimate = models.JSONField(
        null=True,
        help_text="What the registration said of saved time, to begin the value case with: minutes, whose, how many.",
    )
    differs_from = models.JSONField(
        default=list, help_text="Ids of workloads that look alike and are not, says who registered it."
    )
    created_by = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(auto_now=True)
    activated_at = models.DateTimeField(null=True)
    version = models.PositiveIntegerField(default=1, help_text="Counts edits: a stale page is told, not obeyed.")

    objects = WorkloadQuerySet.as_manager()

    class Meta:
        db_table = "workloads_workload"
        ordering = ("name",)
        constraints = (
            models.CheckConstraint(name="workloads_name_not_blank", condition=~models.Q(name="")),
            models.CheckConstraint(
                name="workloads_spend_is_positive",
                condition=is_a_number("monthly_spend_expected")
                & (models.Q(monthly_spend_expected__isnull=True) | models.Q(monthly_spend_expected__gte=0)),
            ),
            models.CheckConstraint(
                name="workloads_active_is_complete",
                condition=models.Q(state="draft")
                | (
                    models.Q(
                        cost_centre__isnull=False,
                        business_owner__isnull=False,
                        technical_owner__isnull=False,
                        budget_owner__isnull=False,
                        activated_at__isnull=False,
                    )
                    & ~models.Q(output_unit="")
                    & ~models.Q(audience="")
                    & ~models.Q(purpose="")
                ),
            ),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def ref(self) -> str:
        """How people cite it: WL-007."""
        return f"WL-{self.pk:03d}"


class WorkloadRevision(models.Model):
    """Tier, band, failure cost and mandate as they were from a day on; a change of them changes what is allowed.

    After activation a revision needs the decision of somebody else; apps/approvals proves that in the database.
    """

    class Severity(models.TextChoices):
        LITTLE = "little", "Little: somebody redoes it"
        COST = "cost", "A cost: a refund, a wrong order"
        SERIOUS = "serious", "Serious: customer, law, safety"

    workload = models.ForeignKey(Workload, on_delete=models.PROTECT, related_name="revisions")
    version = models.PositiveIntegerField()
    value_tier = models.ForeignKey(ValueTier, on_delete=models.PROTECT, null=True)
    latency_band = models.ForeignKey(LatencyBand, on_delete=models.PROTECT, null=True)
    failure_severity = models.CharField(max_length=10, choices=Severity.choices, blank=True)
    failure_cost = MoneyField(null=True, help_text="Money lost per wrong or missing answer, organisation's currency.")
    mandated_reason = models.CharField(
        max_length=300, blank=True, help_text="Why it must run whatever it is worth: a law, a contract."
    )
    mandated_by = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="+")
    mandated_until = models.DateField(null=True, help_text="The last day of the mandate.")
    reason = models.CharField(max_length=300, blank=True)
    recorded_by = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="+")
    recorded_at = models.DateTimeField(db_default=Now())
    # No foreign key: approvals know workloads and not the other way round; decisions are never deleted.
    decision_id = models.BigIntegerField(null=True, unique=True, help_text="By which it was confirmed.")

    class Meta:
        db_table = "workloads_revision"
        ordering = ("workload", "version")
        constraints = (
            models.CheckConstraint(
                name="workloads_mandate_is_whole",
                condition=models.Q(mandated_reason="", mandated_by__isnull=True, mandated_until__isnull=True)
                | (~models.Q(mandated_reason="") & models.Q(mandated_by__isnull=False, mandated_until__isnull=False)),
            ),
            models.UniqueConstraint(name="workloads_revision_version", fields=("workload", "version")),
            models.CheckConstraint(
                name="workloads_failure_cost_is_positive",
                condition=is_a_number("failure_cost")
                & (models.Q(failure_cost__isnull=True) | models.Q(failure_cost__gte=0)),
            ),
        )

    def __str__(self) -> str:
        return f"{self.workload} v{self.version}"

    def is_mandated(self, day: date) -> bool:
        """Whether it must run on that day whatever it is worth."""
        return self.mandated_until is not None and day <= self.mandated_until


class BindingQuerySet(models.QuerySet["Binding"]):
    def in_force(self) -> "BindingQuerySet":
        return self.filter(superseded_by__isnull=True, ended_at__isnull=True)

    def visible_to(self, actor: Actor) -> "BindingQuerySet":
        """Bindings of workloads whose usage the actor may see; all of them for those who place what is unallocated."""
        if rights.rights_of(actor).may(rights.Right.SEE_UNALLOCATED):
            return self
        return self.filter(workload__in=Workload.objects.money_visible_to(actor))


class Binding(models.Model):
    """Says that usage with these pairs belongs to a workload, from one full hour to another.

    `source_id` is the narrower scope (None: any source). It is no foreign key, because sources know workloads and
    not the other way round; sources are never deleted.
    """

    workload = models.ForeignKey(Workload, on_delete=models.PROTECT, related_name="bindings")
    source_id = models.BigIntegerField(null=True)
    pairs = models.JSONField(help_text="A list of [kind, value]; usage that has all of them matches.")
    valid_from = models.DateTimeField(default=BEGINNING)
    valid_to = models.DateTimeField(default=END)
    recorded_at = models.DateTimeField(db_default=Now())
    recorded_by = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="+")
    superseded_by = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="supersedes")
    ended_at = models.DateTimeField(null=True, help_text="When it was taken back without a successor.")

    objects = BindingQuerySet.as_manager()

    class Meta:
        db_table = "workloads_binding"
        constraints = (
            models.CheckConstraint(
                name="workloads_binding_half_open", condition=models.Q(valid_from__lt=models.F("valid_to"))
            ),
        )

    def __str__(self) -> str:
        return f"{self.pairs} -> {self.workload}"

    @property
    def in_force(self) -> bool:
        return self.superseded_by_id is None and self.ended_at is None

    @property
    def label(self) -> str:
        """The value alone where it names one plain key, else the pairs in words."""
        if len(self.pairs) == 1 and self.pairs[0][0] == "key":
            return str(self.pairs[0][1]) or "no key"
        return " / ".join(f"{kind} {value}" for kind, value in self.pairs)


class Attribution(models.Model):
    """Whose an identity is, resolved into periods without gap or overlap; workload None is unallocated."""

    identity_id = models.BigIntegerField()
    valid_from = models.DateTimeField()
    valid_to = models.DateTimeField()
    workload = models.ForeignKey(Workload, on_delete=models.PROTECT, null=True, related_name="attributions")
    binding = models.ForeignKey(Binding, on_delete=models.PROTECT, null=True, related_name="+")

    class Meta:
        db_table = "workloads_attribution"
        constraints = (
            models.UniqueConstraint(name="workloads_attribution_gapless", fields=("identity_id", "valid_from")),
            models.CheckConstraint(
                name="workloads_attribution_half_open", condition=models.Q(valid_from__lt=models.F("valid_to"))
            ),
        )

    def __str__(self) -> str:
        return f"{self.identity_id}: {self.workload or 'unallocated'}"

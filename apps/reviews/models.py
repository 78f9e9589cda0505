"""The monthly review: a cycle, its agenda, what was decided, what was promised, and the pack that seals it.

What people decided, attested or signed is append-only by trigger. Persons stand in it as keys; names can be erased.
"""

import pgtrigger
from django.db import models
from django.db.models.functions import Now

from apps.accounts import rights
from apps.accounts.models import CostCentre, Person
from apps.accounts.rights import Right
from apps.approvals.models import append_only
from apps.core.actor import Actor
from apps.core.money import MoneyField, is_a_number
from apps.workloads.models import Workload


def _while_open(cycle: str) -> str:
    """The body of a trigger: the cycle found by this SQL must be open. A lock makes a signing wait or be seen."""
    return (
        f"PERFORM 1 FROM reviews_cycle WHERE id = ({cycle}) AND state = 'open' FOR KEY SHARE; "
        "IF NOT FOUND THEN RAISE EXCEPTION 'This review is signed off'; END IF; RETURN NEW;"
    )


class CycleQuerySet(models.QuerySet["Cycle"]):
    def visible_to(self, actor: Actor) -> "CycleQuerySet":
        """Those who read reviews see all of them; owners see them too, with nothing in them but their own."""
        if actor.is_machine or rights.rights_of(actor).may(Right.SEE_REVIEWS):
            return self
        own = Workload.objects.owned_by(actor)
        return self.filter(models.Exists(Figure.objects.filter(cycle=models.OuterRef("pk"), workload__in=own)))


class Cycle(models.Model):
    """The review of one accounting month. `revision` counts how often it was signed; reopening keeps each pack."""

    class State(models.TextChoices):
        OPEN = "open", "open"
        SIGNED = "signed", "signed off"

    month = models.DateField(unique=True, help_text="The first day of the month that is reviewed.")
    state = models.CharField(max_length=6, choices=State.choices, default=State.OPEN)
    revision = models.PositiveIntegerField(default=0)
    version = models.PositiveIntegerField(default=1, help_text="Counts changes: a stale page is told, not obeyed.")
    by_calendar = models.BooleanField(default=False)
    opened_by = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="+")
    opened_at = models.DateTimeField(db_default=Now())
    figures_at = models.DateTimeField(help_text="When the agenda and the figures were last taken from the books.")
    books = models.CharField(
        max_length=32,
        blank=True,
        default="",
        db_default="",
        help_text="Digest of the month's cost as it was taken then.",
    )
    facilitator = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="+")
    signed_at = models.DateTimeField(null=True)

    objects = CycleQuerySet.as_manager()

    class Meta:
        db_table = "reviews_cycle"
        ordering = ("-month",)
        constraints = (models.CheckConstraint(name="reviews_cycle_first_day", condition=models.Q(month__day=1)),)
        triggers = (
            pgtrigger.Protect(name="never_deleted", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="month_stays", operation=pgtrigger.Update, condition=pgtrigger.AnyChange("month", "opened_at")
            ),
        )

    def __str__(self) -> str:
        return f"{self.month:%B %Y}"

    @property
    def is_open(self) -> bool:
        return self.state == self.State.OPEN


class FigureQuerySet(models.QuerySet["Figure"]):
    def visible_to(self, actor: Actor) -> "FigureQuerySet":
        return self.filter(workload__in=Workload.objects.money_visible_to(actor))


class Figure(models.Model):
    """What one workload came to in the month, as the review sees it: what its owners attest.

    Taken anew while the cycle is open; `digest` tells whether it still is what somebody attested.
    """

    cycle = models.ForeignKey(Cycle, on_delete=models.PROTECT, related_name="figures")
    workload = models.ForeignKey(Workload, on_delete=models.PROTECT, related_name="+")
    cost_centre = models.ForeignKey(CostCentre, on_delete=models.PROTECT, null=True, related_name="+")
    cost = MoneyField(null=True)
    value = MoneyField(null=True)
    review_cost = MoneyField(null=True)
    net_low = MoneyField(null=True)
    net = MoneyField(null=True)
    net_high = MoneyField(null=True)
    produced = models.BigIntegerField(null=True)
    useful = models.BigIntegerField(null=True)
    is_declared = models.BooleanField(default=False, db_default=False, help_text="The outcomes are a declared share.")
    verdict = models.CharField(max_length=10, blank=True)
    digest = models.CharField(max_length=64)

    objects = FigureQuerySet.as_manager()

    class Meta:
        db_table = "reviews_figure"
        constraints = (
            models.UniqueConstraint(name="reviews_figure_once", fields=("cycle", "workload")),
            models.CheckConstraint(
                name="reviews_figure_numbers",
                condition=is_a_number("cost", "value", "review_cost", "net_low", "net", "net_high"),
            ),
        )

    def __str__(self) -> str:
        return f"{self.workload_id} in {self.cycle_id}"


class ItemKind(models.TextChoices):
    """Why something stands on the agenda; restatements come first, the rest by money at stake."""

    RESTATEMENT = "restatement", "Restated after sign-off"
    UNPRICED = "unpriced", "No price"
    UNALLOCATED = "unallocated", "Unallocated"
    STOP = "stop", "Costs more than it is worth"
    FIX = "fix", "Needs fixing"
    OVER_BUDGET = "over_budget", "Over budget"
    EXPIRING = "expiring_case", "Value case expires"
    PROMISE = "promise", "Promised last time"
    ORPHAN = "orphan", "Nobody answers for it"
    CARRIED = "carried", "Left undecided"


class ItemQuerySet(models.QuerySet["Item"]):
    def on_agenda(self) -> "ItemQuerySet":
        return self.exclude(state=Item.State.CLEARED)

    def visible_to(self, actor: Actor) -> "ItemQuerySet":
        """Items of workloads whose money the actor may see; what is about the whole, for those who see the whole."""
        if actor.is_machine:
            return self
        seen = models.Q(workload__in=Workload.objects.money_visible_to(actor))
        held = rights.rights_of(actor)
        if held.may(Right.SEE_REVIEWS) and held.sees_all_money:
            seen |= models.Q(workload__isnull=True)
        elif held.may(Right.SEE_REVIEWS) and held.may(Right.SEE_UNALLOCATED):
            about = (ItemKind.UNALLOCATED, ItemKind.UNPRICED)
            seen |= models.Q(workload__isnull=True, kind__in=about)
        return self.filter(seen)


class Item(models.Model):
    """One point of the agenda. `facts` are the figures behind it, as they were when the agenda was last taken."""

    class State(models.TextChoices):
        OPEN = "open", "open"
        DECIDED = "decided", "decided"
        CARRIED = "carried", "carried into the next review"
        CLEARED = "cleared", "no longer so"

    cycle = models.ForeignKey(Cycle, on_delete=models.PROTECT, related_name="items")
    kind = models.CharField(max_length=16, choices=ItemKind.choices)
    workload = models.ForeignKey(Workload, on_delete=models.PROTECT, null=True, related_name="+")
    subject = models.CharField(max_length=80, blank=True, help_text="What tells two items of a kind apart.")
    money_at_stake = MoneyField(null=True, help_text="In the organisation's currency, a month; None is unknown.")
    facts = models.JSONField(default=dict)
    position = models.PositiveIntegerField()
    state = models.CharField(max_length=8, choices=State.choices, default=State.OPEN)
    version = models.PositiveIntegerField(default=1)

    objects = ItemQuerySet.as_manager()

    class Meta:
        db_table = "reviews_item"
        ordering = ("position", "id")
        constraints = (
            models.UniqueConstraint(
                name="reviews_item_once", fields=("cycle", "kind", "workload", "subject"), nulls_distinct=False
            ),
            models.CheckConstraint(name="reviews_item_money", condition=is_a_number("money_at_stake")),
        )
        triggers = (pgtrigger.Protect(name="never_deleted", operation=pgtrigger.Delete),)

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.workload_id or self.subject}"


class What(models.TextChoices):
    """What a review may do to a workload: keep or tighten, in the order of the keys 1 to 7."""

    CONTINUE = "continue", "Continue"
    OPTIMISE = "optimise", "Optimise"
    DOWNGRADE = "downgrade", "Downgrade"
    MOVE_TO_BATCH = "move_to_batch", "Move to batch"
    CAP = "cap", "Cap"
    SUSPEND = "suspend", "Suspend"
    SUNSET = "sunset", "Sunset"


class Disposition(models.Model):
    """A decision about one item, with what it changed; it took effect in the transaction that wrote this row."""

    item = models.ForeignKey(Item, on_delete=models.PROTECT, related_name="dispositions")
    what = models.CharField(max_length=16, choices=What.choices)
    reason = models.CharField(max_length=500)
    effect = models.JSONField(default=list, help_text="What changed, as the preview had said it.")
    by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    acted_for = models.ForeignKey(
        Person, on_delete=models.PROTECT, null=True, related_name="+", help_text="Whose role it was, if not their own."
    )
    at = models.DateTimeField(db_default=Now())
    key = models.CharField(max_length=32, unique=True, help_text="Of the form that was sent: sent twice, written once.")

    class Meta:
        db_table = "reviews_disposition"
        ordering = ("id",)
        constraints = (models.CheckConstraint(name="reviews_disposition_reason", condition=~models.Q(reason="")),)
        triggers = (
            *append_only(),
            pgtrigger.Trigger(
                name="only_while_open",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert,
                func=_while_open("SELECT cycle_id FROM reviews_item WHERE id = NEW.item_id"),
            ),
        )

    def __str__(self) -> str:
        return f"{self.get_what_display()}: {self.reason}"

    @property
    def decider(self) -> str:
        """Who decided it, with for whom."""
        return f"{self.by.name} for {self.acted_for.name}" if self.acted_for else self.by.name


class ActionQuerySet(models.QuerySet["Action"]):
    def visible_to(self, actor: Actor) -> "ActionQuerySet":
        seen = models.Q(owner_id=actor.person_id or 0) | models.Q(item__in=Item.objects.visible_to(actor))
        return self if actor.is_machine else self.filter(seen)

    def unfinished(self) -> "ActionQuerySet":
        return self.filter(state=Action.State.OPEN)


class Action(models.Model):
    """Who does what by when, and what it is to save a month, against the month that was reviewed.

    Never deleted: it is done, given up with a reason, or stands on every agenda until it is.
    """

    class State(models.TextChoices):
        OPEN = "open", "open"
        DONE = "done", "done"
        GIVEN_UP = "given_up", "given up"

    item = models.ForeignKey(Item, on_delete=models.PROTECT, related_name="actions")
    disposition = models.ForeignKey(Disposition, on_delete=models.PROTECT, related_name="actions")
    workload = models.ForeignKey(Workload, on_delete=models.PROTECT, null=True, related_name="+")
    title = models.CharField(max_length=200)
    owner = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    due = models.DateField()
    promised_saving = MoneyField(null=True, help_text="A month, organisation's currency; None: no saving was promised.")
    baseline_month = models.DateField()
    baseline_cost = MoneyField(null=True, help_text="The workload's full cost in that month, as it was reviewed.")
    state = models.CharField(max_length=8, choices=State.choices, default=State.OPEN)
    note = models.CharField(max_length=500, blank=True)
    closed_by = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="+")
    closed_at = models.DateTimeField(null=True)

    objects = ActionQuerySet.as_manager()

    class Meta:
        db_table = "reviews_action"
        ordering = ("due", "id")
        constraints = (
            models.CheckConstraint(
                name="reviews_action_saving",
                condition=is_a_number("promised_saving", "baseline_cost")
                & (models.Q(promised_saving__isnull=True) | models.Q(promised_saving__gte=0)),
            ),
            models.CheckConstraint(
                name="reviews_action_end_is_told",
                condition=models.Q(state="open") | (models.Q(closed_at__isnull=False) & ~models.Q(note="")),
            ),
        )
        triggers = (
            pgtrigger.Protect(name="never_deleted", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="promise_stays",
                operation=pgtrigger.Update,
                condition=pgtrigger.AnyChange(
                    *("item", "disposition", "workload", "title", "promised_saving", "baseline_month", "baseline_cost")
                ),
            ),
        )

    def __str__(self) -> str:
        return self.title


class Measurement(models.Model):
    """What came of a promise, as a later review found it. `saved` None: it could not be measured, `why` says so."""

    action = models.ForeignKey(Action, on_delete=models.PROTECT, related_name="measurements")
    cycle = models.ForeignKey(Cycle, on_delete=models.PROTECT, related_name="measurements")
    cost = MoneyField(null=True)
    saved = MoneyField(null=True)
    why = models.CharField(max_length=200, blank=True)

    class Meta:
        db_table = "reviews_measurement"
        constraints = (
            models.UniqueConstraint(name="reviews_measurement_once", fields=("action", "cycle")),
            models.CheckConstraint(name="reviews_measurement_numbers", condition=is_a_number("cost", "saved")),
        )

    def __str__(self) -> str:
        return f"{self.action}: {self.saved}"


class Attestation(models.Model):
    """An owner says that the figures of a workload are right; `digest` is of the figures that were seen."""

    cycle = models.ForeignKey(Cycle, on_delete=models.PROTECT, related_name="attestations")
    workload = models.ForeignKey(Workload, on_delete=models.PROTECT, related_name="+")
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    digest = models.CharField(max_length=64)
    note = models.CharField(max_length=500, blank=True)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "reviews_attestation"
        ordering = ("id",)
        constraints = (
            models.UniqueConstraint(name="reviews_attestation_once", fields=("cycle", "workload", "person", "digest")),
        )
        triggers = append_only()

    def __str__(self) -> str:
        return f"{self.person_id} attests {self.workload_id}"


class Attendance(models.Model):
    """Who was in the meeting."""

    cycle = models.ForeignKey(Cycle, on_delete=models.PROTECT, related_name="attendances")
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "reviews_attendance"
        ordering = ("id",)
        constraints = (models.UniqueConstraint(name="reviews_attendance_once", fields=("cycle", "person")),)
        triggers = append_only()

    def __str__(self) -> str:
        return f"{self.person_id} in {self.cycle_id}"


class Reminder(models.Model):
    """That somebody was written to, so that nobody is written to twice for the same."""

    cycle = models.ForeignKey(Cycle, on_delete=models.PROTECT, related_name="reminders")
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    number = models.PositiveSmallIntegerField(help_text="0 when the review opened, then one every few days.")
    at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "reviews_reminder"
        constraints = (models.UniqueConstraint(name="reviews_reminder_once", fields=("cycle", "person", "number")),)

    def __str__(self) -> str:
        return f"{self.number} to {self.person_id}"


class Waiver(models.Model):
    """Two people let a month be signed in spite of something that blocks it. `digest` is of what they looked at."""

    cycle = models.ForeignKey(Cycle, on_delete=models.PROTECT, related_name="waivers")
    blocker = models.CharField(max_length=20)
    digest = models.CharField(max_length=64)
    reason = models.CharField(max_length=500)
    asked_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    confirmed_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    revision = models.PositiveIntegerField(help_text="Of the cycle: a reopened month is waived anew.")
    decision_id = models.BigIntegerField(null=True, unique=True, help_text="By which the second person confirmed it.")
    at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "reviews_waiver"
        ordering = ("id",)
        constraints = (
            models.CheckConstraint(
                name="reviews_waiver_two_people", condition=~models.Q(asked_by=models.F("confirmed_by"))
            ),
            models.CheckConstraint(name="reviews_waiver_reason", condition=~models.Q(reason="")),
        )
        triggers = append_only()

    def __str__(self) -> str:
        return f"{self.blocker}: {self.reason}"


class Pack(models.Model):
    """What was signed, to the byte: `body` is canonical JSON and `sha256` its digest, which the database proves."""

    cycle = models.ForeignKey(Cycle, on_delete=models.PROTECT, related_name="packs")
    revision = models.PositiveIntegerField()
    body = models.TextField()
    sha256 = models.CharField(max_length=64, unique=True)
    audit_head = models.JSONField(help_text="The signed head of the audit chain at that instant.")
    signed_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    signed_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "reviews_pack"
        ordering = ("cycle", "revision")
        constraints = (models.UniqueConstraint(name="reviews_pack_revision", fields=("cycle", "revision")),)
        triggers = (
            *append_only(),
            pgtrigger.Trigger(
                name="sealed_and_not_by_an_owner",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert,
                func=(
                    "IF NEW.sha256 <> encode(sha256(convert_to(NEW.body, 'UTF8')), 'hex') THEN "
                    "RAISE EXCEPTION 'The digest is not of this pack'; END IF; "
                    "IF EXISTS (SELECT FROM reviews_attestation WHERE cycle_id = NEW.cycle_id "
                    "AND person_id = NEW.signed_by_id) THEN "
                    "RAISE EXCEPTION 'Whoever attested figures of a month does not sign it'; END IF; RETURN NEW;"
                ),
            ),
        )

    def __str__(self) -> str:
        return f"{self.cycle} revision {self.revision}"

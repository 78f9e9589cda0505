"""What may be spent in a month, by a workload or a cost centre, and what was told when it came near or went over."""

from decimal import Decimal
from typing import cast

import pgtrigger
from django.db import models
from django.db.models.functions import Now

from apps.accounts import rights
from apps.accounts.models import CostCentre, Person
from apps.core.actor import Actor
from apps.core.money import MoneyField, is_a_number
from apps.workloads.models import Workload

SOFT = Decimal("0.8")
HARD = Decimal(1)
MOST_SHARE = Decimal(10)

# A signed month keeps the budget by which it was judged: no row may come that would hold in it, and none may go.
_KEEP_SIGNED = """
IF EXISTS (
    SELECT FROM core_period p WHERE p.state = 'signed' AND p.month >= NEW.month AND NOT EXISTS (
        SELECT FROM budgets_budget b WHERE b.workload_id IS NOT DISTINCT FROM NEW.workload_id
            AND b.cost_centre_id IS NOT DISTINCT FROM NEW.cost_centre_id
            AND b.state <> 'superseded' AND b.month > NEW.month AND b.month <= p.month
    )
) THEN
    RAISE EXCEPTION 'A signed month keeps its budget.';
END IF;
RETURN NEW;
"""


def key_of_owner(workload_id: int | None, cost_centre_id: int | None) -> str:
    return f"workload:{workload_id}" if workload_id else f"centre:{cost_centre_id}"


class BudgetQuerySet(models.QuerySet["Budget"]):
    def current(self) -> "BudgetQuerySet":
        """Without versions that another one of the same month has replaced."""
        return self.exclude(state=Budget.State.SUPERSEDED)

    def visible_to(self, actor: Actor) -> "BudgetQuerySet":
        """Budgets of workloads and of cost centres whose money the actor may see."""
        if actor.is_machine:
            return self
        of_workloads = models.Q(workload__in=Workload.objects.money_visible_to(actor))
        return self.filter(of_workloads | models.Q(cost_centre__in=rights.cost_centres_visible(actor)))


class Budget(models.Model):
    """An amount for a month and every month after it, until a newer row begins. Rows are versions: they never change.

    `soft` and `hard` are shares of the amount at which somebody is told. Amount 0 means that nothing may be spent; a
    suspended budget, that nothing may be spent until it is resumed; an ended one, that there is no budget from then on.
    """

    class State(models.TextChoices):
        ACTIVE = "active", "active"
        SUSPENDED = "suspended", "suspended"
        ENDED = "ended", "ended"
        SUPERSEDED = "superseded", "replaced"

    class OnHard(models.TextChoices):
        TELL = "tell", "Tell the owners"
        BLOCK = "block", "Tell the owners, and mark it to be blocked"

    workload = models.ForeignKey(Workload, on_delete=models.PROTECT, null=True, related_name="budgets")
    cost_centre = models.ForeignKey(CostCentre, on_delete=models.PROTECT, null=True, related_name="budgets")
    month = models.DateField(help_text="The first day of the month from which it holds.")
    version = models.PositiveIntegerField()
    amount = MoneyField(help_text="In the organisation's currency, a month.")
    soft = models.DecimalField(max_digits=6, decimal_places=4, default=SOFT)
    hard = models.DecimalField(max_digits=6, decimal_places=4, default=HARD)
    on_hard = models.CharField(max_length=5, choices=OnHard.choices, default=OnHard.TELL)
    state = models.CharField(max_length=10, choices=State.choices, default=State.ACTIVE)
    reason = models.CharField(max_length=300, blank=True)
    cap = MoneyField(
        null=True, help_text="What a review capped it at, or somebody confirmed after that; the newest one binds."
    )
    recorded_by = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="+")
    recorded_at = models.DateTimeField(db_default=Now())
    # No foreign key: approvals know budgets and not the other way round; decisions are never deleted.
    decision_id = models.BigIntegerField(null=True, help_text="By which it was confirmed.")

    objects = BudgetQuerySet.as_manager()

    class Meta:
        db_table = "budgets_budget"
        ordering = ("-month", "-version")
        constraints = (
            models.CheckConstraint(
                name="budgets_one_owner",
                condition=models.Q(workload__isnull=False, cost_centre__isnull=True)
                | models.Q(workload__isnull=True, cost_centre__isnull=False),
            ),
            models.CheckConstraint(name="budgets_first_day", condition=models.Q(month__day=1)),
            models.CheckConstraint(
                name="budgets_amount_not_negative", condition=is_a_number("amount") & models.Q(amount__gte=0)
            ),
            models.CheckConstraint(
                name="budgets_cap_is_kept",
                condition=is_a_number("cap") & (models.Q(cap__isnull=True) | models.Q(amount__lte=models.F("cap"))),
            ),
            models.CheckConstraint(
                name="budgets_thresholds_in_order",
                condition=models.Q(soft__gt=0, soft__lte=models.F("hard"), hard__lte=MOST_SHARE),
            ),
            models.UniqueConstraint(
                name="budgets_version",
                fields=("workload", "cost_centre", "month", "version"),
                nulls_distinct=False,
            ),
            models.UniqueConstraint(
                name="budgets_one_current",
                fields=("workload", "cost_centre", "month"),
                condition=~models.Q(state="superseded"),
                nulls_distinct=False,
            ),
        )
        triggers = (
            pgtrigger.Protect(name="never_deleted", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="never_changed", operation=pgtrigger.Update, condition=pgtrigger.AnyChange(exclude=["state"])
            ),
            pgtrigger.Protect(
                name="only_superseded",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(new__state__df="superseded"),
            ),
            pgtrigger.Trigger(
                name="keep_signed_months",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert | pgtrigger.Update,
                func=_KEEP_SIGNED,
            ),
        )

    def __str__(self) -> str:
        return f"{self.owner}: {self.amount:.2f} from {self.month:%B %Y}"

    @property
    def owner(self) -> Workload | CostCentre:
        return self.workload or cast("CostCentre", self.cost_centre)

    @property
    def owner_key(self) -> str:
        """Names the workload or cost centre without reading it."""
        return key_of_owner(self.workload_id, self.cost_centre_id)

    @property
    def is_suspended(self) -> bool:
        return self.state == Budget.State.SUSPENDED

    @property
    def limit(self) -> Decimal:
        """What may be spent: nothing while it is suspended."""
        return Decimal(0) if self.is_suspended else self.amount

    @property
    def soft_amount(self) -> Decimal:
        return Decimal(self.amount) * self.soft

    @property
    def hard_amount(self) -> Decimal:
        return Decimal(self.amount) * self.hard


class NoticeQuerySet(models.QuerySet["Notice"]):
    def visible_to(self, actor: Actor) -> "NoticeQuerySet":
        return self.filter(budget__in=Budget.objects.visible_to(actor))


class Notice(models.Model):
    """That a threshold was passed in a month: each level is said once, however often figures and budget move.

    A correction that takes the spending below the limit again is noted here; the next rise above it is not told anew.
    `owner_key` names the workload or cost centre, so that a new version does not say it again.
    """

    class Level(models.TextChoices):
        SOFT = "soft", "soft threshold"
        HARD = "hard", "hard threshold"
        FULL = "full", "whole budget"

    budget = models.ForeignKey(Budget, on_delete=models.PROTECT, related_name="notices")
    owner_key = models.CharField(max_length=24)
    month = models.DateField()
    level = models.CharField(max_length=4, choices=Level.choices)
    limit_amount = MoneyField()
    spent = MoneyField(help_text="Direct cost when it was found over the limit.")
    crossed_at = models.DateTimeField()
    corrected_at = models.DateTimeField(
        null=True, help_text="When a correction was first found to take it below again."
    )
    corrected_spent = MoneyField(null=True)
    again_at = models.DateTimeField(null=True, help_text="When it was found over the limit once more; not told again.")
    mailed_at = models.DateTimeField(null=True)

    objects = NoticeQuerySet.as_manager()

    class Meta:
        db_table = "budgets_notice"
        ordering = ("-crossed_at", "-id")
        indexes = (
            models.Index(name="budgets_notice_unsent", fields=("id",), condition=models.Q(mailed_at__isnull=True)),
        )
        constraints = (
            models.UniqueConstraint(name="budgets_notice_once", fields=("owner_key", "month", "level", "limit_amount")),
            models.CheckConstraint(
                name="budgets_notice_numbers",
                condition=is_a_number("limit_amount", "spent", "corrected_spent"),
            ),
        )

    def __str__(self) -> str:
        return f"{self.get_level_display()} of {self.budget} in {self.month:%B %Y}"

    @property
    def is_over_now(self) -> bool:
        return self.corrected_at is None or self.again_at is not None

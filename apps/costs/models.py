"""What it cost: one line per day, owner, spender, model, component and basis; the only table pages sum."""

from collections.abc import Iterable
from typing import Final

from django.db import models
from django.db.models.functions import Now

from apps.accounts import rights
from apps.catalog.models import Offering
from apps.core.actor import Actor
from apps.core.money import MoneyField
from apps.sources.models import Source, SourceRole
from apps.usage.models import Identity
from apps.workloads.models import Workload


class Component(models.TextChoices):
    """Always shown in this order."""

    TOKEN = "token", "Token"
    RETRY_FAILED = "retry_failed", "Retries, failed"
    FALLBACK = "fallback", "Fallback"
    GPU_USED = "gpu_used", "GPU used"
    GPU_IDLE = "gpu_idle", "GPU idle"
    GUARDRAIL = "guardrail", "Guardrail"
    ORCHESTRATION = "orchestration", "Orchestration"
    RETRIEVAL = "retrieval", "Retrieval"
    DATA_TRANSFER = "data_transfer", "Data transfer"
    SUPPORT_LABOUR = "support_labour", "Support labour"
    OTHER_SHARED = "other_shared", "Other shared"


# What a workload's own calls cause, against what is shared or internal: budgets burn it, reviews look at it.
DIRECT: Final = (
    Component.TOKEN,
    Component.RETRY_FAILED,
    Component.FALLBACK,
    Component.GPU_USED,
    Component.GPU_IDLE,
)


def components_of(components: Iterable[Component]) -> list[str]:
    """Their values, as a statement takes them."""
    return [component.value for component in components]


class Basis(models.TextChoices):
    COMPUTED = "computed", "computed"
    BILLED = "billed", "billed"
    EFFECTIVE = "effective", "effective"
    INTERNAL = "internal", "internal"


class Cause(models.TextChoices):
    """Why a signed month got a correction."""

    LATE_DATA = "late data", "late data"
    RESTATEMENT = "source restatement", "source restatement"
    PRICE = "price", "price"
    EXCHANGE_RATE = "exchange rate", "exchange rate"
    BINDING = "binding", "binding"
    ALLOCATION_RULE = "allocation rule", "allocation rule"
    SOURCE_ROLE = "source role", "source that counts or checks"


class LineQuerySet(models.QuerySet["Line"]):
    def visible_to(self, actor: Actor) -> "LineQuerySet":
        """Lines of workloads whose money the actor may see; unallocated ones only for those who place them."""
        if actor.is_machine:
            return self
        seen = models.Q(workload__in=Workload.objects.money_visible_to(actor))
        if rights.rights_of(actor).may(rights.Right.SEE_UNALLOCATED):
            seen |= models.Q(workload__isnull=True)
        return self.filter(seen)

    def full_cost(self) -> "LineQuerySet":
        """What counts: computed, effective and internal lines of counting sources; billed is for invoices only."""
        return self.filter(role=SourceRole.Role.COUNTS).exclude(basis=Basis.BILLED)


class Line(models.Model):
    """An amount in its source currency and in the organisation's; `amount` None is unpriced, never free.

    The table is partitioned by month of `day` and made by hand in the first migration.
    """

    id = models.BigAutoField(primary_key=True)
    day = models.DateField()
    charge_month = models.DateField()
    booked_month = models.DateField()
    revision = models.SmallIntegerField(default=0)
    cause = models.CharField(max_length=20, default="", help_text="Of a correction, see Cause; empty at revision 0.")
    workload = models.ForeignKey(
        Workload, on_delete=models.DO_NOTHING, null=True, db_constraint=False, related_name="+"
    )
    identity = models.ForeignKey(
        Identity, on_delete=models.DO_NOTHING, null=True, db_constraint=False, related_name="+"
    )
    offering = models.ForeignKey(
        Offering, on_delete=models.DO_NOTHING, null=True, db_constraint=False, related_name="+"
    )
    source = models.ForeignKey(Source, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+")
    component = models.CharField(max_length=16, choices=Component.choices)
    basis = models.CharField(max_length=10, choices=Basis.choices)
    role = models.CharField(max_length=6, choices=SourceRole.Role.choices)
    quantity = MoneyField(null=True, help_text="Tokens of token components, GPU-seconds of GPU ones, else the meter's.")
    requests = models.BigIntegerField(null=True)
    amount = MoneyField(null=True)
    currency = models.CharField(max_length=3)
    amount_org = MoneyField(null=True)
    unpriced_tokens = models.BigIntegerField(default=0)
    flags = models.IntegerField(default=0)
    cleared = models.IntegerField(default=0, help_text="Marks that a correction takes away.")
    lines = models.SmallIntegerField(default=1, help_text="1 a new key, 0 a correction of one, -1 takes one away.")
    allocation_run_id = models.BigIntegerField(null=True)

    objects = LineQuerySet.as_manager()

    class Meta:
        db_table = "costs_line"
        managed = False


class DirtyDay(models.Model):
    """A day of an identity whose lines are to be worked out again; written in the transaction of the cause."""

    day = models.DateField()
    identity = models.ForeignKey(
        Identity, on_delete=models.CASCADE, db_constraint=False, related_name="+", db_index=False
    )
    reason = models.CharField(max_length=20)
    recorded_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "costs_dirty_day"

    def __str__(self) -> str:
        return f"{self.day} {self.identity_id} {self.reason}"

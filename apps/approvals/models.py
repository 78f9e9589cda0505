"""Changes that wait for somebody else, who decided them, and who may not.

What makes a decision valid is proved by the database (the triggers of this app's migrations): services and pages only
say it earlier and in words. See docs/architecture.md, "Whoever asks does not approve".
"""

import pgtrigger
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from apps.accounts.models import Person
from apps.workloads.models import Workload


def _no_truncate() -> pgtrigger.Trigger:
    """TRUNCATE passes row triggers by, so it has its own."""
    return pgtrigger.Trigger(
        name="no_truncate",
        when=pgtrigger.Before,
        operation=pgtrigger.Truncate,
        level=pgtrigger.Statement,
        func="RAISE EXCEPTION 'Cannot truncate the append-only table %', TG_TABLE_NAME;",
    )


def append_only() -> tuple[pgtrigger.Trigger, ...]:
    """No row changes or goes, neither one by one nor all at once."""
    return pgtrigger.Protect(name="append_only", operation=pgtrigger.Update | pgtrigger.Delete), _no_truncate()


class MayDecide(models.Func):
    """`MayDecide(person_id, "pk")`: whether the database would take that person's decision about the row now."""

    function = "approvals_may_decide"
    output_field = models.BooleanField()

    def __init__(self, person_id: int | None, confirmation: str = "pk") -> None:
        super().__init__(models.Value(person_id or 0, models.BigIntegerField()), models.F(confirmation))


class ConfirmationQuerySet(models.QuerySet["Confirmation"]):
    def waiting(self) -> "ConfirmationQuerySet":
        """Those that can still be decided, by the database's clock."""
        return self.filter(state=Confirmation.State.WAITING, expires_at__gt=Now())

    def expired(self) -> "ConfirmationQuerySet":
        """Those that still stand as waiting, and cannot be decided any more."""
        return self.filter(state=Confirmation.State.WAITING, expires_at__lte=Now())

    def decidable_by(self, person_id: int | None) -> "ConfirmationQuerySet":
        return self.waiting().alias(may=MayDecide(person_id)).filter(may=True)


class Confirmation(models.Model):
    """A change that somebody proposed and somebody else confirms or refuses.

    It is never edited: another proposal takes its place, and the decision about it begins anew. `statement` is the
    canonical JSON of what is decided (kind, subject, what stood, what is proposed) and `digest` its SHA-256.
    """

    class State(models.TextChoices):
        WAITING = "waiting", "waiting"
        CONFIRMED = "confirmed", "confirmed"
        REFUSED = "refused", "refused"
        WITHDRAWN = "withdrawn", "withdrawn"
        VOID = "void", "replaced"
        EXPIRED = "expired", "expired"

    kind = models.CharField(max_length=20)
    subject_kind = models.CharField(max_length=60, help_text="Its model, such as workloads.workload.")
    subject_id = models.BigIntegerField()
    key = models.CharField(max_length=120, blank=True, help_text="Which of several changes of one subject it is.")
    workload = models.ForeignKey(Workload, on_delete=models.PROTECT, null=True, related_name="confirmations")
    standing = models.JSONField(help_text="What stood when it was asked for.")
    proposed = models.JSONField()
    statement = models.TextField()
    digest = models.CharField(max_length=64)
    reason = models.CharField(max_length=300, help_text="Why, in the words of whoever asks.")
    roles = ArrayField(models.CharField(max_length=20), help_text="Roles that may decide it.")
    stand_ins = ArrayField(models.CharField(max_length=20), help_text="Roles that may where nobody else can.")
    asked_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    asked_at = models.DateTimeField(db_default=Now(), help_text="Set by the database.")
    expires_at = models.DateTimeField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    settled_at = models.DateTimeField(null=True, help_text="Set by the database when it stops waiting.")
    replaces = models.OneToOneField("self", on_delete=models.PROTECT, null=True, related_name="replaced_by")

    objects = ConfirmationQuerySet.as_manager()

    class Meta:
        db_table = "approvals_confirmation"
        ordering = ("asked_at", "id")
        constraints = (
            models.UniqueConstraint(
                name="approvals_one_waiting",
                fields=("kind", "subject_kind", "subject_id", "key"),
                condition=models.Q(state="waiting"),
            ),
            models.CheckConstraint(
                name="approvals_state_known",
                condition=models.Q(state__in=("waiting", "confirmed", "refused", "withdrawn", "void", "expired")),
            ),
            models.CheckConstraint(
                name="approvals_settled_when_not_waiting",
                condition=models.Q(state="waiting", settled_at__isnull=True)
                | (~models.Q(state="waiting") & models.Q(settled_at__isnull=False)),
            ),
            models.CheckConstraint(name="approvals_has_a_reason", condition=~models.Q(reason="")),
            models.CheckConstraint(name="approvals_somebody_may", condition=models.Q(roles__len__gt=0)),
        )
        indexes = (models.Index(fields=("workload", "-asked_at"), name="approvals_of_workload"),)
        # Its state moves, once; by which way a trigger of the migrations says.
        triggers = (pgtrigger.Protect(name="never_deleted", operation=pgtrigger.Delete), _no_truncate())

    def __str__(self) -> str:
        return f"{self.kind} {self.subject_kind} {self.subject_id}: {self.state}"

    @property
    def ref(self) -> str:
        """How people cite it: CF-0018."""
        return f"CF-{self.pk:04d}"

    @property
    def is_waiting(self) -> bool:
        return self.state == self.State.WAITING


class Decision(models.Model):
    """What somebody decided about a confirmation, once and for good; inserting it moves the confirmation."""

    class Verdict(models.TextChoices):
        CONFIRM = "confirm", "confirmed"
        REFUSE = "refuse", "refused"

    confirmation = models.OneToOneField(Confirmation, on_delete=models.PROTECT, related_name="decision")
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    verdict = models.CharField(max_length=8, choices=Verdict.choices)
    digest = models.CharField(max_length=64, help_text="Of what the decider saw.")
    reason = models.CharField(max_length=300, blank=True)
    channel = models.CharField(max_length=8)
    session_fresh_at = models.DateTimeField(help_text="When the decider last proved who they are in this session.")
    decided_at = models.DateTimeField(db_default=Now(), help_text="Set by the database.")
    acted_for = models.ForeignKey(
        Person,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        help_text="Whose role it was, where it was passed on to the decider; set by the database.",
    )

    class Meta:
        db_table = "approvals_decision"
        constraints = (
            models.CheckConstraint(
                name="approvals_verdict_known", condition=models.Q(verdict__in=("confirm", "refuse"))
            ),
            models.CheckConstraint(
                name="approvals_refusal_says_why", condition=models.Q(verdict="confirm") | ~models.Q(reason="")
            ),
            models.CheckConstraint(name="approvals_decided_at_a_page", condition=models.Q(channel="web")),
        )
        triggers = append_only()

    def __str__(self) -> str:
        return f"{self.confirmation_id} {self.verdict} by {self.person_id}"


class Barred(models.Model):
    """Who may not decide about a workload, or about one proposal, and why.

    Rows about workloads are written by triggers on the workload, its revisions and the audit trail, so that no way of
    owning, editing or attesting forgets them. A row bars for 90 days before a proposal and for everything after it.
    """

    class Why(models.TextChoices):
        ASKED = "asked", "asked for it"
        RECEIVES = "receives", "would receive it"
        WROTE = "wrote", "wrote it"
        NAMED = "named", "is named in it"
        OWNED = "owned", "owned it in the 90 days before, or since"
        EDITED = "edited", "edited it in the 90 days before, or since"
        ATTESTED = "attested", "attested it in the 90 days before, or since"

    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    # A discarded draft goes, the row stays.
    workload = models.ForeignKey(
        Workload, on_delete=models.DO_NOTHING, db_constraint=False, null=True, related_name="+"
    )
    confirmation = models.ForeignKey(Confirmation, on_delete=models.PROTECT, null=True, related_name="barred")
    why = models.CharField(max_length=10, choices=Why.choices)
    since = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "approvals_barred"
        constraints = (
            models.CheckConstraint(
                name="approvals_barred_from_one",
                condition=models.Q(workload__isnull=True, confirmation__isnull=False)
                | models.Q(workload__isnull=False, confirmation__isnull=True),
            ),
        )
        indexes = (models.Index(fields=("workload", "person", "since"), name="approvals_barred_workload"),)
        triggers = append_only()

    def __str__(self) -> str:
        return f"{self.person_id} {self.why}"


class LetterQuerySet(models.QuerySet["Letter"]):
    def unsent(self) -> "LetterQuerySet":
        return self.filter(sent_at__isnull=True)


class Letter(models.Model):
    """That a confirmation is told of by mail: written with its cause, marked by the transaction that sends it."""

    class Occasion(models.TextChoices):
        ASKED = "asked", "it was asked for"
        HALF = "half", "half of its time is over"
        EXPIRED = "expired", "it has waited too long"

    confirmation = models.ForeignKey(Confirmation, on_delete=models.PROTECT, related_name="letters")
    occasion = models.CharField(max_length=8, choices=Occasion.choices)
    due_at = models.DateTimeField(db_default=Now())
    sent_at = models.DateTimeField(null=True)

    objects = LetterQuerySet.as_manager()

    class Meta:
        db_table = "approvals_letter"
        constraints = (models.UniqueConstraint(name="approvals_letter_once", fields=("confirmation", "occasion")),)
        indexes = (
            models.Index(name="approvals_letter_unsent", fields=("due_at",), condition=models.Q(sent_at__isnull=True)),
        )

    def __str__(self) -> str:
        return f"{self.confirmation_id}: {self.get_occasion_display()}"

"""Where usage and bills come from: sources, the parts a window is replaced within, and the pulls that did it."""

from django.db import models
from django.db.models.functions import Now

from apps.accounts import rights
from apps.accounts.models import Person
from apps.core.actor import Actor
from apps.workloads.models import Workload


class Measure(models.TextChoices):
    TOKENS = "tokens", "tokens"
    TOKEN_COST = "token_cost", "token cost"
    GPU = "gpu", "GPU"
    LATENCY = "latency", "latency"


class SourceQuerySet(models.QuerySet["Source"]):
    def visible_to(self, actor: Actor) -> "SourceQuerySet":
        """Sources are for those who manage or audit them."""
        if actor.is_machine or rights.rights_of(actor).may(rights.Right.SEE_SOURCES):
            return self
        return self.none()


class Source(models.Model):
    """One account, proxy, cluster, bill or log feed; never deleted, since its figures stay in the books."""

    class State(models.TextChoices):
        ACTIVE = "active", "active"
        PAUSED = "paused", "paused"
        NEEDS_ATTENTION = "attention", "needs attention"

    slug = models.SlugField(max_length=80, unique=True)
    name = models.CharField(max_length=120)
    kind = models.CharField(max_length=40, default="file", help_text="file, push, or the kind of a connector.")
    config = models.JSONField(default=dict, blank=True)
    secret = models.BinaryField(null=True, editable=False, help_text="Encrypted; never read back to a page.")
    zone = models.CharField(max_length=64, default="UTC", help_text="The zone in which times without one are read.")
    state = models.CharField(max_length=10, choices=State.choices, default=State.ACTIVE)
    state_reason = models.TextField(blank=True, help_text="Why it needs attention, for a person.")
    last_looked_at = models.DateTimeField(
        null=True, help_text="When it was last asked what it has; the schedule counts from here."
    )
    scope_filter = models.JSONField(default=dict, blank=True, help_text="What of a bill is AI beyond its category.")
    pull_every_minutes = models.PositiveIntegerField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    objects = SourceQuerySet.as_manager()

    class Meta:
        db_table = "sources_source"
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class SourceRole(models.Model):
    """Whether a source counts or checks, per measure and from an instant on; without a row the default decides."""

    class Role(models.TextChoices):
        COUNTS = "counts", "counts"
        CHECKS = "checks", "checks"

    source = models.ForeignKey(Source, on_delete=models.PROTECT, related_name="roles")
    measure = models.CharField(max_length=12, choices=Measure.choices)
    role = models.CharField(max_length=6, choices=Role.choices)
    workload = models.ForeignKey(Workload, on_delete=models.PROTECT, null=True, related_name="+")
    valid_from = models.DateTimeField()

    class Meta:
        db_table = "sources_role"
        constraints = (
            models.UniqueConstraint(
                name="sources_role_once", fields=("source", "measure", "workload", "valid_from"), nulls_distinct=False
            ),
        )

    def __str__(self) -> str:
        return f"{self.source} {self.role} {self.measure}"


class Part(models.Model):
    """What a window is replaced within: the whole of a live source, or one file, folder or glob of a feed."""

    source = models.ForeignKey(Source, on_delete=models.PROTECT, related_name="parts")
    name = models.CharField(max_length=255)
    sha256 = models.CharField(max_length=64, blank=True, help_text="Of the bytes that its rows came from.")

    class Meta:
        db_table = "sources_part"
        constraints = (models.UniqueConstraint(name="sources_part_name", fields=("source", "name")),)
        indexes = (models.Index(fields=("sha256",), name="sources_part_sha256"),)

    def __str__(self) -> str:
        return f"{self.source}: {self.name}"


class PullQuerySet(models.QuerySet["Pull"]):
    def visible_to(self, actor: Actor) -> "PullQuerySet":
        return self.filter(part__source__in=Source.objects.visible_to(actor))

    def unfinished(self) -> "PullQuerySet":
        return self.filter(state__in=(Pull.State.QUEUED, Pull.State.RUNNING))


class Pull(models.Model):
    """One run over a window of a part. An import of a file is a pull whose window is the whole part."""

    class State(models.TextChoices):
        DRAFT = "draft", "columns to check"
        QUEUED = "queued", "waiting"
        RUNNING = "running", "reading"
        DONE = "done", "done"
        FAILED = "failed", "failed"
        CANCELLED = "cancelled", "cancelled"
        UNDONE = "undone", "undone"

    class Format(models.TextChoices):
        REQUESTS = "requests", "request log"
        FOCUS = "focus", "cloud bill (FOCUS)"
        USAGE = "usage", "ready usage"

    part = models.ForeignKey(Part, on_delete=models.PROTECT, related_name="pulls")
    since = models.DateTimeField(null=True, help_text="None, None: the whole part.")
    until = models.DateTimeField(null=True)
    format = models.CharField(max_length=10, choices=Format.choices)
    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    options = models.JSONField(default=dict, help_text="Columns, constants, zone, time unit and origin.")
    file_path = models.CharField(max_length=1000, blank=True, help_text="Where the bytes lie until they are deleted.")
    file_size = models.BigIntegerField(null=True)
    file_deleted_at = models.DateTimeField(null=True)
    requested_by = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="+")
    requested_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    attempt = models.PositiveSmallIntegerField(default=0)
    lease_until = models.DateTimeField(null=True, help_text="Till then one worker has it; later another may take it.")
    cancel_requested = models.BooleanField(default=False)
    progress = models.JSONField(default=dict)
    rows = models.BigIntegerField(null=True)
    digest = models.CharField(max_length=64, blank=True, help_text="SHA-256 of the bytes read.")
    totals = models.JSONField(default=dict, help_text="The result as `manage.py ingest --json` prints it.")
    rejected_path = models.CharField(max_length=1000, blank=True)
    error = models.TextField(blank=True)

    objects = PullQuerySet.as_manager()

    class Meta:
        db_table = "sources_pull"
        constraints = (
            models.UniqueConstraint(
                name="sources_pull_one_running",
                fields=("part", "since", "until"),
                condition=models.Q(state="running"),
                nulls_distinct=False,
            ),
        )
        indexes = (
            models.Index(
                fields=("state", "lease_until"),
                name="sources_pull_waiting",
                condition=models.Q(state__in=("queued", "running")),
            ),
        )

    def __str__(self) -> str:
        return f"{self.part} {self.state}"


class LookedAtFile(models.Model):
    """What a folder showed at the last look, so that a file still being written is not read and none is read twice.

    `taken_at` says that exactly this size and time of change was handed to a pull, whatever came of it.
    """

    source = models.ForeignKey(Source, on_delete=models.CASCADE, related_name="looked_at")
    name = models.CharField(max_length=255)
    size = models.BigIntegerField()
    changed_ns = models.BigIntegerField(help_text="The file's own time of change, nanoseconds since 1970.")
    looked_at = models.DateTimeField()
    taken_at = models.DateTimeField(null=True)
    problem = models.TextField(blank=True, help_text="Why it was not read; a copy of another file has one too.")
    unreadable = models.BooleanField(default=False, help_text="A person must see to it.")

    class Meta:
        db_table = "sources_looked_at_file"
        constraints = (models.UniqueConstraint(name="sources_looked_at_file_name", fields=("source", "name")),)

    def __str__(self) -> str:
        return self.name


class Event(models.Model):
    """One usage event as it was pushed; the pair (source, event_id) is its identity, `digest` its content.

    Events are the truth of a push source: an hour is always worked out again from all of its events.
    """

    id = models.BigAutoField(primary_key=True)
    source = models.ForeignKey(Source, on_delete=models.PROTECT, related_name="events")
    event_id = models.CharField(max_length=255)
    digest = models.CharField(max_length=64)
    hour = models.DateTimeField()
    data = models.JSONField()
    received_at = models.DateTimeField(db_default=Now())
    folded_at = models.DateTimeField(null=True, help_text="When it became part of the ledger's hours.")

    class Meta:
        db_table = "sources_event"
        constraints = (models.UniqueConstraint(name="sources_event_once", fields=("source", "event_id")),)
        indexes = (
            models.Index(fields=("source", "hour"), name="sources_event_hour"),
            models.Index(
                fields=("source", "hour"), name="sources_event_waiting", condition=models.Q(folded_at__isnull=True)
            ),
        )

    def __str__(self) -> str:
        return self.event_id


class Receipt(models.Model):
    """The answer to a POST with an Idempotency-Key, so that a repeated call gets the same one."""

    token_id = models.BigIntegerField()
    key = models.CharField(max_length=255)
    digest = models.CharField(
        max_length=64, help_text="SHA-256 of path and body: the same key for another body is an error."
    )
    status = models.PositiveSmallIntegerField()
    body = models.JSONField()
    answered_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "sources_receipt"
        constraints = (models.UniqueConstraint(name="sources_receipt_once", fields=("token_id", "key")),)
        indexes = (models.Index(fields=("answered_at",), name="sources_receipt_age"),)

    def __str__(self) -> str:
        return self.key

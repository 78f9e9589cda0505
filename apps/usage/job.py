"""What a reduction is asked (a job), says on its way (progress) and answers (a reduction). Plain data, no Django."""

import json
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from decimal import Decimal

from apps.usage.reading import Guards

STEPS = 3


@dataclass(frozen=True, slots=True)
class Job:
    """What to read and how. Everything is plain, so that a job travels as JSON.

    `columns` maps a field to the file's column, `constants` a field to a value that the file lacks; a field in neither
    is looked for under its own name. `time_origin` and `now` are ISO times; `currency` is taken for a bill that names
    none.
    """

    paths: list[str]
    format: str
    work_dir: str
    columns: dict[str, str] = field(default_factory=dict)
    constants: dict[str, str] = field(default_factory=dict)
    zone: str = "UTC"
    time_unit: str = "iso"
    time_origin: str | None = None
    now: str | None = None
    currency: str = "USD"
    max_memory_mb: int = 2_000
    guards: Guards = field(default_factory=Guards)

    @classmethod
    def from_json(cls, written: str) -> "Job":
        given = json.loads(written)
        return cls(**{**given, "guards": Guards(**given.get("guards", {}))})

    def to_json(self) -> str:
        return json.dumps(asdict(self))


@dataclass(frozen=True, slots=True)
class Reject:
    """One reason for which rows were rejected, with the first of them and what helps."""

    reason: str
    count: int
    line: int | None
    text: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Reduction:
    """What a job read. Token sums are inclusive, as files state them; money is exact and written as text.

    None is 'the file does not say', never zero. `hours` and `charges` count the rows that were written.
    """

    rows_read: int
    rows_rejected: int
    sha256: str = ""
    rejects: list[Reject] = field(default_factory=list)
    rejected_file: str | None = None
    hours: int = 0
    charges: int = 0
    requests: int | None = None
    failed_requests: int | None = None
    input_tokens: int | None = None
    cached_input_tokens: int | None = None
    output_tokens: int | None = None
    first_hour: str | None = None
    last_hour: str | None = None
    models: list[str] = field(default_factory=list)
    currencies: list[str] = field(default_factory=list)
    missing_fields: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    reported_cost: str | None = None
    billed_cost: str | None = None
    effective_cost: str | None = None
    list_cost: str | None = None
    by_currency: dict[str, dict[str, str | None]] = field(default_factory=dict)
    focus_version: str | None = None
    effective_cost_usable: bool | None = None


def plain(amount: Decimal | None) -> str | None:
    """An amount exactly as text, without an exponent and without zeros at its end."""
    if amount is None:
        return None
    digits = f"{amount:f}"
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a reduction is. `rows` of `total` are estimates where a file does not say how many it has."""

    step: int
    label: str
    rows: int = 0
    total: int = 0
    steps: int = STEPS


OnProgress = Callable[[Progress], None]


class Cancelled(Exception):
    """Somebody asked to stop."""


@dataclass(frozen=True, slots=True)
class Watch:
    """Where a running reduction reports to, and hears that it should stop."""

    on_progress: OnProgress = lambda _: None
    stop: threading.Event = field(default_factory=threading.Event)

    def tell(self, progress: Progress) -> None:
        if self.stop.is_set():
            raise Cancelled
        self.on_progress(progress)

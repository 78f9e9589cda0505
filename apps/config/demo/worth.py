"""What Larkfield's uses are worth: grades, value cases with their ranges, and how much came out. Data and its telling.

The figures are those of the last complete month; earlier months follow the traffic, so that what an output costs
changes only where the story says that it does.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Final

from django.utils import timezone

from apps.accounts.models import Person
from apps.approvals import services as approvals
from apps.approvals.models import Confirmation
from apps.config.demo.company import USES, Use
from apps.core import periods
from apps.core.actor import Actor
from apps.core.errors import NotAllowed
from apps.economics import services as economics
from apps.economics.models import Grade, ValueCase
from apps.workloads.models import Workload

# What an hour of the work costs, all loaded, in the company's currency.
GRADES: Final[Mapping[str, str]] = {
    "Shop assistant": "28.00",
    "Service agent": "30.00",
    "Clerk": "34.00",
    "Adviser": "40.00",
    "Marketer": "44.00",
    "Sales representative": "48.00",
    "Analyst": "52.00",
    "Developer": "62.00",
    "Lawyer": "96.00",
}
Range = tuple[str, str, str]  # low, base, high


@dataclass(frozen=True, slots=True)
class Worth:
    """One use: what came out in the last complete month and what one useful output saves.

    `minutes` None: nobody wrote a value case. `acceptance`: useful outputs among those produced.
    """

    useful: int
    grade: str
    minutes: Range | None
    realisation: Range = ("0.54", "0.60", "0.66")
    acceptance: str = "0.92"
    reviewed: str = "0"  # share of the outputs that a person reads
    review_minutes: Range = ("0", "0", "0")
    counted: bool = True


WORTH: Final[Mapping[str, Worth]] = {
    "Shop search": Worth(4_860_000, "Shop assistant", ("0.055", "0.068", "0.081"), acceptance="0.61"),
    "Sales copilot": Worth(96_500, "Sales representative", ("0.91", "1.3", "1.7"), acceptance="0.78"),
    "Checkout fraud check": Worth(2_940_000, "Analyst", ("0.063", "0.079", "0.095"), acceptance="0.99"),
    "Code assistant": Worth(126_000, "Developer", ("0.42", "0.84", "1.2"), ("0.51", "0.60", "0.69"), "0.34"),
    "Order status bot": Worth(208_000, "Service agent", ("0.39", "0.49", "0.58"), acceptance="0.81"),
    "Contract risk review": Worth(
        3_120, "Lawyer", ("18", "22", "26"), ("0.63", "0.70", "0.77"), "0.97", "1", ("0.3", "0.5", "0.8")
    ),
    # Two seconds for each label.
    "Enquiry classification": Worth(238_000, "Service agent", ("0.022", "0.033333", "0.05"), ("1", "1", "1"), "0.95"),
    "Image studio": Worth(9_600, "Marketer", ("3.8", "4.7", "5.6"), acceptance="0.44"),
    "Claims triage": Worth(
        28_900, "Adviser", ("4.2", "5.2", "6.2"), acceptance="0.93", reviewed="0.1", review_minutes=("0.5", "1", "2")
    ),
    "Voice agent": Worth(13_000, "Service agent", ("2.4", "3", "3.6"), counted=False),
    "Meeting notes": Worth(21_300, "Developer", ("0.46", "0.58", "0.70"), acceptance="0.88"),
    "Demand forecast": Worth(37_200, "Analyst", ("1.8", "2.2", "2.6"), acceptance="0.96"),
    # Two minutes for each summary.
    "Support ticket summaries": Worth(
        184_000, "Service agent", ("1.5", "2", "2.5"), ("0.60", "0.70", "0.80"), "0.94", "0.05", ("0.3", "0.5", "1")
    ),
    "HR policy assistant": Worth(14_200, "Adviser", ("0.70", "1.4", "1.7"), acceptance="0.83"),
    "Invoice extraction": Worth(61_000, "Clerk", ("2", "2.5", "3"), acceptance="0.97"),
    "Product descriptions": Worth(6_390, "Marketer", ("1.2", "1.8", "2.2"), acceptance="0.72"),
    "Review moderation": Worth(780_000, "Service agent", ("0.056", "0.07", "0.084"), acceptance="0.99"),
    "Size advice": Worth(51_600, "Shop assistant", ("0.24", "0.30", "0.36"), acceptance="0.52"),
    "Returns fraud hints": Worth(13_100, "Analyst", ("2.5", "3.1", "3.7"), acceptance="0.68"),
    "Personalised e-mail": Worth(116_000, "Marketer", ("0.09", "0.11", "0.13"), acceptance="0.98"),
    "Campaign ideas": Worth(1_980, "Marketer", ("2.3", "3.3", "4"), acceptance="0.21"),
    "Tender answers": Worth(1_460, "Sales representative", ("9", "12", "15"), ("0.63", "0.70", "0.77"), "0.74"),
    "Call summaries": Worth(32_300, "Sales representative", ("1.6", "2", "2.4"), acceptance="0.90"),
    "Lead scoring": Worth(119_000, "Sales representative", ("0.15", "0.19", "0.23"), acceptance="0.99"),
    "Chargeback letters": Worth(1_910, "Clerk", ("10", "13", "16"), ("0.63", "0.70", "0.77"), "0.89"),
    "Expense check": Worth(24_800, "Clerk", ("0.95", "1.2", "1.4"), acceptance="0.99"),
    "Month-end commentary": Worth(
        426, "Analyst", ("18", "23", "28"), ("0.63", "0.70", "0.77"), "0.85", "1", ("1", "2", "3")
    ),
    "Policy wording check": Worth(600, "Lawyer", ("7.8", "9.8", "12"), ("0.63", "0.70", "0.77"), "0.96"),
    "Damage photo notes": Worth(3_550, "Adviser", ("0.91", "1.3", "1.6"), acceptance="0.77"),
    "Incident summaries": Worth(6_110, "Developer", ("3.1", "3.9", "4.7"), acceptance="0.91"),
    "Test generation": Worth(2_100, "Developer", ("4", "5", "6"), acceptance="0.48"),
    "Log anomaly notes": Worth(14_800, "Developer", ("0.31", "0.39", "0.47"), acceptance="0.66"),
    "IT help desk bot": Worth(9_940, "Service agent", ("0.47", "0.67", "0.80"), acceptance="0.64"),
    "Access request notes": Worth(58_600, "Clerk", ("0.014", "0.018", "0.022"), acceptance="0.97"),
    "Clause library search": Worth(7_420, "Lawyer", ("1.6", "2", "2.4"), acceptance="0.69"),
    "Job advert drafts": Worth(300, "Adviser", ("13", "16", "19"), ("0.63", "0.70", "0.77"), "0.82"),
    "Interview summaries": Worth(1_300, "Adviser", None, acceptance="0.93"),
    "Supplier e-mail triage": Worth(226_000, "Clerk", ("0.08", "0.10", "0.12"), acceptance="0.96"),
    "Customs codes": Worth(32_700, "Clerk", ("0.88", "1.1", "1.3"), acceptance="0.87"),
    "Delivery note reading": Worth(42_000, "Clerk", ("0.61", "0.76", "0.91"), acceptance="0.95"),
}
EXPIRED: Final = "Personalised e-mail"  # its evidence is of last year
ORPHAN: Final = "Interview summaries"  # whose owner left
LEAVER: Final = next(use.owner for use in USES if use.name == ORPHAN)
SELF_ATTESTED: Final = "Voice agent"  # whose owner tries to attest the own case
# Acceptance of the last four complete months, the last one first: no accidental trend where the story has none.
WAVE: Final = (Decimal(1), Decimal("0.991"), Decimal("1.008"), Decimal("0.996"))
STEADY: Final = ("Sales copilot",)


def tell_worth(*, people: Mapping[str, Person], made: Mapping[str, Workload], months: list[date], today: date) -> None:
    """Grades, value cases and outcomes of all complete months and of the days of the current one."""
    analyst = _actor(people["Felix Adeyemi"])
    grades = state_grades(analyst, months[0])
    for use in USES:
        if WORTH[use.name].minutes is not None:
            write_case(use, people, made[use.name], grades, months)
    for use in USES:
        if WORTH[use.name].counted:
            economics.record_outcomes(
                actor=_actor(people[use.owner]),
                entries=list(outcomes_of(use, made[use.name], months, today)),
                today=today,
            )
    economics.recompute_dirty(today=today)


def state_grades(analyst: Actor, since: date) -> dict[str, Grade]:
    grades = {}
    for name, hourly in GRADES.items():
        grades[name] = economics.add_grade(actor=analyst, name=name)
        economics.set_grade_rate(actor=analyst, grade=grades[name], hourly=Decimal(hourly), valid_from=since)
    return grades


def write_case(
    use: Use, people: Mapping[str, Person], workload: Workload, grades: Mapping[str, Grade], months: list[date]
) -> ValueCase:
    """Written by the owner and attested by the approver, but for the one whose owner tried alone."""
    worth, owner = WORTH[use.name], people[use.owner]
    last = months[-2]
    case = economics.write_case(
        actor=_actor(owner),
        workload=workload,
        assumptions=assumptions_of(worth),
        grade=grades[worth.grade],
        review_grade=grades[worth.grade] if worth.review_minutes[2] != "0" else None,
        owner=owner,
        valid_from=months[0],
        expires=last if use.name == EXPIRED else _year_later(last),
        evidence_link=f"https://wiki.larkfield.example/time-studies/{use.slug}",
        reason="Time study with and without it, two weeks each.",
    )
    asked = approvals.ask(
        actor=_actor(owner), kind="attestation", subject=case, proposed={}, reason="The time study is attached."
    )
    if use.name == SELF_ATTESTED:
        try_alone(_actor(owner), asked)
    else:
        confirm(_actor(people["Ruth Calder"]), asked)
    return case


def confirm(actor: Actor, asked: Confirmation) -> None:
    approvals.confirm(actor=actor, confirmation=asked, digest=asked.digest, session_fresh_at=timezone.now())


def try_alone(owner: Actor, asked: Confirmation) -> None:
    """Whoever wrote a case cannot attest it; that it was tried stands in the audit trail."""
    try:
        confirm(owner, asked)
    except NotAllowed:
        return
    raise RuntimeError(f"{owner.label} attested a case of their own.")


def assumptions_of(worth: Worth) -> dict[str, dict[str, str]]:
    ranges = {
        "minutes_saved": worth.minutes or ("0", "0", "0"),
        "realisation": worth.realisation,
        "review_minutes": worth.review_minutes,
    }
    return {name: dict(zip(("low", "base", "high"), said, strict=True)) for name, said in ranges.items()}


def outcomes_of(use: Use, workload: Workload, months: list[date], today: date) -> Iterator[economics.OutcomeEntry]:
    """Whole months for those that are over, and a figure a day for the current one."""
    current = months[-1]
    for ago, month in enumerate(reversed(months[:-1])):
        if ago < use.months:
            yield _entry(use, workload, month, periods.next_month(month), useful_in(use, ago))
    days = (periods.next_month(current) - current).days
    for at in range((today - current).days):
        day = current + timedelta(days=at)
        yield _entry(use, workload, day, day + timedelta(days=1), useful_in(use, -1) / days)


def useful_in(use: Use, ago: int) -> Decimal:
    """Useful outputs in a month; they follow the calls, with a little more or less from month to month."""
    share = Decimal(1) if use.name in STEADY or ago < 0 else WAVE[ago % len(WAVE)]
    return Decimal(WORTH[use.name].useful) * Decimal(str(use.growth)) ** -ago * share


def _entry(use: Use, workload: Workload, start: date, end: date, useful: Decimal) -> economics.OutcomeEntry:
    worth = WORTH[use.name]
    accepted = int(useful)
    produced = int(useful / Decimal(worth.acceptance))
    return economics.OutcomeEntry(
        workload=workload,
        period_start=start,
        period_end=end,
        produced=produced,
        accepted=accepted,
        reviewed=int(produced * Decimal(worth.reviewed)),
    )


def _year_later(day: date) -> date:
    return day.replace(year=day.year + 1)


def _actor(person: Person) -> Actor:
    return Actor(person_id=person.pk, label=person.name, channel="web")

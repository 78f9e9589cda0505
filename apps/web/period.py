"""The period of a page: it stands in the URL, holds on every page, and a shared link shows the same days.

`?month=2026-10`, or `?from=2026-10-01&to=2026-10-15` with both days included, as people say it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property
from urllib.parse import urlencode

from django.http import HttpRequest
from django.utils import timezone

from apps.core import organisation, periods
from apps.core.errors import BadInput
from apps.core.models import Period
from apps.web import hooks

FIRST_DAY, LAST_DAY = date(2015, 1, 1), date(2099, 12, 31)
LONGEST_DAYS = 5 * 366
STATE_WORDS = {
    "open": "complete, not signed off",
    "closing": "being signed off",
    "signed": "signed off",
    "reopened": "opened again",
}


@dataclass(frozen=True)
class Preset:
    """One entry of the picker's menu."""

    label: str
    query: str
    is_current: bool = False


@dataclass(frozen=True)
class PeriodChoice:
    """Days `start` to `end`, half-open, in the organisation's zone; `today` is the day on which it was asked for."""

    start: date
    end: date
    today: date
    fiscal_start: int = field(default=1, compare=False)

    @property
    def is_month(self) -> bool:
        return self.start.day == 1 and self.end == periods.next_month(self.start)

    @property
    def days(self) -> int:
        return (self.end - self.start).days

    @property
    def last_day(self) -> date:
        return self.end - timedelta(days=1)

    @property
    def is_incomplete(self) -> bool:
        """Today's figures are still arriving, so a period that reaches today is not complete."""
        return self.end > self.today

    @property
    def label(self) -> str:
        return f"{self.start:%B %Y}" if self.is_month else f"{_day(self.start, self.last_day)} to {_day(self.last_day)}"

    @cached_property
    def state(self) -> str:
        """The month's state in words; a free range has none."""
        if not self.is_month:
            return "still running" if self.is_incomplete else ""
        if self.start > self.today:
            return "not begun"
        if self.is_incomplete:
            return "still running"
        row = Period.objects.filter(month=self.start).first()
        return STATE_WORDS.get(row.state, row.state) if row else STATE_WORDS["open"]

    @property
    def before(self) -> "PeriodChoice":
        """The period it is compared with: the month before, or as many days before the range."""
        start = periods.previous_month(self.start) if self.is_month else self.start - timedelta(days=self.days)
        return PeriodChoice(start=start, end=self.start, today=self.today)

    @property
    def after(self) -> "PeriodChoice":
        end = periods.next_month(self.end) if self.is_month else self.end + timedelta(days=self.days)
        return PeriodChoice(start=self.end, end=end, today=self.today)

    @property
    def compare_label(self) -> str:
        """September, all of September while the month runs, or the days before: what a change is measured against."""
        before = self.before
        if not before.is_month or not self.is_month:
            return f"the {self.days} days before"
        name = f"{before.start:%B}" if before.start.year == self.start.year else f"{before.start:%B %Y}"
        # A month that still runs is measured against a whole one, which must be said or it looks like a saving.
        return f"all of {name}" if self.is_incomplete else name

    @property
    def query(self) -> str:
        """The part of the URL that names this period."""
        if self.is_month:
            return urlencode({"month": f"{self.start:%Y-%m}"})
        return urlencode({"from": self.start.isoformat(), "to": self.last_day.isoformat()})

    @property
    def previous_query(self) -> str:
        return self.before.query if self.before.start >= FIRST_DAY else ""

    @property
    def next_query(self) -> str:
        """Empty when the next period has not begun: there is nothing to see."""
        return self.after.query if self.after.start <= self.today else ""

    @property
    def presets(self) -> list[Preset]:
        return [Preset(label, choice.query, choice == self) for label, choice in self._named_periods()]

    def _named_periods(self) -> list[tuple[str, "PeriodChoice"]]:
        month, tomorrow = self.today.replace(day=1), self.today + timedelta(days=1)
        quarter = month.replace(month=(month.month - 1) // 3 * 3 + 1)
        year = fiscal_year_start(self.today, self.fiscal_start)
        back = {days: self.today - timedelta(days=days) for days in (7, 30, 90)}
        return [
            ("This month so far", self._between(month, periods.next_month(month))),
            ("Last month", self._between(periods.previous_month(month), month)),
            ("Quarter to date", self._between(quarter, tomorrow)),
            *((f"Last {days} days", self._between(start, self.today)) for days, start in back.items()),
            ("Fiscal year to date", self._between(year, tomorrow)),
        ]

    def _between(self, start: date, end: date) -> "PeriodChoice":
        return PeriodChoice(start=start, end=end, today=self.today)


def period_of(request: HttpRequest) -> PeriodChoice:
    """The period that the URL names, else the newest month with figures, else the last complete month.

    Raises BadInput with a sentence for a month or a day that is none.
    """
    cached: PeriodChoice | None = getattr(request, "period_choice", None)
    if cached is None:
        cached = parse(
            request.GET.dict(), today=_today(), default=lambda: _default(request), fiscal_start=_fiscal_start(request)
        )
        request.period_choice = cached  # type: ignore[attr-defined]
    return cached


def parse(values: dict[str, str], *, today: date, default: Callable[[], date], fiscal_start: int = 1) -> PeriodChoice:
    """Read `month` or `from` and `to`; `default` gives the first day of a month when neither is there."""
    if values.get("month"):
        start = _month(values["month"])
        end = periods.next_month(start)
    elif values.get("from") or values.get("to"):
        start = _date(values.get("from", ""), "first day")
        end = _date(values.get("to", ""), "last day") + timedelta(days=1)
    else:
        start = default()
        end = periods.next_month(start)
    _check(start, end)
    return PeriodChoice(start=start, end=end, today=today, fiscal_start=fiscal_start)


def default_period(request: HttpRequest) -> PeriodChoice:
    """What the frame shows when the URL's period cannot be read."""
    return parse({}, today=_today(), default=lambda: _default(request), fiscal_start=_fiscal_start(request))


def fiscal_year_start(today: date, first_month: int) -> date:
    """The first day of the fiscal year in which `today` lies."""
    return date(today.year - (today.month < first_month), first_month, 1)


def _check(start: date, end: date) -> None:
    if end <= start:
        raise BadInput("The period ends before it begins.", hint="Give a last day that is not before the first.")
    if (end - start).days > LONGEST_DAYS:
        raise BadInput("The period is longer than five years.", hint="Choose fewer days.")


def _month(text: str) -> date:
    if not re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", text):
        raise BadInput(f"“{text[:40]}” is not a month.", hint="Write it like 2026-10.")
    return _in_range(date(int(text[:4]), int(text[5:]), 1) if text[:4] >= "0001" else date.min)


def _date(text: str, what: str) -> date:
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        raise BadInput(f"The {what} of the period is missing or is not a date.", hint="Write it like 2026-10-01.")
    try:
        return _in_range(date.fromisoformat(text))
    except ValueError as error:
        raise BadInput(f"{text} is not a day of the calendar.", hint="Write it like 2026-10-01.") from error


def _in_range(day: date) -> date:
    if not FIRST_DAY <= day <= LAST_DAY:
        raise BadInput("The period lies outside the calendar.", hint="Choose a day from 2015 to 2099.")
    return day


def _default(request: HttpRequest) -> date:
    newest = hooks.newest_month(request.actor) if hasattr(request, "actor") else None
    return newest or periods.previous_month(_today().replace(day=1))


def _today() -> date:
    """Today in the zone that the middleware activated, which is the organisation's."""
    return timezone.localdate()


def _fiscal_start(request: HttpRequest) -> int:
    found = request.organisation if hasattr(request, "organisation") else organisation.find()
    return found.fiscal_start if found else 1


def _day(day: date, beside: date | None = None) -> str:
    """1 Oct, with its year unless the other end says it."""
    with_year = beside is None or beside.year != day.year
    return f"{day.day} {day:%b %Y}" if with_year else f"{day.day} {day:%b}"

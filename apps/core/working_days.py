"""Days on which the organisation works: weekends, and the days off that it names, are none."""

from collections.abc import Collection
from datetime import date, timedelta
from typing import Final

from apps.core import organisation
from apps.core.actor import Actor
from apps.core.errors import BadInput
from apps.core.models import Organisation

DAYS_OFF: Final = "days_off"
MOST: Final = 366  # some years of them; a list of every day would leave no day to work on
SATURDAY: Final = 5


def days_off(company: Organisation | None = None) -> frozenset[date]:
    """Holidays and the like, as somebody has named them; none at first."""
    return frozenset(date.fromisoformat(day) for day in (company or organisation.get()).settings.get(DAYS_OFF, []))


def is_working_day(day: date, off: Collection[date] = ()) -> bool:
    return day.weekday() < SATURDAY and day not in off


def working_day(day: date, off: Collection[date] = ()) -> date:
    """The day itself, or the next one on which somebody works: nobody is late for not working on a Sunday."""
    while not is_working_day(day, off):
        day += timedelta(days=1)
    return day


def set_days_off(*, actor: Actor, text: str) -> None:
    """Keep the days of a text, one each (YYYY-MM-DD), parted by spaces, commas or lines; who may is the caller's."""
    days = sorted({_day(word) for word in text.replace(",", " ").split()})
    if len(days) > MOST:
        raise BadInput(
            f"These are {len(days)} days; at most {MOST} can be kept.", hint="Leave out those that are past."
        )
    if set(days) != days_off():
        organisation.set_setting(actor=actor, name=DAYS_OFF, value=[day.isoformat() for day in days])


def _day(word: str) -> date:
    try:
        return date.fromisoformat(word)
    except ValueError as error:
        raise BadInput(f"'{word[:20]}' is no day.", hint="Write each day as 2026-12-25.") from error

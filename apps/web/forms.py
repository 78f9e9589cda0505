"""How a page takes a service's refusal: into the form, or as a sentence over the page to which one returns."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from typing import Any, ClassVar

from django.contrib import messages
from django.forms import BaseForm, DateField, DateInput, ValidationError
from django.http import HttpRequest, QueryDict
from django.utils import timezone

from apps.core.errors import NotAllowed, NotFound, TollgateError
from apps.web.period import FIRST_DAY, LAST_DAY


class DayInput(DateInput):
    """The browser's own date picker."""

    input_type = "date"

    def __init__(self) -> None:
        super().__init__(format="%Y-%m-%d")


class DayField(DateField):
    """A day of the calendar that periods know; the day after it and its midnight in any zone exist."""

    widget = DayInput
    default_error_messages: ClassVar[dict[str, Any]] = {
        "invalid": "This is no day. Write it like 2026-10-31.",
        "outside": f"Choose a day from {FIRST_DAY.year} to {LAST_DAY.year}.",
    }

    def validate(self, value: Any) -> None:
        super().validate(value)
        if value is not None and not FIRST_DAY <= value <= LAST_DAY:
            raise ValidationError(self.error_messages["outside"], code="outside")


def posted(request: HttpRequest) -> QueryDict | None:
    """For a form: what was sent, though it be nothing at all; None for a first look."""
    return request.POST if request.method == "POST" else None


@contextmanager
def errors_into(form: BaseForm) -> Iterator[None]:
    """A refusal becomes an error of the form, and what was typed stays."""
    try:
        yield
    except NotFound:
        raise
    except TollgateError as error:
        form.add_error(None, str(error))


@contextmanager
def errors_said(request: HttpRequest, done: str = "") -> Iterator[None]:
    """For a button without a form: says what was done, or why not, on the page that follows.

    What one may not do at all is no such answer: it stays a 403.
    """
    try:
        yield
    except (NotAllowed, NotFound):
        raise
    except TollgateError as error:
        messages.error(request, str(error))
    else:
        if done:
            messages.success(request, done)


def midnight(day: date | None) -> datetime | None:
    """The instant at which a day begins in the organisation's zone."""
    return timezone.make_aware(datetime.combine(day, time())) if day else None


def end_of(day: date | None) -> datetime | None:
    """The instant at which a day is over: a last day is meant inclusive."""
    return midnight(day + timedelta(days=1)) if day else None

"""Addresses of reviews: the month in them, and where a page beside the meeting stands."""

import re
from datetime import date

from django.urls import reverse

from apps.core.errors import NotFound
from apps.reviews import access
from apps.reviews.models import Cycle
from apps.web.pages import PageRequest
from apps.web.parts import Crumb


def cycle_of(request: PageRequest, month: str) -> Cycle:
    return access.get_cycle_for(actor=request.actor, month=read_month(month))


def read_month(text: str) -> date:
    """The month of an address; what is none is not found."""
    if not re.fullmatch(r"20[0-9]{2}-(0[1-9]|1[0-2])", text):
        raise NotFound("There is no such review.", hint="An address names a month like 2026-10.")
    return date(int(text[:4]), int(text[5:]), 1)


def crumbs_of(cycle: Cycle, page: str) -> list[Crumb]:
    """Where a page beside the meeting stands."""
    return [
        Crumb("Monthly review", reverse("reviews:list")),
        Crumb(f"{cycle}", reverse("reviews:show", args=[month_text(cycle)])),
        Crumb(page),
    ]


def month_text(cycle: Cycle) -> str:
    return f"{cycle.month:%Y-%m}"


def number_of(text: str) -> int:
    """A key or a version as a page sends it; 0, which none has, for anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0

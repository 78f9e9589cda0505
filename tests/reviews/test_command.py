"""`manage.py review`: it opens and prepares, and never signs; and the clock that does the same."""

from io import StringIO

import pytest
from django.core import mail
from django.core.management import CommandError, call_command

from apps.core.errors import BadInput, NotFound
from apps.reviews.models import Cycle, Pack
from tests.reviews.meeting import Meeting
from workers import reviews as clock


def said(*words: str) -> str:
    out = StringIO()
    call_command("review", *words, stdout=out)
    return out.getvalue()


def test_open_opens_and_says_where(meeting: Meeting) -> None:
    assert "The review of October 2026 is open: 2 items." in said("open", "2026-10")
    assert "/reviews/2026-10/" in said("open", "2026-10")


def test_close_lists_what_blocks_and_signs_nothing(meeting: Meeting) -> None:
    said("open", "2026-10")
    with pytest.raises(CommandError, match="cannot be signed off yet"):
        said("close", "2026-10")
    meeting.decide_all(Cycle.objects.get())

    assert "A reviewer signs it" in said("close", "2026-10")
    assert not Pack.objects.exists()


def test_what_is_no_month_or_has_no_review_is_refused_in_words(meeting: Meeting) -> None:
    with pytest.raises(CommandError, match="not a month"):
        said("open", "2026-13")
    with pytest.raises(NotFound):
        said("close", "2026-10")
    with pytest.raises(BadInput, match="is not over"):
        said("open", "2099-01")


def test_the_clock_opens_and_writes_once(meeting: Meeting) -> None:
    for _ in range(2):
        clock.open_due()
        clock.remind()

    assert [cycle.by_calendar for cycle in Cycle.objects.all()] == [True]
    assert [message.to for message in mail.outbox] == [["ben@example.com"]]

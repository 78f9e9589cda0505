"""Three meetings in a row at the demo company, in a browser: from opening to the signature, each measuring the last."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect

from apps.config.demo import company
from apps.config.demo.build import build
from apps.core import periods
from apps.reviews.models import Cycle, Measurement, Pack, Waiver

pytestmark = pytest.mark.meetings
AUGUST, SEPTEMBER, OCTOBER = date(2026, 8, 1), date(2026, 9, 1), date(2026, 10, 1)
# By month, what an owner promises to save in USD a month the first time that the use is spoken about.
PROMISES = {
    AUGUST: {"Sales copilot": ("Keep only the last five turns", 3_000)},
    SEPTEMBER: {
        "Claims triage": ("Cache what every claim begins with", 1_800),
        "Product descriptions": ("Send the house style once", 900),
    },
    OCTOBER: {"Order status bot": ("Stop repeating what timed out", 3_500)},
}


@dataclass(frozen=True)
class Rooms:
    """The reviewer's browser, and that of the administrator who stands in as the second person."""

    jonas: Page
    anna: Page


@pytest.fixture
def rooms(transactional_db: None, live_server: Any, browser: Browser) -> Iterator[Rooms]:
    build(lambda _: None, as_of=datetime(2026, 11, 12, 9, tzinfo=UTC), signed=0)
    contexts = [browser.new_context(base_url=live_server.url, viewport={"width": 1440, "height": 900}) for _ in "ab"]
    for context in contexts:
        context.set_default_timeout(60_000)
    yield Rooms(*(context.new_page() for context in contexts))
    for context in contexts:
        context.close()


def log_in(page: Page, email: str) -> None:
    page.goto("/accounts/login/")
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(company.PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", level=1)).to_be_visible()


def open_review(page: Page, month: date) -> None:
    page.goto("/reviews/")
    chooser = page.get_by_label("Month", exact=True)
    if chooser.count():
        chooser.select_option(f"{month:%Y-%m}")
    page.get_by_role("button", name="Open the review").click()
    expect(page.get_by_role("heading", name=f"{month:%B} review")).to_be_visible()
    page.get_by_role("button", name="I am here").click()
    page.get_by_role("button", name="Lead it").click()
    expect(page.locator(".tg-agenda__head")).to_contain_text("led by Jonas Weber")


def decide_everything(page: Page, month: date) -> int:
    """Go through the agenda by keyboard; returns how many items it had."""
    count = page.locator(".tg-agenda__item").count()
    promises = dict(PROMISES[month])
    for number in range(1, count + 1):
        use = page.locator(".tg-meeting__title").inner_text()
        if use in promises:
            promise(page, *promises.pop(use))
        else:
            page.keyboard.press("1")
            page.locator("#decide [name=reason]").fill("Spoken about.")
        page.keyboard.press("Enter")
        expect(page.locator(".tg-review__foot b").first).to_have_text(f"{number} of {count}")
    assert not promises, "not on the agenda"
    return count


def promise(page: Page, reason: str, saving: int) -> None:
    page.keyboard.press("2")
    page.locator("#decide [name=due]").fill(f"{timezone.localdate() + timedelta(days=30)}")
    page.locator("#decide [name=promised_saving]").fill(f"{saving}")
    page.locator("#decide [name=reason]").fill(reason)
    expect(page.locator("#preview")).to_contain_text("acts by")


def age_sessions() -> None:
    """As if everybody had logged in twenty minutes ago."""
    for session in Session.objects.all():
        data = session.get_decoded()
        for record in data.get("account_authentication_methods", []):
            record["at"] = time.time() - 20 * 60
        session.session_data = Session.objects.encode(data)
        session.save()


def prove(page: Page) -> None:
    expect(page.get_by_role("heading", name="Is it still you?")).to_be_visible()
    page.get_by_label("Password").fill(company.PASSWORD)
    page.get_by_role("button", name="Go on").click()


def waive_what_blocks(rooms: Rooms, month: date) -> None:
    """Jonas asks for each, and Anna lets it pass in her inbox, after her password."""
    expect(rooms.jonas.get_by_role("button", name=f"Sign off {month:%B}")).to_be_disabled()
    for _ in range(rooms.jonas.locator(".tg-review__waive").count()):
        number = rooms.jonas.locator(".tg-review__waive").count()
        rooms.jonas.locator(".tg-review__waive summary").first.click()
        rooms.jonas.get_by_label("Why it may be signed all the same").first.fill("Known, and small.")
        rooms.jonas.get_by_role("button", name="Ask a second person").first.click()
        expect(rooms.jonas.get_by_text("It takes effect when a second person confirms it.")).to_be_visible()
        confirm_one(rooms.anna, month)
        rooms.jonas.reload()
        expect(rooms.jonas.locator(".tg-review__waive")).to_have_count(number - 1)


def confirm_one(page: Page, month: date) -> None:
    """It is long since she logged in, so the password is asked for before she decides."""
    age_sessions()
    page.goto("/inbox/")
    page.locator(".tg-inbox__row").filter(has_text=f"{month:%B %Y}").first.click()
    page.get_by_role("button", name="Confirm").click()
    prove(page)
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_text("Confirmed; it counts from now on.")).to_be_visible()


def sign(page: Page, month: date) -> None:
    """The signature, after the password, and the minutes that it leads to: a page and a PDF."""
    age_sessions()
    page.get_by_role("button", name=f"Sign off {month:%B}").click()
    prove(page)
    page.get_by_role("button", name=f"Sign off {month:%B}").click()
    expect(page.get_by_role("heading", name=f"Minutes of the review of {month:%B %Y}")).to_be_visible()
    pdf = page.request.get(f"/reviews/{month:%Y-%m}/minutes/?format=pdf")
    assert pdf.ok
    assert pdf.body().startswith(b"%PDF-")
    assert periods.is_signed(month)


def hold(rooms: Rooms, month: date) -> list[str]:
    """One meeting; returns what the page said of earlier promises."""
    open_review(rooms.jonas, month)
    found = promised(rooms.jonas)
    decide_everything(rooms.jonas, month)
    waive_what_blocks(rooms, month)
    sign(rooms.jonas, month)
    return found


def promised(page: Page) -> list[str]:
    """What the meeting's side says of earlier promises, a line each."""
    return [" ".join(text.split()) for text in page.locator(".tg-promises li > .tg-spread").all_inner_texts()]


def saved(month: date) -> dict[str, Decimal]:
    rows = Measurement.objects.filter(cycle__month=month, saved__isnull=False).select_related("action__workload")
    return {row.action.workload.name: round(row.saved, 2) for row in rows if row.action.workload and row.saved}


def test_three_meetings_from_opening_to_signed_minutes_each_measuring_what_the_last_was_promised(rooms: Rooms) -> None:
    log_in(rooms.jonas, "jonas.weber@larkfield.example")
    log_in(rooms.anna, "anna.lindqvist@larkfield.example")

    assert hold(rooms, AUGUST) == []
    assert hold(rooms, SEPTEMBER) == ["Sales copilot −$3,517 of $3,000"]
    assert hold(rooms, OCTOBER) == [
        "Sales copilot −$7,259 of $3,000",
        "Claims triage $1,942 of $1,800",
        "Product descriptions $870 of $900",
    ]

    assert saved(SEPTEMBER) == {"Sales copilot": Decimal("-3517.34")}
    assert saved(OCTOBER) == {
        "Sales copilot": Decimal("-7258.53"),
        "Claims triage": Decimal("1941.54"),
        "Product descriptions": Decimal("869.81"),
    }
    assert list(Pack.objects.order_by("cycle__month").values_list("cycle__month", "revision")) == [
        (AUGUST, 1),
        (SEPTEMBER, 1),
        (OCTOBER, 1),
    ]
    waivers = Waiver.objects.values_list("cycle__month", "blocker", "asked_by__name", "confirmed_by__name")
    assert list(waivers.order_by("cycle__month", "blocker")) == [
        (AUGUST, "sources", "Jonas Weber", "Anna Lindqvist"),
        (SEPTEMBER, "sources", "Jonas Weber", "Anna Lindqvist"),
        (OCTOBER, "sources", "Jonas Weber", "Anna Lindqvist"),
        (OCTOBER, "unpriced", "Jonas Weber", "Anna Lindqvist"),
    ]
    assert not Cycle.objects.filter(state=Cycle.State.OPEN).exists()

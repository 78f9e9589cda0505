"""The meeting in a browser: by keyboard, on a projector, on a phone, in dark; nothing axe calls serious."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from apps.reviews.models import Disposition
from tests.reviews.meeting import Meeting, make_meeting
from tests.world import PASSWORD, World

AXE = (Path(__file__).parents[2] / "node_modules/axe-core/axe.min.js").read_text()
WIDEST = (
    "[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1)"
    ".map(e => e.tagName + '.' + e.className).slice(0, 8).join(' ')"
)
PICTURES = os.environ.get("TOLLGATE_PICTURES", "")


@pytest.fixture
def meeting(transactional_db: None, world: World) -> Meeting:
    found = make_meeting(world)
    found.open()
    return found


@pytest.fixture
def room(meeting: Meeting, page: Page) -> Iterator[Page]:
    """Nora's browser, logged in a moment ago."""
    enter(page, "nora")
    return page


@pytest.fixture
def beside(meeting: Meeting, live_server: Any, browser: Browser) -> Iterator[Page]:
    """Olaf's, at the same time."""
    context = browser.new_context(base_url=live_server.url)
    page = context.new_page()
    enter(page, "olaf")
    yield page
    context.close()


def enter(page: Page, name: str) -> None:
    page.goto("/accounts/login/")
    page.get_by_label("E-mail").fill(f"{name}@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", level=1)).to_be_visible()


def serious(page: Page) -> list[str]:
    page.evaluate(AXE)
    found = page.evaluate("axe.run({resultTypes: ['violations']})")["violations"]
    grave = [one for one in found if one["impact"] in ("serious", "critical")]
    return [f"{one['id']}: {node['target']} {node['html'][:120]}" for one in grave for node in one["nodes"][:3]]


def picture(page: Page, name: str) -> None:
    if PICTURES:
        page.screenshot(path=f"{PICTURES}/{name}.png", full_page=True)


def test_a_meeting_from_the_first_item_to_the_signature_by_keyboard(room: Page, meeting: Meeting) -> None:
    room.goto("/reviews/2026-10/")
    picture(room, "review")
    assert not serious(room)
    room.keyboard.press("6")  # suspend
    expect(room.locator("#preview")).to_contain_text("state active to suspended")
    room.get_by_label("Reason").fill("Loses money in every case")
    picture(room, "review-chosen")
    room.keyboard.press("Enter")

    expect(room.get_by_role("heading", level=2, name="Unallocated")).to_be_visible()
    room.keyboard.press("ArrowLeft")
    expect(room.get_by_role("heading", level=2, name="Labels")).to_be_visible()
    room.keyboard.press("ArrowRight")
    expect(room.get_by_role("heading", level=2, name="Unallocated")).to_be_visible()
    room.keyboard.press("1")
    room.get_by_label("Reason").fill("The keys are known.")
    room.get_by_role("button", name="Record").click()
    room.get_by_role("button", name="Sign off October").click()

    expect(room.get_by_role("heading", name="Minutes of the review of October 2026")).to_be_visible()
    picture(room, "minutes")
    assert not serious(room)
    assert [each.what for each in Disposition.objects.order_by("id")] == ["suspend", "continue"]


@pytest.mark.parametrize("path", ["/reviews/", "/reviews/2026-10/", "/reviews/2026-10/figures/"])
def test_pages_fit_a_phone_and_are_readable_in_dark(room: Page, path: str) -> None:
    room.emulate_media(color_scheme="dark")
    room.set_viewport_size({"width": 360, "height": 800})
    room.goto(path)
    picture(room, f"phone{path.replace('/', '-')}")

    assert room.evaluate("document.documentElement.scrollWidth") <= 360, room.evaluate(WIDEST)
    assert not serious(room)


def test_the_projector_shows_the_item_alone_and_large(room: Page) -> None:
    room.goto("/reviews/2026-10/")
    room.keyboard.press("p")

    expect(room.get_by_role("heading", level=1, name="Labels")).to_be_visible()
    expect(room.locator(".tg-side")).to_be_hidden()
    picture(room, "present")
    assert not serious(room)


@pytest.mark.slow
def test_two_who_decide_the_same_item_lose_no_word_of_it(room: Page, beside: Page) -> None:
    for page in (room, beside):
        page.goto("/reviews/2026-10/")
    record(room, "6", "Loses money in every case")
    expect(room.get_by_role("heading", level=2, name="Unallocated")).to_be_visible()
    room.get_by_label("Reason").fill("Half a sentence")

    record(beside, "1", "Wait a month")

    expect(beside.get_by_text("This item was decided in the meantime; nothing of yours was recorded.")).to_be_visible()
    expect(beside.get_by_text("Nora Quist recorded “Suspend: Loses money in every case”")).to_be_visible()
    expect(beside.get_by_label("Reason")).to_have_value("Wait a month")
    expect(beside.get_by_role("radio", name="Continue")).to_be_checked()
    assert not serious(beside)
    picture(beside, "review-merge")
    beside.get_by_role("button", name="Record").click()
    expect(beside.get_by_role("heading", level=2, name="Unallocated")).to_be_visible()

    # Without a reload, Nora is told, and what she was writing stays.
    news = room.get_by_text("Olaf Rank decided: Labels, continue.")
    expect(news).to_be_visible(timeout=30_000)
    expect(room.get_by_label("Reason")).to_have_value("Half a sentence")
    assert not serious(room)
    picture(room, "review-news")
    room.get_by_role("link", name="Show", exact=True).click()
    expect(room.get_by_text("Wait a month")).to_be_visible()
    assert [each.what for each in Disposition.objects.order_by("id")] == ["suspend", "continue"]


def record(page: Page, key: str, reason: str) -> None:
    page.keyboard.press(key)
    page.get_by_label("Reason").fill(reason)
    page.get_by_role("button", name="Record").click()

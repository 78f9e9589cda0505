"""The inbox in a real browser, at a desk and on a phone: read, decide, done."""

import pytest
from playwright.sync_api import Page, expect

from apps.approvals.models import Confirmation
from tests.approvals.deciding import approver, ask_tier, registered, state_of
from tests.web.test_every_page import DESK, PHONE, serious
from tests.world import PASSWORD, World

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def waiting(world: World, page: Page) -> Confirmation:
    """Gia has logged in a moment ago, and Ben has asked her for a tier."""
    approver(world)
    asked = ask_tier(registered(world), world.ben)
    page.goto("/accounts/login/?next=/inbox/")
    page.get_by_label("E-mail").fill("gia@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    return asked


def test_a_change_is_read_and_confirmed_at_a_desk(waiting: Confirmation, page: Page) -> None:
    page.set_viewport_size(DESK)
    expect(page.get_by_role("heading", name="Summaries: Value tier: T1")).to_be_visible()
    assert not serious(page)

    page.get_by_role("button", name="Confirm").click()

    expect(page.get_by_role("heading", name="Confirmed")).to_be_visible()
    assert state_of(waiting) == "confirmed"


def test_on_a_phone_the_list_comes_first_and_then_the_decision(waiting: Confirmation, page: Page) -> None:
    page.set_viewport_size(PHONE)
    expect(page.get_by_role("button", name="Confirm")).to_be_hidden()
    page.get_by_role("link", name="Summaries").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Summaries: Value tier: T1")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert not serious(page)

    page.get_by_label("Why not?").fill("T2 is enough")
    page.get_by_role("button", name="Refuse").click()

    expect(page.get_by_role("heading", name="Refused")).to_be_visible()
    assert state_of(waiting) == "refused"

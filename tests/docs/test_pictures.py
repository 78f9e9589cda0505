"""Walks through what the guides show, and makes their pictures: `TOLLGATE_PICTURES=docs/pictures` writes them anew.

Without it the pictures go into the test's own folder: what a guide shows can then still be reached as it says.
"""

import os
import re
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from apps.accounts.models import Person
from apps.approvals.models import Confirmation
from apps.catalog.models import LatencyBand, ValueTier
from apps.workloads.models import Workload, WorkloadRevision
from tests.approvals.deciding import approver, ask
from tests.books import at
from tests.economics.ledger import came_out, make_ledger, settle, spend, write_case
from tests.reviews.meeting import Meeting, make_meeting
from tests.world import PASSWORD, World

pytestmark = pytest.mark.slow
PROJECT = Path(__file__).resolve().parents[2]
GUIDES = ("guide-owners.md", "guide-reviewers.md")
OWNERS = ("guide-home", "guide-value", "guide-outcomes", "guide-workload")
REVIEWERS = ("guide-portfolio", "guide-attest", "guide-review", "guide-minutes")
Shoot = Callable[[str, str], None]


@pytest.fixture
def meeting(transactional_db: None, world: World) -> Meeting:
    """Two uses with ten months of figures, and a third of which nobody has said anything yet."""
    found = make_meeting(world)
    for month in range(1, 10):
        spend(found.summaries, 900 + 150 * month, at(5, month=month))
        came_out(found.summaries, 8_500, 7800, 900, month=date(2026, month, 1))
    spend(make_ledger(world, "Letter drafts"), 600)
    tier, band = ValueTier.objects.get(pk="T2"), LatencyBand.objects.get(limit_ms=2000)
    for workload in Workload.objects.filter(revisions__isnull=True):
        WorkloadRevision.objects.create(workload=workload, version=1, value_tier=tier, latency_band=band)
    settle()
    return found


@pytest.fixture
def shoot(page: Page, tmp_path: Path) -> Shoot:
    """Open an address, wait for its charts, keep its picture."""
    folder = Path(os.environ.get("TOLLGATE_PICTURES", tmp_path))
    page.set_viewport_size({"width": 1280, "height": 860})

    def keep(name: str, address: str) -> None:
        page.goto(address)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        page.wait_for_load_state("networkidle")
        page.screenshot(path=folder / f"{name}.png")
        assert (folder / f"{name}.png").stat().st_size > 10_000

    return keep


def log_in(page: Page, person: Person) -> None:
    page.context.clear_cookies()
    page.goto("/accounts/login/")
    page.get_by_label("E-mail").fill(person.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", level=1)).to_be_visible()


def test_what_an_owner_does(meeting: Meeting, page: Page, shoot: Shoot) -> None:
    meeting.open()
    log_in(page, meeting.world.ben)
    shoot("guide-home", "/?month=2026-10")
    shoot("guide-value", "/workloads/summaries/value/write/?month=2026-10")
    expect(page.get_by_role("button", name="Write it and ask for attestation")).to_be_visible()
    shoot("guide-outcomes", "/workloads/summaries/outcomes/?month=2026-10")
    shoot("guide-workload", "/workloads/summaries/?month=2026-10")
    expect(page.get_by_text("Cost per answer")).to_be_visible()


def test_what_a_reviewer_does(meeting: Meeting, page: Page, shoot: Shoot) -> None:
    gia = approver(meeting.world)
    ask(write_case(meeting.summaries), meeting.world.ben, "attestation", {}, "The time study was repeated in October")
    cycle = meeting.open()
    log_in(page, gia)
    shoot("guide-attest", f"/inbox/{Confirmation.objects.latest('pk').pk}/")
    log_in(page, meeting.nora)
    shoot("guide-portfolio", "/workloads/?month=2026-10")
    shoot("guide-review", "/reviews/2026-10/")
    meeting.decide_all(cycle)
    meeting.sign(cycle)
    shoot("guide-minutes", "/reviews/2026-10/minutes/")


@pytest.mark.parametrize("guide", GUIDES)
def test_a_guide_shows_only_pictures_that_are_made_here(guide: str) -> None:
    shown = re.findall(r"\(pictures/([\w-]+)\.png\)", (PROJECT / "docs" / guide).read_text())
    assert set(shown) == set(OWNERS if guide == "guide-owners.md" else REVIEWERS)

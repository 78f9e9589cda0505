"""Registering, filtering and binding in a real browser: typed, by keyboard, on a small screen, without a script."""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from apps.economics import services as economics
from apps.workloads import services
from apps.workloads.models import Binding, Workload
from tests.books import (
    add_hour,
    at,
    make_identity,
    make_offering,
    make_pull,
    make_series,
    make_source,
    make_workload,
    prices,
    rate_all,
)
from tests.workloads.test_register import told
from tests.world import MACHINE, PASSWORD, World

AXE = Path(__file__).parents[2] / "node_modules/axe-core/axe.min.js"
MONTH = "month=2026-10"


def log_in(page: Page, email: str) -> Page:
    page.goto("/accounts/login/")
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    return page


@pytest.fixture
def analyst(transactional_db: None, world: World, page: Page) -> Page:
    return log_in(page, "cleo@example.com")


@pytest.fixture
def plain(transactional_db: None, world: World, live_server: object, browser: Browser) -> Iterator[Page]:
    """A small window without a script."""
    context = browser.new_context(
        base_url=live_server.url,  # type: ignore[attr-defined]
        viewport={"width": 360, "height": 740},
        java_script_enabled=False,
    )
    yield log_in(context.new_page(), "cleo@example.com")
    context.close()


def violations(page: Page) -> list[str]:
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']})")
    return [f"{one['id']}: {node['target']}" for one in found["violations"] for node in one["nodes"]]


def too_wide(page: Page) -> list[str]:
    """Elements that stick out of a page that scrolls sideways."""
    return page.evaluate("""() => {
        const width = document.documentElement.clientWidth;
        if (document.documentElement.scrollWidth <= width) return [];
        return [...document.querySelectorAll("main *")]
            .filter((one) => one.getBoundingClientRect().right > width + 1 && !one.closest(".tg-table-wrap, .tg-chips"))
            .map((one) => `${one.tagName}.${one.className}`);
    }""")


def stray_key(world: World) -> int:
    """A key that nobody claims and that costs 5.00 in October; returns its id."""
    make_workload("Growth letters", world)
    offering, source = make_offering("own", "plain"), make_source("LiteLLM")
    prices(offering, input="1000", output="1000")
    pull, identity = make_pull(source), make_identity(source, "team-growth-exp")
    add_hour(pull, make_series(pull, identity, offering), at(2), requests=1, input=5000)
    rate_all()
    return identity.pk


def test_typing_saves_warns_of_a_duplicate_and_keeps_the_focus(analyst: Page, world: World) -> None:
    services.register(actor=MACHINE, **told(world, name="Support ticket summaries"))
    analyst.goto("/workloads/new/")
    name = analyst.get_by_label("What do you call it?")
    name.press_sequentially("Ticket summaries", delay=10)
    expect(analyst.locator("#draft-state")).to_contain_text("Draft saved")
    expect(analyst.get_by_text("Somebody may have this already")).to_be_visible()
    expect(name).to_be_focused()
    analyst.reload()
    expect(analyst.get_by_label("What do you call it?")).to_have_value("Ticket summaries")


def test_what_saved_time_amounts_to_stands_beside_it_while_typing(analyst: Page, world: World) -> None:
    grade = economics.add_grade(actor=MACHINE, name="Returns clerk")
    economics.set_grade_rate(actor=MACHINE, grade=grade, hourly=Decimal(31), valid_from=date(2026, 1, 1))
    analyst.goto("/workloads/new/")
    analyst.get_by_label("What do you call it?").fill("Call notes")
    expect(analyst.locator("#draft-state")).to_contain_text("Draft saved")
    analyst.goto(analyst.url.split("?")[0].replace("/1/", "/2/"))
    analyst.locator("input[name=benefit][value=labour]").focus()
    analyst.keyboard.press("Space")
    for label, minutes in (("At least", "0.5"), ("Most likely", "1"), ("At best", "1.5")):
        analyst.get_by_label(label).fill(minutes)
    analyst.get_by_label("Whose minutes?").select_option("Returns clerk")
    many = analyst.get_by_label("How many will people use?")
    many.press_sequentially("18000", delay=10)
    expect(analyst.locator("#beside")).to_contain_text("$9,300")
    expect(many).to_be_focused()
    assert violations(analyst) == []
    analyst.locator("input[name=benefit][value=risk]").focus()
    analyst.keyboard.press("Space")
    expect(many).to_be_hidden()
    expect(analyst.locator("#beside")).not_to_contain_text("$9,300")


def test_a_whole_registration_by_keyboard(analyst: Page, world: World) -> None:
    analyst.goto("/workloads/new/")
    analyst.get_by_label("What do you call it?").focus()
    keys = analyst.keyboard
    keys.type("Call notes")
    keys.press("Tab")
    keys.type("What a call was about")
    for _ in range(2):  # past the question why
        keys.press("Tab")
    keys.type("call note")
    analyst.locator("input[name=audience][value=employee]").focus()
    keys.press("Space")
    analyst.get_by_role("button", name="Next").focus()
    keys.press("Enter")
    expect(analyst.get_by_text("Step 2 of 3")).to_be_visible()
    for field, value in (
        ("benefit", "labour"),
        ("value_tier", "T3"),
        ("latency_band", "batch"),
        ("failure_severity", "cost"),
    ):
        analyst.locator(f"input[name={field}][value={value}]").focus()
        keys.press("Space")
    analyst.get_by_role("button", name="Next").focus()
    keys.press("Enter")
    expect(analyst.get_by_text("Step 3 of 3")).to_be_visible()
    for label in ("Who answers for it?", "Who runs it?", "Who pays for it?"):
        analyst.get_by_label(label).select_option(label="Ben Okoro")
    analyst.get_by_label("Which cost centre?").select_option(index=1)
    analyst.get_by_label("What may it spend a month?").fill("4,000")
    keys.press("Enter")
    expect(analyst.get_by_role("heading", name="Call notes is registered")).to_be_visible()
    assert Workload.objects.get().slug == "call-notes"


def test_a_key_is_bound_beside_the_list(analyst: Page, world: World) -> None:
    stray_key(world)
    analyst.goto(f"/unallocated/?{MONTH}")
    analyst.set_viewport_size({"width": 1280, "height": 420})
    analyst.get_by_role("link", name="team-growth-exp").evaluate("link => link.focus({preventScroll: true})")
    before = analyst.evaluate("scrollY")
    analyst.keyboard.press("Enter")
    expect(analyst.locator("#bind-card")).to_be_focused()
    assert analyst.evaluate("scrollY") == before  # its head is in sight already
    expect(analyst.get_by_role("button", name="Bind $5.00")).to_be_visible()
    analyst.get_by_label("From (may stay empty)").fill("2026-10-03")
    expect(analyst.get_by_text("No usage of this key lies in that time yet")).to_be_visible()
    analyst.get_by_label("From (may stay empty)").fill("2026-10-01")
    analyst.get_by_role("button", name="Bind $5.00").click()
    expect(analyst.get_by_text("is bound to Growth letters")).to_be_visible()
    assert Binding.objects.get().workload.name == "Growth letters"


ROWS_OF_FIGURES = """grid => {
  const rows = {};
  for (const each of grid.children) {
    const box = each.getBoundingClientRect();
    rows[Math.round(box.top)] = (rows[Math.round(box.top)] ?? 0) + box.width;
  }
  return Object.values(rows).map(width => Math.round(width - grid.getBoundingClientRect().width));
}"""


def test_the_row_above_the_table_is_one_row_and_figures_fill_theirs(analyst: Page, world: World) -> None:
    stray_key(world)
    analyst.set_viewport_size({"width": 1440, "height": 900})
    analyst.goto(f"/workloads/?{MONTH}")
    tops = [analyst.locator(name).bounding_box() for name in (".tg-toolbar .tg-chips", ".tg-toolbar__end")]
    assert abs(tops[0]["y"] - tops[1]["y"]) < 12  # type: ignore[index]
    for width, rows in ((1440, 1), (900, 2)):
        analyst.set_viewport_size({"width": width, "height": 900})
        assert analyst.locator(".tg-kpis__grid--5").evaluate(ROWS_OF_FIGURES) == [0] * rows
    analyst.set_viewport_size({"width": 390, "height": 844})
    for menu in ("Columns", "File", "Find a workload"):
        analyst.locator(".tg-toolbar__end summary", has_text=menu).click()
        box = analyst.locator(".tg-toolbar__end details[open] .tg-menu__list").bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390
    expect(analyst.get_by_label("Words of its name")).to_be_focused()
    analyst.keyboard.type("Nothing of that name")
    analyst.keyboard.press("Enter")
    expect(analyst.get_by_text("No workload fits these filters")).to_be_visible()


def test_everything_works_small_and_without_a_script(plain: Page, world: World) -> None:
    key = stray_key(world)
    plain.goto(f"/unallocated/{key}/bind/?{MONTH}")
    plain.get_by_label("From (may stay empty)").fill("2026-10-01")
    plain.get_by_role("button", name="Show what this moves").click()
    plain.get_by_role("button", name="Bind $5.00").click()
    assert Binding.objects.count() == 1
    plain.goto("/workloads/new/")
    plain.get_by_label("What do you call it?").fill("Growth letter")
    plain.get_by_role("button", name="Next").click()
    expect(plain.get_by_text("Please look at this first")).to_be_visible()
    expect(plain.get_by_text("Somebody may have this already")).to_be_visible()
    plain.get_by_role("button", name="Finish later").click()
    expect(plain.get_by_role("link", name="Growth letter", exact=True)).to_be_visible()


@pytest.mark.parametrize("width", [1440, 360])
@pytest.mark.slow
def test_the_pages_fit_and_hold_the_accessibility_rules(analyst: Page, world: World, width: int) -> None:
    key = stray_key(world)
    draft = services.start_draft(actor=MACHINE, token="0123456789ab", **told(world, name="Growth letter"))
    Workload.objects.filter(pk=draft.pk).update(created_by=world.cleo)
    chat = services.register(actor=MACHINE, **told(world, name="Chat"))
    analyst.set_viewport_size({"width": width, "height": 900})
    form = "/workloads/register/0123456789ab"
    for address in (
        f"/workloads/?{MONTH}",
        f"{form}/1/", f"{form}/2/", f"{form}/3/",
        f"/workloads/{chat.slug}/registered/", f"/workloads/{chat.slug}/edit/", f"/workloads/{chat.slug}/promise/",
        f"/workloads/{chat.slug}/bindings/?{MONTH}&keys=team-growth-exp",
        "/workloads/import/",
        f"/unallocated/?{MONTH}", f"/unallocated/{key}/bind/?{MONTH}",
    ):  # fmt: skip
        analyst.goto(address)
        assert (address, too_wide(analyst), violations(analyst)) == (address, [], [])

"""The frame in a real browser: keyboard, theme, small screens, accessibility; the content policy is kept throughout."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.world import PASSWORD, World

AXE = Path(__file__).parents[2] / "node_modules/axe-core/axe.min.js"


@pytest.fixture
def home(transactional_db: None, world: World, page: Page) -> Page:
    page.goto("/accounts/login/")
    page.get_by_label("E-mail").fill("ada@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    page.wait_for_load_state()  # keys are heard once the scripts have run
    return page


def violations(page: Page) -> list[str]:
    """What axe finds; run through the protocol, so the page's own policy stays strict."""
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']})")
    return [f"{one['id']}: {node['target']}" for one in found["violations"] for node in one["nodes"]]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_log_in_and_home_hold_the_accessibility_rules(home: Page, theme: str) -> None:
    home.evaluate("theme => { document.documentElement.dataset.bsTheme = theme }", theme)
    assert violations(home) == []
    home.context.clear_cookies()
    home.goto("/accounts/login/")
    home.evaluate("theme => { document.documentElement.dataset.bsTheme = theme }", theme)
    assert violations(home) == []


def test_the_palette_opens_by_key_finds_and_goes(home: Page) -> None:
    home.keyboard.press("Control+k")
    home.get_by_role("dialog", name="Search").get_by_label("Search").fill("audit")
    expect(home.locator("#palette-results a")).to_have_count(1)
    home.keyboard.press("ArrowDown")
    home.keyboard.press("Enter")
    expect(home.get_by_role("heading", level=1)).to_have_text("Audit")


def test_escape_closes_the_palette(home: Page) -> None:
    home.keyboard.press("Control+k")
    expect(home.get_by_role("dialog")).to_be_visible()
    home.keyboard.press("Escape")
    expect(home.get_by_role("dialog")).to_be_hidden()


def test_a_menu_closes_by_escape_and_gives_the_focus_back(home: Page) -> None:
    summary = home.locator(".tg-user > summary")
    summary.focus()
    home.keyboard.press("Enter")
    expect(home.get_by_role("button", name="Log out")).to_be_visible()
    home.keyboard.press("Tab")
    home.keyboard.press("Escape")
    expect(home.get_by_role("button", name="Log out")).to_be_hidden()
    expect(summary).to_be_focused()


def test_the_theme_changes_at_once_and_is_still_there_after_a_reload(home: Page) -> None:
    home.locator(".tg-top__theme > summary").click()
    with home.expect_response("**/theme/"):
        home.locator(".tg-top__theme").get_by_role("button", name="Dark").click()
    assert home.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(13, 16, 21)"
    home.reload()
    assert home.evaluate("document.documentElement.dataset.bsTheme") == "dark"


def test_the_period_picker_walks_by_links(home: Page) -> None:
    home.goto("/?month=2026-09")
    home.get_by_label("Period before").click()
    expect(home.locator(".tg-period__label")).to_have_text("August 2026")
    assert "month=2026-08" in home.url


def test_log_out_asks_with_a_form_and_ends_the_session(home: Page) -> None:
    home.locator(".tg-user > summary").click()
    home.get_by_role("button", name="Log out").click()
    expect(home.get_by_role("heading", level=1)).to_have_text("Log in")
    home.go_back()
    expect(home.get_by_role("heading", level=1)).to_have_text("Log in")


def test_nothing_overflows_on_small_screens(home: Page) -> None:
    for width in (320, 360, 390, 700, 1099, 1280):
        home.set_viewport_size({"width": width, "height": 800})
        assert home.evaluate("document.documentElement.scrollWidth") <= width
        expect(home.locator(".tg-bottom")).to_be_visible(visible=width < 700)


def test_without_a_script_log_in_menus_and_theme_still_work(
    live_server, browser, transactional_db, world: World
) -> None:
    context = browser.new_context(base_url=live_server.url, java_script_enabled=False)
    page = context.new_page()
    page.goto("/accounts/login/")
    page.get_by_label("E-mail").fill("eve@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.locator(".tg-top__theme > summary").click()
    page.locator(".tg-top__theme").get_by_role("button", name="Dark").click()
    assert page.locator("html").get_attribute("data-bs-theme") == "dark"
    page.locator(".tg-period summary").click()
    page.get_by_role("link", name="This month so far").click()
    assert "month=" in page.url
    context.close()

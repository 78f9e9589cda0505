"""Every page of the navigation as it stands in a browser: no error, no report of the content policy, readable, no wider
than a phone; in light and in dark."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from apps.web.theme import COOKIE
from tests.web.company import make_company
from tests.world import PASSWORD, World

pytestmark = pytest.mark.slow
AXE = (Path(__file__).parents[2] / "node_modules/axe-core/axe.min.js").read_text()
OBJECTS = (
    "/workloads/?month=2026-10",
    "/workloads/summaries/?month=2026-10",
    "/workloads/summaries/value/?month=2026-10",
    "/workloads/summaries/outcomes/?month=2026-10",
    "/sources/gateway/",
    "/why/cost/?month=2026-10",
)
PHONE, DESK = {"width": 360, "height": 800}, {"width": 1440, "height": 900}


@pytest.fixture
def tollgate(transactional_db: None, world: World, page: Page) -> Iterator[Page]:
    """Ada's browser. Beyond errors of scripts, every violated content policy is noted."""
    make_company(world)
    page.add_init_script(
        "window.violations = [];"
        "addEventListener('securitypolicyviolation', e => violations.push(`${e.violatedDirective} ${e.blockedURI}`))"
    )
    refused: list[str] = []
    page.on(
        "response", lambda answer: refused.append(f"{answer.status} {answer.url}") if answer.status >= 400 else None
    )
    page.goto("/accounts/login/")
    page.get_by_label("E-mail").fill("ada@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    yield page
    assert not refused


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_of_the_navigation_stands(tollgate: Page, live_server: Any, theme: str) -> None:
    tollgate.context.add_cookies([{"name": COOKIE, "value": theme, "url": live_server.url}])

    wrong = [line for path in (*pages_of(tollgate), *OBJECTS) for line in found_on(tollgate, path)]

    assert not wrong, "\n".join(wrong)


def pages_of(page: Page) -> list[str]:
    """Where the side bar leads, and the pages of the settings."""
    links = [link.get_attribute("href") or "" for link in page.locator("nav a[href^='/']").all()]
    page.goto("/settings/")
    links += [link.get_attribute("href") or "" for link in page.locator("main a[href^='/settings/']").all()]
    found = list(dict.fromkeys(re.sub(r"#.*", "", link) for link in links))
    assert len(found) > 8, found
    return found


def found_on(page: Page, path: str) -> Iterator[str]:
    page.set_viewport_size(DESK)
    page.goto(path)
    yield from (f"{path}: the policy was violated: {one}" for one in page.evaluate("violations"))
    yield from (f"{path}: {one}" for one in serious(page))
    page.set_viewport_size(PHONE)
    width = page.evaluate("document.documentElement.scrollWidth")
    if width > PHONE["width"]:
        yield f"{path}: {width} pixels wide on a phone of {PHONE['width']}: {widest(page)}"


def serious(page: Page) -> list[str]:
    """What axe calls serious or critical; run through the protocol, so the page's own policy stays strict."""
    page.evaluate(AXE)
    found = page.evaluate("axe.run({resultTypes: ['violations']})")["violations"]
    grave = [one for one in found if one["impact"] in ("serious", "critical")]
    return [f"{one['id']}: {node['target']}" for one in grave for node in one["nodes"][:3]]


def widest(page: Page) -> str:
    return str(
        page.evaluate(
            "[...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1)"
            ".slice(0, 3).map(e => e.tagName + '.' + e.className).join(' ')"
        )
    )

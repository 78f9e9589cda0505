"""From nothing to a first own figure: a person with an empty database and a log of calls, clicks counted."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page

from tests.world import PASSWORD

MOST_CLICKS = 10
# 3 calls of 1,000,000 in and 100,000 out on gpt-4o at 2.50 and 10.00 a million: 3 x (2.50 + 1.00) = 10.50.
CALLS = """time,usage_key,provider,model,input_tokens,cached_input_tokens,output_tokens
2026-10-05T09:00:00Z,first-bot,openai,gpt-4o-2024-08-06,1000000,0,100000
2026-10-05T10:00:00Z,first-bot,openai,gpt-4o-2024-08-06,1000000,0,100000
2026-10-06T09:00:00Z,first-bot,openai,gpt-4o-2024-08-06,1000000,0,100000
"""


class Clicks:
    """Counts what a person clicks; typing into a field that has the focus by itself is no click."""

    def __init__(self) -> None:
        self.count = 0

    def on(self, target: Locator) -> None:
        target.click()
        self.count += 1


@pytest.mark.slow
def test_an_empty_tollgate_shows_a_first_own_figure_within_ten_clicks(page: Page, worker: Any, tmp_path: Path) -> None:
    page.set_default_timeout(60_000)
    clicks = Clicks()
    page.goto("/")
    page.get_by_label("Name").first.fill("Brisk Bakery")
    clicks.on(page.get_by_role("button", name="Go on"))
    page.get_by_role("heading", name="Who are you?").wait_for()
    page.locator("input[name=name]").fill("Ada Moss")
    page.locator("input[name=email]").fill("ada@example.com")
    for secret in page.locator("input[type=password]").all():
        secret.fill(PASSWORD)
    clicks.on(page.get_by_role("button", name="Go on"))
    page.get_by_role("heading", name="Who looks over your shoulder?").wait_for()
    page.locator("input[name=reason], textarea[name=reason]").fill("We are only two for now")
    clicks.on(page.get_by_role("button", name="Go on alone for now"))
    clicks.on(page.get_by_role("link", name="Bring in a file"))
    log = tmp_path / "calls.csv"
    log.write_text(CALLS)
    page.locator("input[type=file]").set_input_files(str(log))
    clicks.count += 1  # the file chooser
    page.get_by_label("Name of a new source").fill("Gateway")
    clicks.on(page.get_by_role("button", name="Look at its columns"))
    clicks.on(page.get_by_role("button", name="Read all rows"))
    page.get_by_role("heading", name="3 rows are in").wait_for()
    clicks.on(page.get_by_role("link", name="See the cost"))
    page.get_by_role("heading", name="Full cost", level=1).wait_for()
    assert "$10.50" in page.locator("main").inner_text()
    assert clicks.count <= MOST_CLICKS

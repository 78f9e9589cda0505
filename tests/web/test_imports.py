"""Bringing a file in by the pages: what a person sees, what is refused, and who may."""

import gzip
import os
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone
from playwright.sync_api import Page

from apps.core.errors import BadInput
from apps.core.models import AuditEvent
from apps.costs import imports
from apps.sources import files
from apps.sources import services as sources
from apps.sources.models import Pull, Source
from apps.usage.models import Charge, Hour
from apps.usage.trial import trial_of
from tests.world import MACHINE, PASSWORD, World, log_in

# Each reads a file in a process of its own, as a person's import does.
pytestmark = pytest.mark.slow

LOG = "ts,api_key_alias,vendor,model_id,prompt_tokens,completion_tokens,note\n"
ROWS = [
    "2026-10-01T00:00:03Z,search-prod,openai,gpt-4o-mini,1204,188,a",
    "2026-10-01T01:00:04Z,copilot-eu,openai,gpt-4o,12180,1041,b",
    "not a time,copilot-eu,openai,gpt-4o,1,1,c",
    "2026-10-01T01:00:05Z,studio,pixel,pixel-xl-beta,880,40,d",
]
BILL = "ChargePeriodStart,ChargePeriodEnd,ChargeCategory,ServiceCategory,BilledCost,BillingCurrency,SubAccountId\n"
ROW_OF_BILL = "2024-11-15 00:00:00,2024-11-16 00:00:00,Usage,AI and Machine Learning,{billed},EUR,acc\n"


@pytest.fixture
def browser_of_cleo(world: World) -> Client:
    return log_in(world.cleo)


def upload(client: Client, content: bytes | str = LOG + "\n".join(ROWS), *, name: str = "log.csv", **more: Any) -> Any:
    body = content.encode() if isinstance(content, str) else content
    values = {"file": SimpleUploadedFile(name, body), "source": "new", "new_source": "Gateway", "format": "", **more}
    return client.post("/imports/new/", values)


def drafted(client: Client, *given: Any, **more: Any) -> Pull:
    answer = upload(client, *given, **more)
    assert answer.status_code == 302, answer.content.decode()
    return Pull.objects.latest("pk")


def read(client: Client, pull: Pull, **more: Any) -> Any:
    return client.post(f"/imports/{pull.pk}/columns/", {"read": "1", **more})


def arriving() -> list[Path]:
    return list((Path(os.environ["TOLLGATE_HOME"]) / "uploads").glob("arriving-*"))


# --- File -------------------------------------------------------------------------------------------------------------


def test_an_upload_is_kept_and_becomes_a_draft_of_a_new_source(browser_of_cleo: Client) -> None:
    pull = drafted(browser_of_cleo)
    assert (pull.state, pull.part.name, pull.part.source.slug) == ("draft", "log.csv", "gateway")
    assert Path(pull.file_path).read_text().startswith("ts,api_key_alias")
    assert len(pull.digest) == 64
    assert arriving() == []


def test_a_file_over_the_limit_is_refused_and_not_kept(browser_of_cleo: Client, settings: Any) -> None:
    settings.UPLOAD_MAX_BYTES = 100
    answer = upload(browser_of_cleo, "x" * 200)
    assert answer.status_code == 413
    assert b"The file is larger than" in answer.content
    assert upload(browser_of_cleo, "x" * 200_000).status_code == 413
    assert (Pull.objects.count(), arriving()) == (0, [])


def test_elsewhere_a_large_body_is_refused_before_it_is_read(browser_of_cleo: Client) -> None:
    declared = {"CONTENT_LENGTH": str(12 * 1024**2)}
    for path, kind in (("/workloads/import/", "text/html"), ("/api/v1/outcomes/", "application/problem+json")):
        answer = browser_of_cleo.post(path, {"a": "b"}, **declared)
        assert (answer.status_code, answer["Content-Type"].partition(";")[0]) == (413, kind)
        assert b"larger than 10 MB, so nothing of it was read" in answer.content


@pytest.mark.parametrize(("name", "kept"), [("../../etc/passwd", "passwd"), ("a\\b\\c.csv", "c.csv"), ("..", "upload")])
def test_the_name_of_a_file_leads_nowhere(name: str, kept: str) -> None:
    assert files.safe_name(name) == kept


def test_an_empty_file_or_no_source_name_is_said_at_its_field(browser_of_cleo: Client) -> None:
    assert b"The file is empty." in upload(browser_of_cleo, b"").content
    answer = upload(browser_of_cleo, new_source="")
    assert answer.status_code == 422
    assert b"Give the new source a name" in answer.content
    assert arriving() == []


def test_an_upload_needs_the_token_of_the_form(world: World) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(world.cleo.accounts.earliest("pk"))
    assert upload(client).status_code == 403
    assert (Pull.objects.count(), arriving()) == (0, [])


# --- Columns ----------------------------------------------------------------------------------------------------------


def test_the_columns_page_guesses_and_shows_rows_as_they_will_be_read(browser_of_cleo: Client) -> None:
    pull = drafted(browser_of_cleo)
    page = browser_of_cleo.get(f"/imports/{pull.pk}/").content.decode()
    assert "7 columns" in page
    assert "the column is skipped" in page  # note
    assert "1 unpriced" in page
    assert "3 new" in page
    assert "cannot be read as a time" in page
    assert "unallocated" in page


def test_a_file_that_lacks_a_field_asks_for_it(browser_of_cleo: Client) -> None:
    pull = drafted(browser_of_cleo, "when,in,out\n2026-10-01 00:00:00,5,6\n")
    chosen = {"format": "requests", "column-0": "time", "column-1": "input_tokens", "column-2": "output_tokens"}
    answer = read(browser_of_cleo, pull, **chosen)
    assert answer.status_code == 422
    assert "Missing from the file" in answer.content.decode()
    answer = read(
        browser_of_cleo, pull, **chosen, **{"set-usage_key": "A", "set-model": "gpt-4o"}, zone="Europe/Berlin"
    )
    assert answer.status_code == 302
    imports.run(pull.pk)
    assert f"{Hour.objects.get().hour:%d %H}" == "30 22"


def test_a_column_can_be_left_out_and_none_stands_for_two_fields(browser_of_cleo: Client) -> None:
    pull = drafted(browser_of_cleo)
    answer = read(browser_of_cleo, pull, **{"column-5": "input_tokens"})
    assert answer.status_code == 422
    assert "cannot both be the input tokens" in answer.content.decode()
    pull.refresh_from_db()
    assert pull.state == "draft"


def test_the_same_bytes_are_refused_and_may_be_loaded_on_purpose(browser_of_cleo: Client) -> None:
    first = drafted(browser_of_cleo)
    read(browser_of_cleo, first)
    imports.run(first.pk)
    second = drafted(browser_of_cleo, name="copy.csv", source="gateway")
    answer = read(browser_of_cleo, second)
    assert answer.status_code == 409
    assert "already loaded as part" in answer.content.decode()
    assert read(browser_of_cleo, second, again="1").status_code == 302


def test_an_overlap_is_shown_before_anything_is_read(browser_of_cleo: Client) -> None:
    first = drafted(browser_of_cleo)
    read(browser_of_cleo, first)
    imports.run(first.pk)
    second = drafted(browser_of_cleo, LOG + ROWS[0], name="more.csv", source="gateway")
    page = browser_of_cleo.get(f"/imports/{second.pk}/").content.decode()
    assert "Another part speaks of the same keys at the same time" in page


def test_an_overlap_behind_the_first_rows_is_shown_too(browser_of_cleo: Client) -> None:
    first = drafted(browser_of_cleo, LOG + "2026-10-03T05:00:00Z,late,openai,gpt-4o,1,1,a")
    read(browser_of_cleo, first)
    imports.run(first.pk)
    many = [f"2026-10-01T00:00:00Z,early,openai,gpt-4o,1,1,{number}" for number in range(10_001)]
    second = drafted(
        browser_of_cleo, LOG + "\n".join([*many, "2026-10-03T05:30:00Z,late,openai,gpt-4o,1,1,z"]),
        name="more.csv", source="gateway",
    )  # fmt: skip
    page = browser_of_cleo.get(f"/imports/{second.pk}/").content.decode()
    assert "has usage of 1 key too, from 3 Oct 2026 05:00" in page
    assert "1 known, 1 new" in page
    assert "only its first" not in page


def test_a_row_is_shown_with_what_all_of_its_tokens_cost(browser_of_cleo: Client) -> None:
    """The ledger's example A."""
    header = (
        "time,usage_key,provider,model,input_tokens,cached_input_tokens,cache_write_tokens,output_tokens,"
        "reasoning_tokens\n"
    )
    pull = drafted(
        browser_of_cleo, header + "2026-10-01T00:00:00Z,A,anthropic,claude-sonnet-4-5,10000,6000,1000,1200,800\n"
    )
    [row] = trial_of(pull=pull, options={}).rows
    assert (row.cost, row.currency) == (Decimal("0.03255"), "USD")


def test_seconds_since_1970_are_read_without_a_question(browser_of_cleo: Client) -> None:
    pull = drafted(browser_of_cleo, LOG.replace("ts", "created") + "1790812803,A,openai,gpt-4o,1,1,a\n")
    page = browser_of_cleo.get(f"/imports/{pull.pk}/").content.decode()
    assert "Its times are counted in" not in page
    assert read(browser_of_cleo, pull, **{"column-0": "time"}).status_code == 302
    imports.run(pull.pk)
    assert f"{Hour.objects.get().hour:%Y-%m-%d %H:%M}" == "2026-10-01 00:00"


def test_a_kind_of_file_that_does_not_exist_is_refused(browser_of_cleo: Client) -> None:
    pull = drafted(browser_of_cleo)
    for wrong in ("invoices", "something-long"):
        answer = browser_of_cleo.post(f"/imports/{pull.pk}/columns/", {"try": "1", "format": wrong})
        assert answer.status_code == 422
        assert "There is no kind of file called" in answer.content.decode()
    pull.refresh_from_db()
    assert pull.format == "requests"
    with pytest.raises(BadInput):
        sources.save_draft(actor=MACHINE, pull=pull, options={}, format="invoices")


def test_what_a_person_says_of_the_columns_is_in_the_trail_once(browser_of_cleo: Client) -> None:
    pull = drafted(browser_of_cleo)
    for _ in range(2):
        browser_of_cleo.post(f"/imports/{pull.pk}/columns/", {"try": "1", "format": "requests"})
    assert AuditEvent.objects.filter(verb="described import").count() == 1
    assert AuditEvent.objects.filter(verb="made part of source").count() == 1


def test_a_bill_without_zones_asks_for_one_and_shows_what_it_meets(browser_of_cleo: Client) -> None:
    first = drafted(browser_of_cleo, BILL + ROW_OF_BILL.format(billed=100), name="oct.csv", new_source="Bill")
    page = browser_of_cleo.get(f"/imports/{first.pk}/").content.decode()
    assert "Its times name no zone; they are in" in page
    assert "<option selected>UTC</option>" in page
    read(browser_of_cleo, first, zone="Europe/Berlin")
    imports.run(first.pk)
    charge = Charge.objects.get()
    assert f"{charge.charge_start:%Y-%m-%d %H:%M}" == "2024-11-14 23:00"
    second = drafted(browser_of_cleo, BILL + ROW_OF_BILL.format(billed=101), name="oct-v2.csv", source="bill")
    page = browser_of_cleo.get(f"/imports/{second.pk}/").content.decode()
    assert "Another part speaks of the same spenders at the same time" not in page  # read in UTC it is an hour later
    answer = browser_of_cleo.post(f"/imports/{second.pk}/columns/", {"try": "1", "zone": "Europe/Berlin"})
    assert "Another part speaks of the same spenders at the same time" in answer.content.decode()
    assert "has charges of 1 spender too" in answer.content.decode()


def test_a_foreign_bill_is_shown_in_its_own_currency(browser_of_cleo: Client) -> None:
    """1 EUR was 1.0583 USD on 15 November 2024."""
    pull = drafted(browser_of_cleo, BILL + ROW_OF_BILL.format(billed=100), name="oct.csv", new_source="Bill")
    read(browser_of_cleo, pull)
    imports.run(pull.pk)
    page = browser_of_cleo.get(f"/imports/{pull.pk}/").content.decode()
    assert "€100" in page
    assert "$105.83" in page
    assert "$100" not in page


def test_what_nobody_can_read_is_said_and_the_page_stands(browser_of_cleo: Client) -> None:
    pull = drafted(browser_of_cleo, b"PK\x03\x04 not a table at all", name="sheet.xlsx")
    page = browser_of_cleo.get(f"/imports/{pull.pk}/")
    assert page.status_code == 200
    assert "Excel workbook" in page.content.decode()


# --- Reading and result -----------------------------------------------------------------------------------------------


def test_the_result_says_the_outcome_and_what_to_do_next(browser_of_cleo: Client) -> None:
    pull = drafted(browser_of_cleo)
    read(browser_of_cleo, pull)
    assert "Waiting for its turn" in browser_of_cleo.get(f"/imports/{pull.pk}/").content.decode()
    imports.run(pull.pk)
    progress = browser_of_cleo.get(f"/imports/{pull.pk}/progress/", headers={"HX-Request": "true"})
    assert progress.headers["HX-Redirect"] == f"/imports/{pull.pk}/"
    page = browser_of_cleo.get(f"/imports/{pull.pk}/").content.decode()
    assert "3 rows are in; 1 was rejected" in page
    assert "Bind <b>copilot-eu</b>" in page
    assert "Give a price for <b>pixel-xl-beta</b>" in page
    assert "<script>" not in page


def test_the_rejected_rows_can_be_downloaded(browser_of_cleo: Client) -> None:
    pull = drafted(browser_of_cleo)
    read(browser_of_cleo, pull)
    imports.run(pull.pk)
    answer = browser_of_cleo.get(f"/imports/{pull.pk}/rejected/")
    assert "attachment" in answer.headers["Content-Disposition"]
    lines = gzip.decompress(b"".join(answer.streaming_content)).decode().splitlines()  # type: ignore[attr-defined]
    assert lines[1].startswith("4,time: not a time")


def test_a_failed_import_says_why_and_can_be_read_again(browser_of_cleo: Client) -> None:
    pull = drafted(browser_of_cleo)
    read(browser_of_cleo, pull)
    kept = Path(pull.file_path)
    kept.rename(kept.with_name("gone"))
    imports.run(pull.pk)
    page = browser_of_cleo.get(f"/imports/{pull.pk}/").content.decode()
    assert "Nothing was imported" in page
    assert "There is no file" in page
    kept.with_name("gone").rename(kept)
    browser_of_cleo.post(f"/imports/{pull.pk}/retry/")
    imports.run(pull.pk)
    pull.refresh_from_db()
    assert pull.state == "done"


def test_undo_asks_once_and_takes_the_rows_out(browser_of_cleo: Client) -> None:
    pull = drafted(browser_of_cleo)
    read(browser_of_cleo, pull)
    imports.run(pull.pk)
    assert b"Undo this import?" in browser_of_cleo.get(f"/imports/{pull.pk}/undo/").content
    assert Hour.objects.count() == 3
    browser_of_cleo.post(f"/imports/{pull.pk}/undo/")
    assert Hour.objects.count() == 0
    assert b"This import was undone" in browser_of_cleo.get(f"/imports/{pull.pk}/").content


def test_a_draft_is_cancelled(browser_of_cleo: Client) -> None:
    pull = drafted(browser_of_cleo)
    browser_of_cleo.post(f"/imports/{pull.pk}/cancel/")
    pull.refresh_from_db()
    assert pull.state == "cancelled"


# --- Who --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "see", "manage"),
    [
        ("ada", 200, 302),
        ("cleo", 200, 302),
        ("dan", 200, 302),
        ("finn", 200, 403),
        ("eve", 403, 403),
        ("gus", 403, 403),
    ],
)
def test_who_may_see_and_who_may_import(world: World, name: str, see: int, manage: int) -> None:
    client = log_in(world.people[name])
    assert client.get("/imports/").status_code == see
    assert client.get("/sources/").status_code == see
    assert upload(client).status_code == manage


def test_an_import_of_others_is_not_found(world: World) -> None:
    pull = drafted(log_in(world.cleo))
    for url in (f"/imports/{pull.pk}/", f"/imports/{pull.pk}/rejected/", "/sources/gateway/"):
        assert log_in(world.eve).get(url).status_code == 404
    assert log_in(world.cleo).get("/imports/999999/").status_code == 404


def test_a_platform_engineer_sees_no_money_of_an_import(world: World) -> None:
    client = log_in(world.dan)
    pull = drafted(client)
    read(client, pull)
    imports.run(pull.pk)
    page = client.get(f"/imports/{pull.pk}/").content.decode()
    assert "Computed cost" not in page
    assert "Bind <b>" not in page


# --- Sources ----------------------------------------------------------------------------------------------------------


def test_a_folder_is_added_by_its_form_and_its_path_is_checked(world: World, tmp_path: Path, settings: Any) -> None:
    settings.IMPORT_ROOTS = [str(tmp_path)]
    client = log_in(world.dan)
    values = {
        "name": "Drops",
        "zone": "UTC",
        "pull_every_minutes": "5",
        "pattern": "*.csv",
        "format": "focus",
        "settle_seconds": "60",
    }
    refused = client.post("/sources/new/folder/", {**values, "folder": "/etc"})
    assert refused.status_code == 422
    assert "may not be read" in refused.content.decode()
    assert client.post("/sources/new/folder/", {**values, "folder": str(tmp_path)}).status_code == 302
    source = Source.objects.get()
    assert (source.kind, source.config["folder"], source.pull_every_minutes) == ("folder", str(tmp_path), 5)
    page = client.get("/sources/drops/").content.decode()
    assert "A folder on this machine" in page
    assert client.get("/sources/drops/edit/").status_code == 200


def test_a_source_says_what_else_of_its_bills_is_ai(browser_of_cleo: Client) -> None:
    bill = BILL + ROW_OF_BILL.format(billed=100).replace("AI and Machine Learning", "Compute")
    pull = drafted(browser_of_cleo, bill, name="oct.csv", new_source="Bill")
    read(browser_of_cleo, pull)
    imports.run(pull.pk)
    assert not Charge.objects.get().in_scope
    values = {"name": "Bill", "zone": "UTC", "service_categories": " Compute \n\nCompute\n"}
    assert browser_of_cleo.post("/sources/bill/edit/", values).status_code == 302
    assert Source.objects.get().scope_filter == {"service_categories": ["Compute"]}
    event = AuditEvent.objects.get(verb="changed source")
    assert event.data["after"]["scope_filter"] == {"service_categories": ["Compute"]}
    assert ">Compute</textarea>" in browser_of_cleo.get("/sources/bill/edit/").content.decode().replace("\n", "")
    again = drafted(browser_of_cleo, bill, name="oct.csv", source="bill")
    read(browser_of_cleo, again)
    imports.run(again.pk)
    assert Charge.objects.get().in_scope
    assert "service_categories" not in browser_of_cleo.get("/sources/new/push/").content.decode()


def test_what_is_read_beside_an_import_can_be_cancelled_there(browser_of_cleo: Client) -> None:
    done, other = drafted(browser_of_cleo), drafted(browser_of_cleo, LOG + ROWS[0], new_source="Other")
    read(browser_of_cleo, done)
    imports.run(done.pk)
    read(browser_of_cleo, other)
    page = browser_of_cleo.get(f"/imports/{done.pk}/").content.decode()
    assert f'action="/imports/{other.pk}/cancel/"' in page


def test_a_role_is_set_from_a_day_on(world: World) -> None:
    sources.create_source(actor=MACHINE, name="Bill", slug="bill")
    client = log_in(world.cleo)
    values = {"measure": "token_cost", "role": "checks", "valid_from": "2026-10-01", "workload": ""}
    assert client.post("/sources/bill/role/", values).status_code == 302
    page = client.get("/sources/bill/").content.decode()
    assert "checks from 1 Oct 2026" in page
    assert "unless both its token cost and its GPU check: then all of the bill checks." in page
    assert client.post("/sources/bill/role/", values).status_code == 422


def test_a_live_source_that_nobody_asks_is_not_shown_as_well(world: World) -> None:
    source = sources.create_source(actor=MACHINE, name="Bot", kind="push")
    assert "not asked in time" not in log_in(world.finn).get("/sources/").content.decode()
    Source.objects.filter(pk=source.pk).update(last_looked_at=timezone.now() - timedelta(hours=3))
    page = log_in(world.finn).get("/sources/").content.decode()
    assert "not asked in time" in page


def test_a_source_that_needs_attention_says_why(world: World) -> None:
    source = sources.create_source(actor=MACHINE, name="Gateway")
    sources.note_attention(actor=MACHINE, source=source, reason="<b>log.csv</b>: cut off")
    page = log_in(world.finn).get("/sources/").content.decode()
    assert "needs attention" in page
    assert "&lt;b&gt;log.csv&lt;/b&gt;: cut off" in page


# --- In a browser -----------------------------------------------------------------------------------------------------


def test_a_person_imports_a_file_with_a_real_worker(page: Page, world: World, worker: Any, tmp_path: Path) -> None:
    """From the file to the result: the bar moves by the worker's word, and the page follows by itself."""
    page.set_default_timeout(90_000)
    path = tmp_path / "gateway.csv"
    path.write_text(LOG + "\n".join(ROWS) + "\n")
    page.goto("/imports/new/")
    page.locator("input[name=login]").fill("cleo@example.com")
    page.locator("input[name=password]").fill(PASSWORD)
    page.locator("button[type=submit]").first.click()
    page.locator("input[type=file]").set_input_files(str(path))
    page.get_by_label("Name of a new source").fill("Gateway")
    page.get_by_role("button", name="Look at its columns").click()
    page.get_by_role("heading", name="Tell us what the columns mean").wait_for()
    page.get_by_label("What note means").select_option("service_tier")
    page.get_by_text("as you say").wait_for()
    page.get_by_role("button", name="Read all rows").click()
    page.get_by_role("heading", name="3 rows are in; 1 was rejected").wait_for()

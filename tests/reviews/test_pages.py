"""The meeting as a page: decisions take effect, what is stale is told, what was signed can be printed and re-added."""

import io
import json
import re
import time
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from django.test import Client
from openpyxl import load_workbook

from apps.accounts.models import Person
from apps.catalog import services as catalog
from apps.catalog.models import Offering
from apps.core.models import Period
from apps.costs.models import DirtyDay
from apps.economics.services import declare_outcomes
from apps.reviews.models import Action, Attestation, Cycle, Disposition, Figure, Item, Measurement, Pack
from apps.workloads.models import BEGINNING, Workload
from tests.books import add_hour, at, make_offering, make_series
from tests.books import prices as set_prices
from tests.economics.ledger import TODAY, attested, came_out, make_ledger, settle, spend
from tests.reviews.meeting import LAST_OF_NOVEMBER, OCTOBER, Meeting
from tests.world import MACHINE, actor, log_in

REVIEW = "/reviews/2026-10/"


def browser(person: Person) -> Client:
    """Logged in a moment ago, as a decision asks for."""
    client = log_in(person)
    session = client.session
    session["account_authentication_methods_user"] = str(person.accounts.earliest("pk").pk)
    session["account_authentication_methods"] = [{"method": "password", "at": time.time(), "email": person.email}]
    session.save()
    return client


def sent(client: Client, item: Any, **values: Any) -> Any:
    data = {"what": "continue", "reason": "It was spoken about.", "key": f"key-of-{item.pk}-{item.version}", **values}
    return client.post(f"{REVIEW}items/{item.pk}/", {"version": item.version, **data})


@pytest.fixture
def cycle(meeting: Meeting) -> Cycle:
    return meeting.open()


@pytest.fixture
def signed(meeting: Meeting, cycle: Cycle) -> Pack:
    meeting.decide_all(cycle)
    return meeting.sign(cycle)


def test_the_first_undecided_item_is_shown_with_its_figures(meeting: Meeting, cycle: Cycle) -> None:
    page = browser(meeting.nora).get(REVIEW).content.decode()

    assert "It costs more than it is worth" in page
    assert "$0.800" in page  # a label
    assert ", T3</p>" not in page  # nobody gave it a tier
    assert "It would pay from" in page
    assert "96 s" in page  # it saves 60, and costs 800 against 500
    assert "−$300" in page
    assert "0 of 2 items decided" in page
    assert "Blocked: 2 items are undecided" in page


def test_recording_leads_to_the_next_undecided_item(meeting: Meeting, cycle: Cycle) -> None:
    client, item = browser(meeting.nora), meeting.item(cycle, "stop")

    answer = sent(client, item, what="suspend", reason="Loses money in every case")

    assert answer.status_code == 302
    assert answer.url == f"{REVIEW}items/{meeting.item(cycle, 'unallocated').pk}/"
    assert Workload.objects.get(pk=meeting.labels.workload.pk).state == "suspended"
    assert "state active to suspended, at once" in client.get(f"{REVIEW}items/{item.pk}/").content.decode()


def test_the_preview_says_what_would_happen_and_does_nothing(meeting: Meeting, cycle: Cycle) -> None:
    client, item = browser(meeting.nora), meeting.item(cycle, "stop")

    page = sent(client, item, what="sunset", reason="", preview="1").content.decode()

    assert "stage production to sunset, at once" in page
    assert "budget none to $0 from 1 " in page
    assert "To keep it after all, an owner asks for it on its page and somebody else confirms." in page
    assert not Disposition.objects.exists()


def test_what_is_missing_is_said_at_the_form(meeting: Meeting, cycle: Cycle) -> None:
    answer = sent(browser(meeting.nora), meeting.item(cycle, "stop"), what="optimise", owner="")

    assert answer.status_code == 422
    assert "Say who does it." in answer.content.decode()


def test_a_stale_tab_shows_both_versions(meeting: Meeting, cycle: Cycle) -> None:
    item = meeting.item(cycle, "stop")
    meeting.decide(item, "continue", by=meeting.olaf, reason="Wait a month")

    answer = sent(browser(meeting.nora), item, version=1, what="suspend", reason="Stop it", key="another-page")

    page = answer.content.decode()
    assert answer.status_code == 409
    assert "Olaf Rank recorded “Continue: Wait a month”" in page
    assert "You were about to record “Suspend: Stop it”" in page
    assert 'name="version" value="2"' in page


def test_what_left_the_agenda_says_so_and_takes_no_decision_for_another_item(meeting: Meeting, cycle: Cycle) -> None:
    """Its form once led to the first item of the agenda."""
    client, gone = browser(meeting.nora), meeting.item(cycle, "stop")
    Item.objects.filter(pk=gone.pk).update(state=Item.State.CLEARED)

    page = client.get(f"{REVIEW}items/{gone.pk}/").content.decode()
    answer = sent(client, gone, what="suspend", reason="Stop it")

    assert "This left the agenda." in page
    assert ">Labels</h2>" in page
    assert 'id="decide"' not in page
    assert answer.status_code == 409
    assert "You were about to record “Suspend: Stop it”" in answer.content.decode()
    assert not Disposition.objects.exists()


def test_what_was_typed_is_shown_when_the_month_was_signed_meanwhile(meeting: Meeting, signed: Pack) -> None:
    item = meeting.item(signed.cycle, "stop")

    answer = sent(browser(meeting.nora), item, what="suspend", reason="Stop it")

    assert answer.status_code == 409
    page = answer.content.decode()
    assert "The review of October 2026 is signed off." in page
    assert "You were about to record “Suspend: Stop it”" in page


def test_the_preview_says_what_is_wrong_in_which_field(meeting: Meeting, cycle: Cycle) -> None:
    client, item = browser(meeting.nora), meeting.item(cycle, "stop")

    wrong = sent(client, item, what="cap", amount="a lot", preview="1").content.decode()
    missing = sent(client, item, what="", preview="1").content.decode()

    assert "Cap: Enter a number." in wrong
    assert "Choose what is to be done." in missing


def test_a_reviewer_sees_why_an_own_workload_is_not_theirs_to_decide(meeting: Meeting, cycle: Cycle) -> None:
    Workload.objects.filter(pk=meeting.labels.workload.pk).update(technical_owner=meeting.nora)

    page = browser(meeting.nora).get(f"{REVIEW}items/{meeting.item(cycle, 'stop').pk}/").content.decode()

    assert "You own Labels; another reviewer decides about it." in page
    assert 'id="decide"' not in page


def test_the_page_asks_what_others_decided_since_and_is_told_once(meeting: Meeting, cycle: Cycle) -> None:
    client, item = browser(meeting.nora), meeting.item(cycle, "stop")
    ask = lambda **asked: client.get(f"{REVIEW}news/", asked, HTTP_HX_REQUEST="true")  # noqa: E731
    assert ask(since=0, seen=0)["HX-Reswap"] == "none"
    meeting.decide(item, "continue", by=meeting.olaf)

    told = ask(since=0, seen=0)
    newest = Disposition.objects.latest("pk").pk

    assert "Olaf Rank decided: Labels, continue." in told.content.decode()
    assert f"{REVIEW}items/{item.pk}/" in told.content.decode()
    assert f"since=0&amp;seen={newest}" in told.content.decode()
    assert "HX-Reswap" not in told
    assert ask(since=0, seen=newest)["HX-Reswap"] == "none"
    meeting.decide(meeting.item(cycle, "unallocated"), "continue", by=meeting.nora)
    assert ask(since=newest, seen=newest)["HX-Reswap"] == "none"  # one's own is no news


def test_minutes_and_pack_are_linked_for_those_who_may_open_them(meeting: Meeting, signed: Pack) -> None:
    for person, sees in ((meeting.nora, True), (meeting.world.hana, False)):
        client = browser(person)
        pages = [client.get(address).content.decode() for address in (REVIEW, "/reviews/")]
        assert [f'href="{REVIEW}minutes/"' in page for page in pages] == [sees, sees]
        assert client.get(f"{REVIEW}minutes/").status_code == (200 if sees else 404)


def test_promises_that_could_not_be_measured_are_in_no_sum(meeting: Meeting, cycle: Cycle) -> None:
    due, saving = LAST_OF_NOVEMBER, Decimal(200)
    meeting.decide(meeting.item(cycle, "stop"), "optimise", owner=meeting.world.ben, due=due, promised_saving=saving)
    item = meeting.item(cycle, "stop")
    meeting.decide(item, "optimise", owner=meeting.world.ben, due=due, promised_saving=Decimal(300))
    first, second = Action.objects.order_by("pk")
    Measurement.objects.create(cycle=cycle, action=first, cost=650, saved=150)
    Measurement.objects.create(cycle=cycle, action=second, why="its cost is not known to the end")

    page = " ".join(browser(meeting.nora).get(REVIEW).content.decode().split())

    assert "<b>1 measured</b><span><b>$150</b> of $200</span>" in page
    assert "1 promise could not be measured, and is in no sum." in page


def test_who_promised_closes_it_though_they_see_nothing_else_of_the_review(meeting: Meeting, cycle: Cycle) -> None:
    item, eve = meeting.item(cycle, "stop"), meeting.world.eve
    meeting.decide(item, "optimise", owner=eve, due=LAST_OF_NOVEMBER, promised_saving=Decimal(200))
    action, client = Action.objects.get(), browser(eve)
    address = f"/reviews/actions/{action.pk}/"
    assert address in client.get("/").content.decode()
    page = client.get(address).content.decode()
    assert "$200 a month" in page
    assert "Give it up" not in page
    assert "Hand over" not in page

    refused = client.post(f"{address}close/", {"end": "given_up", "note": "No time", "month": "a/b"})
    answer = client.post(f"{address}close/", {"end": "done", "note": "The cache is on.", "month": "a/b"})

    assert refused.status_code == 422
    assert "No time" in refused.content.decode()
    assert answer.url == address
    assert "The cache is on." in client.get(address).content.decode()
    assert client.get(REVIEW).status_code == 404
    assert browser(meeting.world.gus).get(address).status_code == 404


def test_a_reviewer_hands_an_action_over(meeting: Meeting, cycle: Cycle) -> None:
    meeting.decide(meeting.item(cycle, "stop"), "optimise", owner=meeting.world.ben, due=LAST_OF_NOVEMBER)
    address, client = f"/reviews/actions/{Action.objects.get().pk}/", browser(meeting.nora)
    assert f'href="{address}"' in client.get(f"{REVIEW}items/{meeting.item(cycle, 'stop').pk}/").content.decode()

    past = client.post(f"{address}hand-over/", {"owner": meeting.world.eve.pk, "due": "2026-01-05"})
    answer = client.post(f"{address}hand-over/", {"owner": meeting.world.eve.pk, "due": "2090-01-02"})

    assert past.status_code == 422
    assert "The date has passed already." in past.content.decode()
    assert answer.url == address
    assert (Action.objects.get().owner, Action.objects.get().due) == (meeting.world.eve, date(2090, 1, 2))


def test_a_double_click_is_one_decision(meeting: Meeting, cycle: Cycle) -> None:
    client, item = browser(meeting.nora), meeting.item(cycle, "stop")

    assert [sent(client, item).status_code for _ in range(2)] == [302, 302]
    assert Disposition.objects.count() == 1


def test_the_projector_shows_one_item_and_no_agenda(meeting: Meeting, cycle: Cycle) -> None:
    page = browser(meeting.nora).get(f"{REVIEW}?present=1").content.decode()

    assert "tg-review--present" in page
    assert 'aria-label="Agenda"' not in page


def test_an_owner_sees_own_items_attests_and_decides_nothing(meeting: Meeting, cycle: Cycle) -> None:
    client = browser(meeting.world.ben)
    page = client.get(REVIEW).content.decode()
    assert "Labels" in page
    assert "Unallocated" not in page
    assert "Record" not in page
    digest = Figure.objects.get(cycle=cycle, workload=meeting.labels.workload).digest

    client.post(f"{REVIEW}figures/labels/attest/", {"digest": digest})

    assert Attestation.objects.get().person == meeting.world.ben
    assert sent(client, meeting.item(cycle, "stop")).status_code == 403
    assert client.get(f"{REVIEW}items/{meeting.item(cycle, 'unallocated').pk}/").status_code == 404


def test_signing_needs_a_fresh_session_and_then_seals_the_month(meeting: Meeting, cycle: Cycle) -> None:
    meeting.decide_all(cycle)
    cycle.refresh_from_db()
    stale = log_in(meeting.nora).post(f"{REVIEW}sign/", {"version": cycle.version})
    assert "/accounts/reauthenticate/" in stale.url

    answer = browser(meeting.nora).post(f"{REVIEW}sign/", {"version": cycle.version})

    assert answer.url == f"{REVIEW}minutes/"
    assert Period.objects.get(month=OCTOBER).state == "signed"


def test_the_minutes_are_the_same_bytes_each_time(meeting: Meeting, signed: Pack) -> None:
    client = browser(meeting.nora)

    first, again = (client.get(f"{REVIEW}minutes/?format=pdf") for _ in range(2))

    assert first["Content-Type"] == "application/pdf"
    assert first.content[:5] == b"%PDF-"
    assert first.content == again.content


def test_text_of_the_minutes_is_never_markup(meeting: Meeting, cycle: Cycle) -> None:
    meeting.decide(meeting.item(cycle, "stop"), "continue", reason='#import "x.typ" $ 1/0 $ <b>*loud*</b> € ü')

    answer = browser(meeting.nora).get(f"{REVIEW}minutes/?format=pdf")

    assert answer.status_code == 200
    assert answer.content[:5] == b"%PDF-"


def test_the_pack_comes_byte_for_byte_as_it_was_signed(meeting: Meeting, signed: Pack) -> None:
    answer = browser(meeting.world.finn).get(f"{REVIEW}minutes/?format=json")

    assert answer.content.decode() == signed.body
    assert json.loads(answer.content)["totals"]["cost"] == "3400"


def test_the_workbook_re_adds(meeting: Meeting, signed: Pack) -> None:
    answer = browser(meeting.nora).get(f"{REVIEW}minutes/?format=xlsx")

    rows = list(load_workbook(io.BytesIO(answer.content)).active.iter_rows(min_row=2, values_only=True))
    assert [(row[0], row[2]) for row in rows] == [
        ("Labels", 800),
        ("Summaries", 2400),
        ("Unallocated", 200),
        ("Full cost", 3400),
    ]
    assert sum(Decimal(str(row[2])) for row in rows[:-1]) == Decimal(str(rows[-1][2]))


def test_the_statement_of_a_cost_centre_is_a_page_and_a_table(meeting: Meeting) -> None:
    client, care = browser(meeting.world.cleo), meeting.world.care
    page = client.get(f"/reviews/statements/{care.pk}/?month=2026-10").content.decode()
    assert "$3,200.00" in page

    answer = client.get(f"/reviews/statements/{care.pk}/?month=2026-10&format=csv")

    lines = b"".join(answer.streaming_content).decode().splitlines()  # type: ignore[arg-type]
    assert lines[1].startswith("Summaries,Care,2026-10-01,2026-10-01,own cost,2400.")
    assert lines[-1].startswith("Statement,,,2026-10-01,total,3200.")


def test_only_what_can_be_waived_has_the_form_for_it(meeting: Meeting, cycle: Cycle) -> None:
    DirtyDay.objects.create(day=date(2026, 10, 5), identity=meeting.labels.identity, reason="test")

    page = browser(meeting.nora).get(REVIEW).content.decode()

    assert "1 day is still being priced" in page
    assert 'name="blocker" value="items"' in page
    assert 'name="blocker" value="rating"' not in page


def test_asking_to_waive_leaves_it_to_a_second_person(meeting: Meeting, cycle: Cycle) -> None:
    browser(meeting.nora).post(f"{REVIEW}waive/", {"blocker": "items", "reason": "It is agreed."})

    assert "sign October 2026 in spite of undecided items" in browser(meeting.olaf).get("/inbox/").content.decode()


def test_a_month_that_was_signed_once_is_compared_with_nothing(meeting: Meeting, signed: Pack) -> None:
    assert browser(meeting.nora).get(f"{REVIEW}difference/").status_code == 404


def test_a_second_signature_is_compared_with_the_first_which_stays(
    meeting: Meeting, cycle: Cycle, signed: Pack
) -> None:
    client = browser(meeting.nora)
    first = client.get(f"{REVIEW}minutes/?format=pdf").content
    meeting.reopen(cycle)
    came_out(meeting.labels, 1100, 1100, 0)
    settle()
    meeting.open()
    meeting.decide(meeting.item(cycle, "stop"), "suspend", reason="Loses money again")
    meeting.sign(cycle)

    page = client.get(f"{REVIEW}difference/").content.decode()

    for said in ("Labels", "Useful outputs", "1000", "1100", "continue: It was spoken about.; suspend: Loses money"):
        assert said in page
    assert client.get(f"{REVIEW}minutes/?format=pdf&revision=1").content == first
    assert client.get(f"{REVIEW}minutes/?format=json&revision=1").content.decode() == signed.body
    assert signed.sha256 in client.get(f"{REVIEW}minutes/?revision=1").content.decode()


def test_minutes_mark_what_was_declared_and_name_what_has_no_figure(meeting: Meeting, cycle: Cycle) -> None:
    """The drafts' useful share is declared; the quiet tool costs nothing, and stands there since its case expires."""
    drafts = make_ledger(meeting.world, "Contract drafts")
    spend(drafts, 10)
    ben = actor(meeting.world.ben)
    declare_outcomes(actor=ben, workload=drafts.workload, month=OCTOBER, share=Decimal("0.9"), today=TODAY)
    attested(make_ledger(meeting.world, "Quiet tool"), expires=date(2026, 12, 1))
    settle()
    meeting.open()

    answer = browser(meeting.nora).get(f"{REVIEW}minutes/?format=json")

    assert answer["Content-Disposition"] == 'attachment; filename="draft-2026-10.json"'
    contents = json.loads(answer.content)
    assert {row["name"] for row in contents["workloads"] if row["is_declared"]} == {"Contract drafts"}
    assert "Quiet tool" in {item["name"] for item in contents["items"]}
    page = browser(meeting.nora).get(f"{REVIEW}minutes/").content.decode()
    assert ", declared</td>" in page
    assert "Quiet tool" in page


def test_a_month_that_is_none_is_not_found(meeting: Meeting) -> None:
    client = browser(meeting.nora)

    assert {client.get(f"/reviews/{month}/").status_code for month in ("2026-13", "x", "2031-01", "2026-10")} == {404}


# --- Ways out ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def dime(meeting: Meeting) -> Offering:
    """A model of the same provider and of a lower class, for a tenth of the price."""
    offering = make_offering("own", "dime")
    set_prices(offering, input="0.10", output="0.10")
    catalog.set_offering_class(
        actor=MACHINE, offering=offering, model_class="economy", valid_from=BEGINNING, reason="As it is."
    )
    settle()
    return offering


def ways(page: str) -> list[str]:
    """Name, net and what is saved of each way, as the page lists them."""
    rows = re.findall(r'<li class="tg-way.*?</li>', page, re.DOTALL)
    return [" ".join(re.sub(r"<[^>]+>", " ", row).split()) for row in rows]


def test_an_item_lists_the_ways_out_on_the_months_usage(meeting: Meeting, dime: Offering, cycle: Cycle) -> None:
    """800 tokens by the million: 80 on the dime. Worth 500, so a cap pays for five eighths of the labels."""
    page = browser(meeting.nora).get(REVIEW).content.decode()

    assert "Ways out, on October’s usage" in page
    assert ways(page) == [
        "Move to dime $420 saves $720 against today same outcomes; no effect on quality assumed",
        "Stop $0 saves $800 against today its worth of $500 goes too",
        "Cap at $500 −$188 saves $300 against today what it is worth; fewer answers, and $188 of their worth goes too",
    ]
    assert "dollar has no batch rates." in page
    assert "800M input at $1.00, then $0.100" in page


def test_a_way_that_is_chosen_fills_the_form_and_says_what_it_would_do(
    meeting: Meeting, dime: Offering, cycle: Cycle
) -> None:
    client, item = browser(meeting.nora), meeting.item(cycle, "stop")
    address = f"{REVIEW}items/{item.pk}/"
    assert f'href="{address}?way=downgrade#decide"' in client.get(address).content.decode()

    page = client.get(address, {"way": "downgrade"}).content.decode()

    assert re.search(r'value="downgrade"[^>]* checked', page)
    assert 'value="720.00"' in page
    assert 'value="Move to dime"' in page
    assert "and saves $720 a month" in page
    assert not Disposition.objects.exists()
    assert "checked" not in client.get(address, {"way": "raise"}).content.decode()


def test_ways_of_a_signed_month_stand_on_what_was_signed(meeting: Meeting, dime: Offering, signed: Pack) -> None:
    spend(meeting.labels, 100, at(6), revision=1)
    settle()

    page = browser(meeting.nora).get(REVIEW).content.decode()

    assert ways(page)[0].startswith("Move to dime $420 saves $720 against today")
    assert "?way=" not in page
    assert "As of now" not in page


def test_the_ways_of_a_signed_month_are_told_as_of_now_once_its_prices_were_corrected(
    meeting: Meeting, dime: Offering, signed: Pack
) -> None:
    set_prices(meeting.labels.series.offering, input="2.00", output="2.00")
    settle()

    page = browser(meeting.nora).get(REVIEW).content.decode()

    assert ways(page)[0].startswith("Move to dime $420 saves $1,520 against today")
    assert "As of now: usage, prices or bindings have changed since the month was signed off." in page


# --- From month to month ----------------------------------------------------------------------------------------------


def step(page: str, name: str) -> str | None:
    """Where a step of the picker in the top bar leads, or None."""
    found = re.search(rf'<a class="tg-period__step"([^>]*) aria-label="{name}"', page)
    assert found
    leads = re.search(r'href="([^"]*)"', found[1])
    return leads[1] if leads else None


@time_machine.travel("2026-12-10 09:00", tick=False)
def test_the_picker_of_a_review_leads_to_the_reviews_beside_it(meeting: Meeting, cycle: Cycle) -> None:
    client = browser(meeting.nora)

    page = client.get(REVIEW).content.decode()
    november = client.get("/reviews/2026-11/").content.decode()
    december = client.get("/reviews/2026-12/").content.decode()

    assert (step(page, "Month before"), step(page, "Month after")) == ("/reviews/2026-09/", "/reviews/2026-11/")
    assert "There is no review of this month" in november
    assert (step(november, "Month before"), step(november, "Month after")) == (REVIEW, "/reviews/2026-12/")
    assert "The month is not over" in december
    assert step(december, "Month after") is None


def test_who_has_a_part_in_one_review_is_led_to_no_other(meeting: Meeting, cycle: Cycle) -> None:
    client = browser(meeting.world.ben)

    page = client.get(REVIEW).content.decode()

    assert (step(page, "Month before"), step(page, "Month after")) == (None, None)
    assert client.get("/reviews/2026-09/").status_code == 404


def test_a_month_that_nobody_opened_can_be_opened_where_it_is_missed(meeting: Meeting) -> None:
    client = browser(meeting.nora)
    assert "Nobody has opened it" in client.get(REVIEW).content.decode()

    client.post("/reviews/open/", {"month": "2026-10"})

    assert "October review" in client.get(REVIEW).content.decode()


def test_the_list_of_reviews_is_a_file_too(meeting: Meeting, cycle: Cycle) -> None:
    meeting.decide(meeting.item(cycle, "stop"), "continue")

    answer: Any = browser(meeting.nora).get("/reviews/", {"format": "csv"})

    lines = b"".join(answer.streaming_content).decode("utf-8-sig").splitlines()

    assert lines[0] == "Month,State,Revision,Items,Decided,Led by,Opened"
    assert lines[1].startswith("2026-10-01,open,0,2,1,,")


@pytest.mark.parametrize(("unpriced", "strong"), [(False, "+60.0%"), (True, "")])
def test_an_output_costs_more_than_before_only_where_both_months_are_known(
    meeting: Meeting, unpriced: bool, strong: str
) -> None:
    """A label cost $0.50 in September and $0.80 in October, were there no usage without a price besides."""
    labels, september = meeting.labels, at(5, month=9)
    spend(labels, 500, september)
    came_out(labels, 1000, 1000, 0, month=date(2026, 9, 1))
    if unpriced:
        pull = labels.series.part.pulls.latest("pk")
        unheard = make_series(pull, labels.series.identity, make_offering("nobody", "unheard-of"))
        add_hour(pull, unheard, september, requests=1, input=4_000_000, cached=0, output=0)
    settle()
    item = meeting.item(meeting.open(), "stop")
    page = log_in(meeting.nora).get(f"/reviews/2026-10/items/{item.pk}/")
    assert page.context["kpis"][0].strong == strong

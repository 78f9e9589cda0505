"""The portfolio and the registration, as pages: what they show to whom, and that they work as plain forms."""

import csv
import io
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.utils.html import strip_tags
from openpyxl import load_workbook

from apps.accounts.models import Person, Role, SavedView
from apps.catalog.models import ValueTier
from apps.core.actor import Actor
from apps.costs.selectors.portfolio import SORTS
from apps.economics import services as economics
from apps.workloads import services
from apps.workloads.models import BEGINNING, END, Workload
from tests.approvals.deciding import approver, ask, confirm
from tests.books import (
    add_hour,
    at,
    make_identity,
    make_offering,
    make_pull,
    make_series,
    make_source,
    prices,
    rate_all,
)
from tests.workloads.test_register import told
from tests.world import MACHINE, World, actor, give, log_in

pytestmark = pytest.mark.django_db
MONTH = "month=2026-10"


def register(world: World, name: str, **values: Any) -> Workload:
    return services.register(actor=MACHINE, **told(world, name=name, **values))


@pytest.fixture
def books(world: World) -> dict[str, Workload]:
    """Chat costs 3.00 in October and 1.00 in September; Search costs 1.00; Idle nothing; 0.50 are nobody's."""
    found = {name: register(world, name) for name in ("Chat", "Search", "Idle")}
    offering, source = make_offering("own", "plain"), make_source()
    prices(offering, input="1000", output="1000")
    pull = make_pull(source)
    for key, owner, hours in (
        ("chat", "Chat", [(at(1), 3000), (at(1, month=9), 1000)]),
        ("search", "Search", [(at(2), 1000)]),
        ("stray", "", [(at(3), 500)]),
    ):
        spans = ((BEGINNING, END, found[owner]),) if owner else ()
        series = make_series(pull, make_identity(source, key, *spans), offering)
        for hour, tokens in hours:
            add_hour(pull, series, hour, requests=2, input=tokens)
    rate_all()
    return found


def rows_of(response: Any) -> list[list[str]]:
    return list(csv.reader(io.StringIO(b"".join(response.streaming_content).decode())))


def test_the_portfolio_shows_cost_change_and_totals_from_the_server(books: Any, world: World) -> None:
    page = log_in(world.ada).get(f"/workloads/?{MONTH}").content.decode().split("<main")[1]
    assert "All 3 workloads" in page
    page = page.replace("Search workloads", "")
    assert page.index("Chat") < page.index("Search") < page.index("Idle")
    for figure in ("$4.50", "$3.00", "+200.0%", "$4.00", "11.1%", "$0.50"):
        assert figure in page, figure


def test_a_member_sees_the_register_and_no_money(books: Any, world: World) -> None:
    page = log_in(world.eve).get(f"/workloads/?{MONTH}").content.decode()
    assert "Chat" in page
    assert "$" not in page
    assert "Full cost" not in page


def test_an_owner_sees_the_money_of_what_they_own(books: dict[str, Workload], world: World) -> None:
    gus = world.gus
    services.edit(actor=MACHINE, workload=books["Search"], business_owner=gus, budget_owner=gus, technical_owner=gus)
    page = log_in(world.ben).get(f"/workloads/?{MONTH}").content.decode()
    assert "$3.00" in page
    rows = page.split('id="rows"')[1].split("<tbody>")[1].split("</tbody>")[0]
    foreign = rows.split("Search")[1].split("</tr>")[0]
    assert "$1.00" not in foreign
    assert "no budget" not in foreign
    assert "The cost of 1 workload" in page


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("q=ch", {"Chat", "Search"}),
        ("q=WL-000", set()),
        ("stage=production", {"Search"}),
        ("stage=live", {"Chat", "Search", "Idle"}),
        ("tier=T1", {"Idle"}),
        ("cc=LEG", {"Idle"}),
        ("audience=customer", set()),
        ("audience=nonsense&sort=nonsense&page=-1", {"Chat", "Search", "Idle"}),
    ],
)
def test_filters_stand_in_the_address(books: dict[str, Workload], world: World, query: str, names: set[str]) -> None:
    services.edit(actor=MACHINE, workload=books["Search"], stage="production")
    services.edit(actor=MACHINE, workload=books["Idle"], cost_centre=world.legal)
    give(world.gus, Role.APPROVER, by=world.ada)
    confirm(ask(books["Idle"], world.ben, "tier", {"value_tier": ValueTier.objects.get(pk="T1")}), world.gus)
    found = rows_of(log_in(world.ada).get(f"/workloads/?{MONTH}&{query}&format=csv"))
    assert {row[0] for row in found[1:-1]} == names


@pytest.mark.parametrize("sort", sorted(SORTS))
def test_every_column_sorts(books: Any, world: World, sort: str) -> None:
    assert log_in(world.ada).get(f"/workloads/?{MONTH}&sort={sort}").status_code == 200


def test_the_file_holds_exactly_the_shown_columns_and_all_rows(books: Any, world: World) -> None:
    client = log_in(world.ada)
    found = rows_of(client.get(f"/workloads/?{MONTH}&cols=cost,stage,calls&sort=name&format=csv"))
    assert found[0] == ["Workload", "Reference", "Full cost (USD)", "Left out of the cost", "Delivered calls", "Stage"]
    assert [(row[0], Decimal(row[2] or 0), row[3], row[4]) for row in found[1:]] == [
        ("Chat", Decimal(3), "", "2"),
        ("Idle", Decimal(0), "", ""),
        ("Search", Decimal(1), "", "2"),
        ("All 3 workloads", Decimal(4), "", "4"),
    ]
    months = rows_of(client.get(f"/workloads/?{MONTH}&cols=months&sort=name&format=csv"))
    assert months[0][-1] == "Cost 2026-10 (USD)"
    assert [Decimal(cell) for cell in months[1][-2:]] == [1, 3]


def test_formulas_in_names_are_text_in_files(world: World) -> None:
    register(world, '=HYPERLINK("http://x")')
    client = log_in(world.ada)
    assert rows_of(client.get(f"/workloads/?{MONTH}&format=csv"))[1][0].startswith("'=")
    book = load_workbook(io.BytesIO(client.get(f"/workloads/?{MONTH}&format=xlsx").content))
    assert str(book.active["A2"].value).startswith("'=")


def test_markup_in_names_is_text_in_pages(world: World) -> None:
    workload = register(world, "<script>alert(1)</script> {{ 7 }}", purpose="<img src=x onerror=alert(1)>")
    client = log_in(world.ada)
    for address in ("/workloads/", f"/workloads/{workload.slug}/registered/", f"/workloads/{workload.slug}/edit/"):
        page = client.get(address).content.decode()
        assert "<script>alert" not in page
        assert "<img src=x" not in page


def test_columns_come_as_boxes_and_stand_in_the_address(books: Any, world: World) -> None:
    answer = log_in(world.ada).get(f"/workloads/?{MONTH}&col=cost&col=tier")
    assert answer.status_code == 302
    assert "cols=cost%2Ctier" in answer["Location"]


def test_a_view_is_saved_shared_and_deleted_by_its_owner(books: Any, world: World) -> None:
    ada, eve = log_in(world.ada), log_in(world.eve)
    ada.post("/workloads/views/save/", {"name": "Live ones", "query": "stage=live&cols=stage&evil=1", "shared": "1"})
    view = SavedView.objects.get()
    assert view.query == "stage=live&cols=stage"
    assert "Live ones" in eve.get("/workloads/").content.decode()
    assert eve.post(f"/workloads/views/{view.pk}/delete/").status_code == 404
    ada.post(f"/workloads/views/{view.pk}/delete/")
    assert not SavedView.objects.exists()


def test_queries_do_not_grow_with_the_number_of_workloads(
    books: Any, world: World, django_assert_max_num_queries: Any, django_assert_num_queries: Any
) -> None:
    client = log_in(world.ada)
    client.get(f"/workloads/?{MONTH}")
    with django_assert_max_num_queries(45) as few:
        client.get(f"/workloads/?{MONTH}")
    for number in range(30):
        register(world, f"More {number}")
    with django_assert_num_queries(len(few)):
        client.get(f"/workloads/?{MONTH}")


# --- Registration -----------------------------------------------------------------------------------------------------


def answers(world: World) -> dict[int, dict[str, str]]:
    return {
        1: {"name": "Return reasons", "purpose": "Why it came back", "output_unit": "reason", "audience": "employee",
            "stage": "pilot"},
        2: {"benefit": "labour", "value_tier": "T3", "latency_band": "batch", "failure_severity": "little",
            "failure_cost": "2.00"},
        3: {"business_owner": str(world.ben.pk), "technical_owner": str(world.dan.pk),
            "budget_owner": str(world.ben.pk), "cost_centre": str(world.care.pk), "monthly_spend_expected": "4,000"},
    }  # fmt: skip


def begin(client: Client, query: str = "") -> str:
    """The address of a new form, without its step."""
    address: str = client.get(f"/workloads/new/{query}")["Location"]
    return address.partition("?")[0].removesuffix("1/")


def test_three_plain_posts_register_a_use_case(world: World) -> None:
    client = log_in(world.eve)
    form = begin(client)
    for number, step in answers(world).items():
        assert client.get(f"{form}{number}/").status_code == 200
        answer = client.post(f"{form}{number}/", step)
        assert answer.status_code == 302, answer.content.decode()
    assert answer["Location"] == "/workloads/return-reasons/registered/"
    workload = Workload.objects.get()
    assert (workload.state, workload.monthly_spend_expected) == ("active", Decimal(4000))
    assert workload.created_by == world.eve
    assert "What happens next" in client.get(answer["Location"]).content.decode()
    # Whoever presses twice is shown the same.
    assert client.post(f"{form}3/", answers(world)[3])["Location"] == "/workloads/return-reasons/registered/"
    assert Workload.objects.count() == 1


def test_what_is_wrong_is_said_at_the_field_and_the_rest_is_kept(world: World) -> None:
    client = log_in(world.eve)
    form = begin(client)
    answer = client.post(f"{form}1/", {"name": "Half", "purpose": "x" * 3000, "output_unit": "thing"})
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "Please look at this first" in page
    draft = Workload.objects.get()
    assert (draft.name, draft.output_unit, draft.purpose) == ("Half", "thing", "")


@pytest.mark.parametrize("amount", ["1.234,56", "１２", "-4", "NaN", "1e9", "0x10", "12 345x"])
def test_an_amount_that_could_mean_two_things_is_refused(world: World, amount: str) -> None:
    client = log_in(world.eve)
    form = begin(client)
    client.post(f"{form}1/", answers(world)[1])
    answer = client.post(f"{form}3/", {**answers(world)[3], "monthly_spend_expected": amount})
    assert answer.status_code == 422
    assert Workload.objects.get().monthly_spend_expected is None


def test_registering_too_early_lists_what_is_missing_with_links(world: World) -> None:
    client = log_in(world.eve)
    form = begin(client)
    client.post(f"{form}1/", answers(world)[1])
    answer = client.post(f"{form}3/", answers(world)[3])
    assert answer.status_code == 422
    assert f'href="{form}2/#id_value_tier"' in answer.content.decode()


def test_typing_saves_itself_and_says_so(world: World) -> None:
    client = log_in(world.eve)
    form = begin(client)
    silent = client.post(f"{form}1/save/", {"name": "", "purpose": "no name yet"}, headers={"HX-Request": "true"})
    assert "Saves itself once it has a name" in silent.content.decode()
    saved = client.post(f"{form}1/save/", {"name": "Ret"}, headers={"HX-Request": "true"})
    assert "Draft saved" in saved.content.decode()
    client.post(f"{form}1/save/", {"name": "Return reasons"}, headers={"HX-Request": "true"})
    assert [(w.name, w.state) for w in Workload.objects.all()] == [("Return reasons", "draft")]


def test_duplicates_are_shown_while_typing_and_after_a_plain_post(world: World) -> None:
    other = register(world, "Support ticket summaries", purpose="Summaries of tickets", output_unit="ticket summary")
    client = log_in(world.eve)
    form = begin(client)
    typed = client.post(f"{form}1/save/", {"name": "Ticket summaries"}, headers={"HX-Request": "true"}).content.decode()
    assert "Somebody may have this already" in typed
    client.post(f"{form}1/", {**answers(world)[1], "name": "Ticket summaries"})
    page = client.get(f"{form}2/").content.decode()
    assert "Support ticket summaries" in page
    assert "Compare them" in page
    client.post(f"{form[:-1]}/alike/", {"other": other.slug, "answer": "differs", "number": "2"})
    assert "Somebody may have this already" not in client.get(f"{form}2/").content.decode()


def test_it_is_the_same_throws_the_draft_away(world: World) -> None:
    other = register(world, "Support ticket summaries")
    client = log_in(world.eve)
    form = begin(client)
    client.post(f"{form}1/", {**answers(world)[1], "name": "Ticket summaries"})
    answer = client.post(f"{form[:-1]}/alike/", {"other": other.slug, "answer": "same"})
    assert answer["Location"] == f"/workloads/{other.slug}/"
    assert Workload.objects.filter(state="draft").count() == 0


def test_somebody_elses_draft_does_not_exist(world: World) -> None:
    form = begin(log_in(world.eve))
    log_in(world.eve).post(f"{form}1/", answers(world)[1])
    draft = Workload.objects.get()
    for person in (world.gus, world.ben, world.cleo):
        client = log_in(person)
        for address in (f"{form}1/", f"{form}2/", f"/workloads/{draft.slug}/", f"/workloads/{draft.slug}/resume/"):
            assert client.get(address).status_code == 404, address
        assert client.post(f"{form}1/save/", {"name": "Mine"}).status_code == 404
        assert client.post(f"{form[:-1]}/discard/").status_code == 404
    assert Workload.objects.get().name == "Return reasons"


def test_no_posted_field_beyond_the_questions_is_taken(world: World) -> None:
    client = log_in(world.eve)
    form = begin(client)
    extra = {field.name: "1" for field in Workload._meta.fields} | {"state": "active", "created_by": "1", "slug": "x"}
    client.post(f"{form}1/", {**extra, **answers(world)[1], "version": ""})
    draft = Workload.objects.get()
    assert (draft.state, draft.created_by, draft.activated_at) == ("draft", world.eve, None)
    assert draft.slug.startswith("draft-")


def test_a_draft_of_two_shows_both_words(world: World) -> None:
    client = log_in(world.eve)
    form = begin(client)
    client.post(f"{form}1/", answers(world)[1])
    draft = Workload.objects.get()
    version = str(draft.version)
    services.save_draft(actor=Actor(world.ada.pk, "Ada", "web"), workload=_named(draft, world), purpose="Theirs")
    answer = client.post(f"{form}1/", {**answers(world)[1], "purpose": "Mine", "version": version})
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "theirs is “Theirs”, yours is “Mine”" in page


def _named(draft: Workload, world: World) -> Workload:
    """Ada is named in it, so that she may edit it."""
    Workload.objects.filter(pk=draft.pk).update(technical_owner=world.ada)
    return draft


# --- What the answers amount to -------------------------------------------------------------------------------------


HTMX = {"HX-Request": "true"}


def minutes(*, hourly: str = "31") -> dict[str, str]:
    """18,000 reasons a month that save a returns clerk 0.5, 1 or 1.5 minutes each; an empty rate is none."""
    grade = economics.add_grade(actor=MACHINE, name="Returns clerk")
    if hourly:
        economics.set_grade_rate(actor=MACHINE, grade=grade, hourly=Decimal(hourly), valid_from=date(2026, 1, 1))
    return {
        "minutes_low": "0.5",
        "minutes_base": "1",
        "minutes_high": "1.5",
        "grade": str(grade.pk),
        "useful_a_month": "18,000",
    }


def at_worth(person: Person, world: World) -> tuple[Client, str]:
    """Somebody who has come to step 2."""
    client = log_in(person)
    form = begin(client)
    client.post(f"{form}1/", answers(world)[1])
    return client, form


def words_of(response: Any) -> str:
    return " ".join(strip_tags(response.content.decode().replace("<", " <")).split())


def test_the_column_says_what_the_saved_time_amounts_to_while_it_is_typed(world: World) -> None:
    client, form = at_worth(world.cleo, world)
    shown = client.post(f"{form}2/save/", {"benefit": "labour", **minutes()}, headers=HTMX)
    words = words_of(shown)
    assert "$9,300 value a month, most likely between $4,650 and $13,950 $0 $18,600" in words
    assert "Worth of one reason $0.517 It may cost at most $0.258 each An hour of Returns clerk $31.00" in words
    assert "Its cost a month not said yet" in words
    assert "What verdict it would get shows as soon as step 3 says what it may spend." in words
    assert "tg-verdict" not in shown.content.decode()


@pytest.mark.parametrize(
    ("spend", "word", "sentence"),
    [
        ("4,000", "scale", "It pays even in the low case, and each $1.00 returns 1.32 net."),
        ("5,000", "keep", "It pays: $4,300 net. In the low case it nets −$350, within the $465 that are tolerated."),
        ("12,000", "stop", "It costs more than it is worth: $12,000 of cost and $0.00 of reviews against $9,300 of"),
    ],
)
def test_with_what_it_may_spend_the_column_says_which_verdict_that_would_be(
    world: World, spend: str, word: str, sentence: str
) -> None:
    client, form = at_worth(world.cleo, world)
    client.post(f"{form}2/", {**answers(world)[2], **minutes()})
    shown = client.post(f"{form}3/save/", {"monthly_spend_expected": spend}, headers=HTMX)
    assert f"tg-verdict--{word}" in shown.content.decode()
    assert sentence in words_of(shown)
    assert f"Its cost a month ${spend} at most" in words_of(shown)


def test_too_few_answers_a_month_are_unproven_in_the_column_as_well(world: World) -> None:
    client, form = at_worth(world.cleo, world)
    client.post(f"{form}2/", {**answers(world)[2], **minutes(), "useful_a_month": "12"})
    shown = client.post(f"{form}3/save/", {"monthly_spend_expected": "5"}, headers=HTMX)
    assert "tg-verdict--unproven" in shown.content.decode()


def test_without_a_script_the_same_stands_on_the_page_and_open_questions_do_not_hinder_it(world: World) -> None:
    client, form = at_worth(world.cleo, world)
    told = {"benefit": "labour", **minutes(), "go": "here"}
    answer = client.post(f"{form}2/", told)
    assert (answer.status_code, answer["Location"]) == (302, f"{form}2/")
    page = client.get(f"{form}2/")
    assert "$9,300 value a month" in words_of(page)
    assert 'value="18,000"' in page.content.decode()
    wrong = client.post(f"{form}2/", {"benefit": "labour", "minutes_low": "two", "go": "here"})
    assert wrong.status_code == 422
    assert "Write a number like 18000 or 1.5." in wrong.content.decode()
    lost = client.post(f"{form}2/", {**told, "failure_cost": "4,5"})
    assert lost.status_code == 422  # an answer further down that cannot be read is not dropped in silence
    assert 'value="4,5"' in lost.content.decode()


@pytest.mark.parametrize(
    ("useful", "shown"),
    [
        ("20", "20 min of work saved a month, most likely between 10 min and 30 min 0 h 40 min"),
        ("90", "1.5 h of work saved a month, most likely between 45 min and 2.3 h 0 h 3 h"),
    ],
)
def test_little_work_saved_does_not_read_as_none(world: World, useful: str, shown: str) -> None:
    client, form = at_worth(world.eve, world)
    told = {"benefit": "labour", **minutes(), "useful_a_month": useful}
    assert shown in words_of(client.post(f"{form}2/save/", told, headers=HTMX))


def test_who_may_not_see_what_an_hour_costs_is_told_hours(world: World) -> None:
    client, form = at_worth(world.eve, world)
    told = minutes()
    client.post(f"{form}2/", {**answers(world)[2], **told})
    shown = client.post(f"{form}3/save/", {"monthly_spend_expected": "4000"}, headers=HTMX)
    words = words_of(shown)
    assert "300 h of work saved a month, most likely between 150 h and 450 h 0 h 600 h" in words
    assert "What an hour costs is seen by analysts and administrators only." in words
    assert "$" not in words
    assert "tg-verdict" not in shown.content.decode()


def test_a_grade_without_a_rate_is_hours_too_and_no_zero(world: World) -> None:
    client, form = at_worth(world.cleo, world)
    words = words_of(client.post(f"{form}2/save/", {"benefit": "labour", **minutes(hourly="")}, headers=HTMX))
    assert "300 h of work saved a month" in words
    assert "What an hour costs is not in the grade table yet" in words
    assert "$" not in words


def test_what_is_missing_of_an_estimate_is_named_and_nothing_is_worked_out(world: World) -> None:
    client, form = at_worth(world.cleo, world)
    told = {"benefit": "labour", **minutes(), "minutes_high": "", "useful_a_month": ""}
    shown = client.post(f"{form}2/save/", told, headers=HTMX)
    assert "Say also the minutes at best and how many people will use in a month" in words_of(shown)
    assert "tg-range" not in shown.content.decode()
    crossed = client.post(f"{form}2/save/", {**told, "minutes_high": "0.7", "useful_a_month": "10"}, headers=HTMX)
    assert "The three figures go from small to large" in words_of(crossed)


def test_no_minute_at_least_is_a_figure_and_not_a_gap(world: World) -> None:
    client, form = at_worth(world.cleo, world)
    shown = client.post(f"{form}2/save/", {"benefit": "labour", **minutes(), "minutes_low": "0"}, headers=HTMX)
    assert "between $0 and $13,950" in words_of(shown)


def test_a_draft_keeps_the_amounts_and_none_of_them_is_needed(world: World) -> None:
    client, form = at_worth(world.eve, world)
    told = minutes()
    client.post(f"{form}2/save/", {"benefit": "labour", **told}, headers=HTMX)
    kept = {"minutes_low": "0.5", "minutes_base": "1", "minutes_high": "1.5", "useful_a_month": "18000"}
    assert Workload.objects.get().first_estimate == {**kept, "grade": int(told["grade"])}
    page = client.get(f"{form}2/").content.decode()
    assert 'name="minutes_base" value="1"' in page
    assert 'name="useful_a_month" value="18,000"' in page
    assert client.post(f"{form}2/", answers(world)[2]).status_code == 302
    assert Workload.objects.get().first_estimate is None


def test_minutes_that_stand_aside_hinder_nobody(world: World) -> None:
    client, form = at_worth(world.cleo, world)
    told = {**answers(world)[2], **minutes(), "minutes_low": "two", "minutes_base": "9", "benefit": "revenue"}
    answer = client.post(f"{form}2/", told)
    assert (answer.status_code, answer["Location"]) == (302, f"{form}3/")
    assert "value a month" not in words_of(client.get(f"{form}3/"))
    refused = client.post(f"{form}2/", {**told, "minutes_low": "2", "benefit": "labour"})
    assert refused.status_code == 422
    assert "“At best” cannot be less than “most likely”." in refused.content.decode()


def test_the_value_case_begins_with_what_the_registration_said(world: World) -> None:
    client, form = at_worth(world.ben, world)
    told = minutes()
    for number, step in answers(world).items():
        client.post(f"{form}{number}/", step | (told if number == 2 else {}))
    assert "Finish the value case" in client.get("/workloads/return-reasons/registered/").content.decode()
    page = client.get("/workloads/return-reasons/value/write/")
    assert "Filled in from the registration." in page.content.decode()
    begun = page.context["form"].initial
    assert [begun[f"minutes_saved_{case}"] for case in ("low", "base", "high")] == ["0.5", "1", "1.5"]
    assert [begun[f"realisation_{case}"] for case in ("low", "base", "high")] == [1, 1, 1]
    assert begun["grade"].pk == int(told["grade"])


def test_what_brings_no_saved_time_is_told_that_its_worth_stays_open(world: World) -> None:
    client, form = at_worth(world.ben, world)
    for number, step in answers(world).items():
        client.post(f"{form}{number}/", step | ({**minutes(), "benefit": "risk"} if number == 2 else {}))
    assert "Its worth in money stays open" in client.get("/workloads/return-reasons/registered/").content.decode()
    page = client.get("/workloads/return-reasons/value/write/")
    assert "Filled in from the registration." not in page.content.decode()


# --- Editing ----------------------------------------------------------------------------------------------------------


def test_owners_edit_the_card_and_others_may_not(world: World) -> None:
    workload = register(world, "Chat")
    card = {**answers(world)[1], **answers(world)[3], "benefit": "risk", "version": str(workload.version)}
    card["reason"] = "We count reasons now"
    assert log_in(world.gus).post(f"/workloads/{workload.slug}/edit/", card).status_code == 403
    assert log_in(world.ben).post(f"/workloads/{workload.slug}/edit/", card).status_code == 302
    workload.refresh_from_db()
    assert (workload.name, workload.benefit, workload.state) == ("Return reasons", "risk", "active")


def test_what_counts_as_useful_waits_for_somebody_else_and_says_why(world: World) -> None:
    workload = register(world, "Chat")
    card = {**answers(world)[1], **answers(world)[3], "benefit": "risk", "version": str(workload.version)}
    client, address = log_in(world.ben), f"/workloads/{workload.slug}/edit/"
    unit = workload.output_unit
    assert "Say why" in client.post(address, card).content.decode()
    workload.refresh_from_db()
    assert (workload.name, workload.output_unit) == ("Chat", unit)

    assert (
        "It counts once somebody else" in client.post(address, card | {"reason": "Other"}, follow=True).content.decode()
    )
    workload.refresh_from_db()
    assert (workload.name, workload.output_unit) == ("Return reasons", unit)
    confirm(workload.confirmations.get(kind="output_unit"), world.hana)
    workload.refresh_from_db()
    assert workload.output_unit == "reason"


def test_a_stopped_use_case_is_taken_up_again_on_the_page_of_its_promise(world: World) -> None:
    workload = register(world, "Chat")
    services.tighten(actor=actor(world.hana), workload=workload, reason="It lost money", suspend=True, sunset=True)
    client, gia = log_in(world.ben), approver(world)
    assert "It is suspended" in client.get(f"/workloads/{workload.slug}/promise/").content.decode()

    client.post(f"/workloads/{workload.slug}/take-up/", {"stage": "pilot", "reason": "Cheaper model"})
    confirm(workload.confirmations.get(), gia)

    workload.refresh_from_db()
    assert (workload.state, workload.stage) == ("active", "pilot")


def test_a_changed_promise_needs_a_reason_and_keeps_the_former(world: World) -> None:
    workload = register(world, "Chat")
    client = log_in(world.ben)
    step = {**answers(world)[2], "value_tier": "T1"}
    assert client.post(f"/workloads/{workload.slug}/promise/", step).status_code == 422
    step["reason"] = "Customers see it now"
    assert client.post(f"/workloads/{workload.slug}/promise/", step).status_code == 302
    for waiting in workload.confirmations.all():
        confirm(waiting, world.hana)
    page = client.get(f"/workloads/{workload.slug}/promise/").content.decode()
    assert "Customers see it now" in page
    assert workload.revisions.latest("version").value_tier_id == "T1"


def test_a_binding_is_previewed_made_and_ended_on_the_workloads_page(books: dict[str, Workload], world: World) -> None:
    client, slug = log_in(world.cleo), books["Idle"].slug
    page = client.get(f"/workloads/{slug}/bindings/?{MONTH}&keys=stray&first_day=2026-10-01").content.decode()
    assert "What this moves, October 2026" in page
    assert "$0.50" in page
    client.post(f"/workloads/{slug}/bindings/add/", {"keys": "stray", "first_day": "2026-10-01"})
    binding = books["Idle"].bindings.get()
    assert (binding.pairs, binding.valid_from) == ([["key", "stray"]], at(1))
    client.post(f"/workloads/{slug}/bindings/{binding.pk}/end/", {"last_day": "2026-10-02"})
    assert books["Idle"].bindings.in_force().get().valid_to == at(3)
    assert log_in(world.eve).get(f"/workloads/{slug}/bindings/").status_code == 403
    assert log_in(world.ben).post(f"/workloads/{slug}/bindings/add/", {"keys": "x"}).status_code == 403

"""The frame of every page: who sees which entry, the period in the URL, the theme, how a session ends."""

import re
import time

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.urls import reverse
from django_htmx.middleware import HtmxDetails

from apps.core import errors
from apps.web import hooks
from apps.web.middleware import BEGAN, ErrorMiddleware
from apps.web.pages import page_or_part
from tests.books import make_workload
from tests.world import World, actor, log_in

HTMX = {"headers": {"HX-Request": "true"}}


def entries(client: Client, query: str = "") -> dict[str, str]:
    """Label -> address of the side bar."""
    html = client.get(f"/{query}").content.decode()
    links = re.findall(r'class="tg-nav__link" href="([^"]+)" title="([^"]+)"', html)
    return {label: address.replace("&amp;", "&") for address, label in links}


def test_before_log_in_every_page_asks_for_it(world: World):
    response = Client().get("/?month=2026-10")
    assert response.status_code == 302
    assert response["Location"] == "/accounts/login/?next=/%3Fmonth%3D2026-10"


@pytest.mark.parametrize("name", ["ada", "ben", "cleo", "dan", "eve", "finn", "gus", "hana"])
def test_the_side_bar_links_only_to_pages_that_open(world: World, name: str):
    client = log_in(world.people[name])
    for label, address in entries(client).items():
        assert client.get(address).status_code == 200, label


def test_a_member_sees_no_entry_of_money_or_data(world: World):
    assert not {"Full cost", "Unallocated", "Prices", "Sources", "Imports"} & set(entries(log_in(world.eve)))


def test_whoever_owns_a_workload_sees_the_way_to_its_cost(world: World):
    assert "Full cost" not in entries(log_in(world.ben))
    make_workload("Ticket summaries", world)
    assert "Full cost" in entries(log_in(world.ben))
    assert log_in(world.ben).get("/costs/").status_code == 200


def test_the_period_stands_in_the_url_and_is_kept_by_every_entry(world: World):
    client = log_in(world.ada)
    assert all(address.endswith("?month=2026-09") for address in entries(client, "?month=2026-09").values())
    assert not any("?" in address for address in entries(client).values())


def test_another_period_keeps_the_filters_and_what_the_page_is_about(world: World):
    make_workload("Ticket summaries", world)
    address = "/why/cost/?month=2026-09&workload=ticket-summaries&page=3"
    html = log_in(world.ada).get(address).content.decode()
    assert 'href="?month=2026-08&amp;workload=ticket-summaries" aria-label="Period before"' in html
    assert html.count('<input type="hidden" name="workload" value="ticket-summaries">') == 2
    days = log_in(world.ada).get("/costs/?from=2026-09-01&to=2026-09-10&group=model").content.decode()
    assert 'href="?group=model&amp;month=2026-' in days


@pytest.mark.parametrize(
    ("deed", "page"),
    [
        ("/workloads/ticket-summaries/bindings/add/", "/workloads/ticket-summaries/bindings/"),
        ("/workloads/ticket-summaries/outcomes/record/", "/workloads/ticket-summaries/outcomes/"),
        ("/workloads/import/apply/", "/workloads/import/"),
        ("/settings/grades/add/", "/settings/grades/"),
        ("/theme/", "/"),
    ],
)
def test_a_link_of_a_page_that_was_drawn_after_a_refused_form_leads_to_its_page(world: World, deed: str, page: str):
    make_workload("Ticket summaries", world)
    client = log_in(world.ada)
    answer = client.get(f"{deed}?month=2026-09")
    assert (answer.status_code, answer["Location"]) == (302, f"{page}?month=2026-09")
    assert client.get(answer["Location"]).status_code == 200
    assert client.put(deed).status_code == 405


def test_a_period_that_is_none_is_said_and_a_page_without_figures_stands(world: World):
    response = log_in(world.ada).get("/search/?q=a&month=2026-99")
    assert response.status_code == 200
    assert "is not a month" in response.content.decode()


def test_a_page_with_figures_refuses_a_period_that_is_none_in_words(world: World):
    response = log_in(world.ada).get("/?month=2026-99")
    assert response.status_code == 400
    assert "is not a month" in response.content.decode()


def test_what_waits_is_counted_at_its_entry(world: World, monkeypatch):
    monkeypatch.setitem(hooks.counters, "home", lambda asker: 7 if asker.person_id == world.ada.pk else 0)
    assert "7 waiting" in log_in(world.ada).get("/").content.decode()
    assert "waiting" not in log_in(world.eve).get("/search/?q=zzz").content.decode()


def test_the_theme_is_drawn_by_the_server(world: World):
    client = log_in(world.ada)
    assert "data-bs-theme" not in client.get("/").content.decode().split("<head>")[0]
    assert client.post(reverse("theme"), {"theme": "dark", "next": "/?month=2026-10"})["Location"] == "/?month=2026-10"
    assert 'data-bs-theme="dark"' in client.get("/").content.decode().split("<head>")[0]


@pytest.mark.parametrize("address", ["https://evil.example/", "//evil.example", "javascript:alert(1)", ""])
def test_the_theme_form_leads_nowhere_else(address: str, db):
    assert Client().post(reverse("theme"), {"theme": "dark", "next": address})["Location"] == "/"


def test_an_unknown_theme_is_not_kept(db):
    assert "tollgate_theme" not in Client().post(reverse("theme"), {"theme": '"><script>'}).cookies
    assert Client().get(reverse("theme")).status_code == 405


def test_pages_after_log_in_are_not_kept_by_the_browser(world: World):
    assert log_in(world.ada).get("/")["Cache-Control"] == "no-store"


def test_a_session_ends_after_twelve_hours_however_busy_it_is(world: World):
    client = log_in(world.ada)
    client.get("/")
    session = client.session
    session[BEGAN] = time.time() - 12 * 3600 - 1
    session.save()
    assert client.get("/search/?q=a")["Location"] == "/accounts/login/?next=%2Fsearch%2F%3Fq%3Da"
    assert client.get("/").status_code == 302


def test_a_part_of_a_page_leaves_for_the_log_in_page_when_the_session_ended(world: World):
    client = log_in(world.ada)
    client.get("/")
    session = client.session
    session[BEGAN] = 0
    session.save()
    response = client.get("/search/?q=a", **HTMX)
    assert (response.status_code, response["HX-Redirect"]) == (204, "/accounts/login/?next=%2Fsearch%2F%3Fq%3Da")


def test_htmx_gets_the_part_and_everybody_else_the_page(world: World):
    client = log_in(world.ada)
    page, part = client.get("/search/?q=home"), client.get("/search/?q=home", **HTMX)
    assert "<html" in page.content.decode()
    assert "<html" not in part.content.decode()
    assert part.content.decode().strip() in page.content.decode()
    assert "HX-Request" in part["Vary"]


@pytest.mark.parametrize("header", [{"HX-Boosted": "true"}, {"HX-History-Restore-Request": "true"}])
def test_a_boosted_link_and_the_browsers_history_get_the_whole_page(rf: RequestFactory, world: World, header):
    request = rf.get("/", headers={"HX-Request": "true", **header})
    request.htmx = HtmxDetails(request)
    request.user, request.actor = world.ada.accounts.get(), actor(world.ada)
    assert b"<html" in page_or_part(request, "search/index.html", "results", {"groups": []}).content


def test_search_finds_only_pages_that_one_may_see_and_escapes_what_was_typed(world: World):
    assert "Prices" in log_in(world.ada).get("/search/?q=pric").content.decode()
    assert "Prices" not in log_in(world.eve).get("/search/?q=pric").content.decode()
    assert "<script>alert" not in log_in(world.eve).get("/search/?q=<script>alert(1)</script>").content.decode()


def test_finders_are_asked_with_the_one_who_looks(world: World, monkeypatch):
    def find(asker, words):
        return [hooks.Found(label=f"{asker.label} seeks {words}", href="/x/")]

    monkeypatch.setitem(hooks.finders, "Test", find)
    assert "Eve Stone seeks copilot" in log_in(world.eve).get("/search/?q=copilot").content.decode()


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (errors.BadInput("The month is not one.", hint="Write 2026-10."), 400, "Write 2026-10."),
        (errors.NotAllowed("You may not edit prices."), 403, "You may not edit prices."),
        (errors.NotFound("There is no such workload."), 404, "There is no such workload."),
        (errors.Conflict("Somebody was quicker."), 409, "Somebody was quicker."),
    ],
)
def test_errors_of_the_domain_are_pages_in_words(rf: RequestFactory, error, status: int, words: str, world: World):
    def answer(_: HttpRequest) -> HttpResponse:
        raise AssertionError

    request = rf.get("/")
    request.user, request.actor = world.ada.accounts.get(), actor(world.ada)
    response = ErrorMiddleware(answer).process_exception(request, error)
    assert response is not None
    assert response.status_code == status
    assert words in response.content.decode()


@pytest.mark.parametrize(
    "page", ["workloads", "prices", "unallocated", "costs", "why/cost", "budgets", "imports", "audit"]
)
def test_a_character_that_no_text_has_is_refused_in_words(world: World, page: str):
    ada = log_in(world.ada)
    for name in ("q", "workload"):
        response = ada.get(f"/{page}/?{name}=a%00b")
        assert response.status_code == 400
        assert "holds a character that no text has" in response.content.decode()
    part = ada.get(f"/{page}/?q=%00", **HTMX)
    assert (part.status_code, "<html" in part.content.decode()) == (400, False)


def test_a_form_with_such_a_character_is_refused_too_and_the_api_says_it_as_a_problem(world: World):
    assert log_in(world.ada).post("/workloads/views/save/", {"name": "a\0b"}).status_code == 400
    problem = Client().get("/api/v1/costs/?workload=%00")
    assert (problem.status_code, problem["Content-Type"]) == (400, "application/problem+json")


def test_a_part_leaves_for_the_log_in_page_when_nobody_is_logged_in_any_more(world: World):
    seen = {"headers": {"HX-Request": "true", "HX-Current-URL": "http://testserver/workloads/?tier=T2"}}
    response = Client().get("/workloads/?q=a", **seen)
    assert (response.status_code, response.content) == (204, b"")
    assert response["HX-Redirect"] == "/accounts/login/?next=%2Fworkloads%2F%3Ftier%3DT2"
    assert Client().get("/workloads/?q=a").status_code == 302


def test_a_fault_of_ours_stays_within_its_part_and_has_a_number(world: World, monkeypatch, caplog):
    def breaks(*_) -> list[hooks.Found]:
        raise KeyError("x")

    monkeypatch.setitem(hooks.finders, "Workloads", breaks)
    client = log_in(world.ada)
    client.raise_request_exception = False
    seen = {"headers": {"HX-Request": "true", "HX-Current-URL": "http://testserver/costs/"}}
    part, page = client.get("/search/?q=abc", **seen), client.get("/search/?q=abc")
    for response in (part, page):
        assert response.status_code == 500
        number = re.search(r"[Ee]rror,? ([0-9a-f]{8})", response.content.decode())
        assert number
        assert f"Error {number[1]} at GET /search/" in caplog.text
    assert "<html" not in part.content.decode()
    assert '<a href="/costs/">Try again</a>' in part.content.decode()
    assert "<html" in page.content.decode()


def test_faults_of_ours_are_not_hidden_as_if_they_were_the_askers(rf: RequestFactory):
    assert ErrorMiddleware(lambda _: HttpResponse()).process_exception(rf.get("/"), KeyError("x")) is None


def test_an_address_that_does_not_exist_says_so_calmly(world: World):
    response = log_in(world.eve).get("/no/such/page/")
    assert response.status_code == 404
    assert "nothing here that you may see" in response.content.decode()


@pytest.mark.parametrize("template", ["400.html", "403.html", "403_csrf.html", "404.html", "429.html", "500.html"])
def test_error_pages_need_no_context_at_all(template: str, db):
    from django.template.loader import render_to_string

    assert "<h1" in render_to_string(template)

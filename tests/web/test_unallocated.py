"""The workbench for what nobody claims."""

import csv
import io
import re
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from apps.accounts.models import Person, Role
from apps.budgets.services import set_budget
from apps.core.models import Period
from apps.costs.attribution import bind
from apps.costs.models import DirtyDay
from apps.reviews import services as reviews
from apps.usage.models import Identity
from apps.workloads.models import Binding, Workload
from tests import query_counts
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
    unproved,
)
from tests.economics.ledger import OCTOBER, Ledger, example_c, make_ledger, settle
from tests.reviews.meeting import NOW, Meeting, make_meeting
from tests.web.test_query_counts import count
from tests.world import MACHINE, World, give, log_in, make_member

pytestmark = pytest.mark.django_db
MONTH = "month=2026-10"


@pytest.fixture
def meeting(world: World) -> Meeting:
    return make_meeting(world)


@pytest.fixture
def email(world: World) -> Workload:
    return make_workload("Growth e-mail", world)


@pytest.fixture
def keys(world: World, email: Workload) -> dict[str, Identity]:
    """team-growth-exp costs 5.00, proj_scratch 1.00, both nobody's; an unpriced one besides."""
    offering, unknown, source = make_offering("own", "plain"), make_offering("own", "mystery"), make_source("LiteLLM")
    prices(offering, input="1000", output="1000")
    pull = make_pull(source)
    found = {}
    for key, tokens, model in (
        ("team-growth-exp", 5000, offering), ("proj_scratch", 1000, offering), ("dark", 700, unknown)
    ):  # fmt: skip
        found[key] = make_identity(source, key)
        series = make_series(pull, found[key], model)
        add_hour(pull, series, at(2), requests=1, input=tokens)
    rate_all()
    return found


def test_most_money_comes_first_with_a_guess_and_its_grounds(keys: Any, world: World) -> None:
    page = log_in(world.cleo).get(f"/unallocated/?{MONTH}").content.decode()
    assert page.index("team-growth-exp") < page.index("proj_scratch") < page.index(">dark<")
    for words in (
        "All 3 keys",
        "$6.00",
        "$5.00",
        "83.3%",
        "Growth e-mail",
        "strong",
        "Register what it is",
        "unpriced",
    ):
        assert words in page, words


def test_a_key_is_bound_in_one_click_after_the_preview(
    keys: dict[str, Identity], email: Workload, world: World
) -> None:
    client, address = log_in(world.cleo), f"/unallocated/{keys['team-growth-exp'].pk}/bind/?{MONTH}"
    page = client.get(address).content.decode()
    assert "What this moves, October 2026" in page
    assert "Bind $5.00" in page
    assert not Binding.objects.exists()
    answer = client.post(address, {"workload": email.slug, "first_day": "2026-10-01", "last_day": ""})
    assert answer.status_code == 302
    assert Binding.objects.get().valid_from == at(1)
    assert DirtyDay.objects.get().day.isoformat() == "2026-10-02"
    rate_all()
    assert "All 2 keys" in client.get(f"/unallocated/?{MONTH}").content.decode()


def test_smaller_keys_are_one_row_until_they_are_looked_for(keys: dict[str, Identity], world: World) -> None:
    """5.00 and 1.00, then 0.50, 0.40, 0.30 and 0.20 make six; 0.10, 0.05 and one without a price follow."""
    source, pull = keys["dark"].source, make_pull(keys["dark"].source, "more.csv")
    for tokens in (500, 400, 300, 200, 100, 50):
        series = make_series(pull, make_identity(source, f"key-{tokens}"), make_offering("own", "plain"))
        add_hour(pull, series, at(4), requests=1, input=tokens)
    rate_all()
    client = log_in(world.cleo)
    page = client.get(f"/unallocated/?{MONTH}").content.decode()
    row = page[page.index("3 smaller keys") :].partition("</tr>")[0]
    assert ("$0.15" in row, "2.0%" in row, "unpriced" in row) == (True, True, True)
    assert ("key-200" in page, "key-100" in page, "All 9 keys" in page) == (True, False, True)
    for query in ("all=1", "q=key", "sort=key"):
        assert "key-100" in client.get(f"/unallocated/?{MONTH}&{query}").content.decode(), query
    small = Identity.objects.get(pairs=[["key", "key-100"]])
    assert "smaller keys" not in client.get(f"/unallocated/{small.pk}/bind/?{MONTH}").content.decode()


def moves(page: str) -> dict[str, tuple[str, str]]:
    """The rows of what moves: label -> before and after."""
    table = page[page.index("What this moves") :].partition("</table>")[0]
    rows = re.findall(r'<th scope="row">(.+?)</th><td>(.+?)</td>.+?<td(?: class="[\w-]+")?>(.+?)</td></tr>', table)
    return {label: (plain_text(before), plain_text(after)) for label, before, after in rows}


def plain_text(html: str) -> str:
    return re.sub("<[^>]+>", "", html)


def key_beside(ledger: Ledger, name: str, *spent: tuple[int, datetime]) -> Identity:
    """A key that nobody claims, of the same source and model."""
    pull = make_pull(ledger.series.part.source)
    key = make_identity(ledger.identity.source, name)
    series = make_series(pull, key, ledger.series.offering)
    for dollars, when in spent:
        add_hour(pull, series, when, requests=10, input=dollars * 1_000_000, cached=0, output=0)
    rate_all()
    return key


def previewed(person: Person, key: Identity, ledger: Ledger, first_day: str = "2026-10-01") -> str:
    chosen = f"workload={ledger.workload.slug}&first_day={first_day}"
    return log_in(person).get(f"/unallocated/{key.pk}/bind/?{MONTH}&{chosen}").content.decode()


def test_the_preview_goes_as_far_as_the_verdict(world: World) -> None:
    """Example C with 3,000 more: 5,400 over 9,200 answers, 5,520 of value less 575 of reviews."""
    ledger = example_c(world)
    set_budget(actor=MACHINE, owner=ledger.workload, month=OCTOBER, amount=Decimal(4000))
    page = previewed(world.cleo, key_beside(ledger, "loud", (3000, at(7))), ledger)
    assert moves(page) == {
        "Unallocated": ("$3,000", "$0"),
        "Share of the full cost": ("55.6%", "0.0%"),
        "Cost of Ticket summaries": ("$2,400", "$5,400"),
        "Cost per answer": ("$0.261", "$0.587"),
        "Net value": ("$2,545", "−$455"),
        "Budget $4,000": ("60%", "135%"),
        "Verdict": ("Keep", "Stop"),
    }
    assert '<td class="tg-bad">−$455</td>' in page
    assert "This changes the verdict.</strong> It will stand on the agenda of the October review." in page
    assert "It costs more than it is worth" in page


def test_what_is_unknown_stays_so_and_a_budget_of_nothing_is_told_in_money(world: World) -> None:
    ledger = make_ledger(world)
    set_budget(actor=MACHINE, owner=ledger.workload, month=OCTOBER, amount=Decimal(0))
    page = previewed(world.cleo, key_beside(ledger, "loud", (50, at(7))), ledger)
    found = moves(page)
    assert found["Verdict"] == ("Unproven", "Unproven")
    assert found["Spent, budget $0"] == (
        "–not known: No cost of it is known in this month.",
        "$50.00",
    )
    assert found["Net value"][1].startswith("–not known: Whether this pays is unproven")
    assert "The verdict stays." in page
    assert "This changes the verdict" not in page


def test_who_binds_for_others_learns_nothing_of_their_money(world: World) -> None:
    """Lea places keys for Legal; the summaries are Care's, and so is Chat, which has the key until now."""
    lea = make_member("Lea Sand")
    give(lea, Role.ANALYST, world.legal, by=world.ada)
    ledger = example_c(world)
    chat = make_workload("Chat", world)
    key = key_beside(ledger, "shared", (3000, at(7)), (40, at(20)))
    bind(actor=MACHINE, workload=chat, pairs=key.pairs, source=key.source, valid_to=at(10))
    rate_all()
    page = previewed(lea, key, ledger)
    assert moves(page) == {"Unallocated": ("$40.00", "$0"), "Share of the full cost": ("0.7%", "0.0%")}
    assert "seen by its owners and by the analysts of its cost centre" in page
    assert "A part of it is Chat&#x27;s until now." in page or "A part of it is Chat's until now." in page
    assert "Bind $40.00" in page
    for secret in ("3,000", "3,040", "2,400", "2,545", "Keep", "Stop", "This changes the verdict"):
        assert secret not in page, secret


def test_the_worth_of_one_s_own_workload_does_not_tell_what_another_s_would_lose(world: World) -> None:
    """Cleo sees the summaries of Care; Letters of Legal, whose money she does not see, has 3,000 of the key."""
    ledger = example_c(world)
    set_budget(actor=MACHINE, owner=ledger.workload, month=OCTOBER, amount=Decimal(4000))
    letters = make_workload("Letters", world, cost_centre=world.legal)
    key = key_beside(ledger, "shared", (3000, at(7)), (40, at(20)))
    bind(actor=MACHINE, workload=letters, pairs=key.pairs, source=key.source, valid_to=at(10))
    rate_all()
    page = previewed(world.cleo, key, ledger)
    assert moves(page) == {"Unallocated": ("$40.00", "$0"), "Share of the full cost": ("0.7%", "0.0%")}
    assert "whose money you do not see" in page
    for secret in ("3,000", "3,040", "5,440", "−$495", "136%", "Stop", "This changes the verdict"):
        assert secret not in page, secret


def test_a_signed_month_is_named_with_what_it_would_be_restated_by(world: World) -> None:
    ledger = example_c(world)
    key = key_beside(ledger, "loud", (1204, at(5, month=9)), (3000, at(7)))
    Identity.objects.filter(pk=key.pk).update(first_seen=at(5, month=9))
    with unproved():
        Period.objects.filter(month=date(2026, 9, 1)).update(state=Period.State.SIGNED)
    page = previewed(world.cleo, key, ledger)
    assert "September is signed off. Binding from 5 Sep 2026 would restate it by $1,204." in page
    link = re.search(r'href="([^"]+)"[^>]*>Do that</a>', page)
    assert link
    page = log_in(world.cleo).get(link[1].replace("&amp;", "&")).content.decode()
    assert "$1,204 lies in 1 month that is signed off or being so." in plain_text(page)
    assert moves(page)["Verdict"] == ("Keep", "Stop")
    assert "Do that" not in page
    with unproved():
        Period.objects.filter(month=OCTOBER).update(state=Period.State.SIGNED)
    page = previewed(world.cleo, key, ledger)
    assert "What was signed stays; the new verdict stands beside it as restated." in page
    assert "Budget" not in moves(page)


def test_what_the_preview_says_of_the_agenda_comes_true(meeting: Meeting) -> None:
    """Summaries keep with -100 in the low case; 200 more is beyond the 276 that are tolerated."""
    cycle = meeting.open()
    key = Identity.objects.get(pairs=[["key", "nobodys"]])
    page = previewed(meeting.world.cleo, key, meeting.summaries)
    assert moves(page)["Verdict"] == ("Keep", "Fix")
    assert "It joins the agenda of the October review." in page
    bind(actor=MACHINE, workload=meeting.summaries.workload, pairs=key.pairs, source=key.source, valid_from=at(1))
    settle()
    reviews.refresh_due(actor=MACHINE, now=NOW + timedelta(minutes=10))
    assert meeting.item(cycle, "fix", meeting.summaries).state == "open"


def test_the_preview_asks_as_many_queries_for_one_key_as_for_many(world: World) -> None:
    ledger, client = example_c(world), log_in(world.cleo)
    key = key_beside(ledger, "loud", (3000, at(7)))
    address = f"/unallocated/{key.pk}/bind/?{MONTH}&workload={ledger.workload.slug}&first_day=2026-10-01"
    few = count(client, address)
    for number in range(20):
        key_beside(ledger, f"more-{number}", (1, at(8)))
        make_workload(f"Grown {number}", world)
    assert count(client, address) == few
    query_counts.check("bind a key", few)


def test_words_that_fit_several_workloads_are_asked_back_and_one_is_taken(
    keys: dict[str, Identity], email: Workload, world: World
) -> None:
    make_workload("Growth radar", world)
    client, address = log_in(world.cleo), f"/unallocated/{keys['proj_scratch'].pk}/bind/?{MONTH}"
    several = client.get(f"{address}&workload=growth").content.decode()
    assert "Several workloads fit" in several
    assert f'name="workload" value="{email.slug}">Growth e-mail</button>' in several
    for words in ("growth e-m", "Growth e-mail", f"WL-{email.pk}", f"Growth e-mail · WL-{email.pk:03d}", email.slug):
        page = client.get(address, {"workload": words, "month": "2026-10"}).content.decode()
        assert f'value="Growth e-mail · WL-{email.pk:03d}"' in page, words
        assert "What this moves" in page, words
    assert "No workload has such a name" in client.get(f"{address}&workload=zzz").content.decode()


def test_the_list_that_the_browser_completes_from_follows_what_is_written(email: Workload, world: World) -> None:
    make_workload("Mail sorting", world)
    options = log_in(world.cleo).get("/unallocated/workloads/", {"workload": "mail"}).content.decode()
    names = re.findall(r'value="(.+?) · WL', options)
    assert names == ["Mail sorting", "Growth e-mail"]
    assert log_in(world.dan).get("/unallocated/workloads/?workload=mail").status_code == 403


def test_the_part_of_the_panel_is_the_same_as_on_the_page(keys: dict[str, Identity], world: World) -> None:
    address = f"/unallocated/{keys['team-growth-exp'].pk}/bind/?{MONTH}"
    part = log_in(world.cleo).get(address, headers={"HX-Request": "true"}).content.decode()
    assert "Bind $5.00" in part
    assert "<html" not in part


def test_a_tie_is_said_in_the_panel(keys: dict[str, Identity], email: Workload, world: World) -> None:
    client, key = log_in(world.cleo), keys["team-growth-exp"]
    chosen = {"workload": email.slug, "first_day": "2026-10-01"}
    client.post(f"/unallocated/{key.pk}/bind/?{MONTH}", chosen)
    again = client.post(f"/unallocated/{key.pk}/bind/?{MONTH}", chosen)
    assert again.status_code == 422
    assert "is bound to Growth e-mail already" in again.content.decode()


def test_registering_from_a_key_fills_the_name_in_and_offers_to_bind(keys: dict[str, Identity], world: World) -> None:
    client, key = log_in(world.cleo), keys["proj_scratch"]
    form = client.get(f"/workloads/new/?identity={key.pk}")["Location"]
    page = client.get(form).content.decode()
    assert 'value="Proj scratch"' in page
    client.post(form, {"name": "Scratch", "identity": str(key.pk)})
    draft = Workload.objects.get(name="Scratch")
    assert draft.registered_for == {"source_id": key.source_id, "pairs": key.pairs}
    # Whoever may not see the keys cannot name one either.
    form = log_in(world.eve).get(f"/workloads/new/?identity={key.pk}")["Location"]
    log_in(world.eve).post(form, {"name": "Sneaky", "identity": str(key.pk)})
    assert Workload.objects.get(name="Sneaky").registered_for is None


def test_filters_and_files(keys: dict[str, Identity], world: World) -> None:
    client = log_in(world.cleo)

    def names(query: str) -> list[str]:
        answer = client.get(f"/unallocated/?{MONTH}&{query}&format=csv")
        return [row[0] for row in csv.reader(io.StringIO(b"".join(answer.streaming_content).decode()))][1:-1]

    assert names("") == ["team-growth-exp", "proj_scratch", "dark"]
    assert names("sort=key") == ["dark", "proj_scratch", "team-growth-exp"]
    assert names("q=scratch") == ["proj_scratch"]
    assert names("q=%25") == []
    assert names("unguessed=1") == ["proj_scratch", "dark"]
    assert names(f"source={keys['dark'].source_id}&q=dark") == ["dark"]
    assert names("source=999999") == []
    assert client.get(f"/unallocated/?{MONTH}&format=xlsx").status_code == 200


def test_it_is_empty_with_a_word_and_not_with_a_blank_page(world: World) -> None:
    assert "Everything is claimed" in log_in(world.cleo).get(f"/unallocated/?{MONTH}").content.decode()


def test_who_may_see_and_who_may_bind(keys: dict[str, Identity], email: Workload, world: World) -> None:
    pk = keys["dark"].pk
    may_see = {name for name, p in world.people.items() if log_in(p).get("/unallocated/").status_code == 200}
    assert may_see == {"cleo", "finn", "ada"}
    assert log_in(world.finn).get(f"/unallocated/{pk}/bind/").status_code == 403
    assert log_in(world.finn).post(f"/unallocated/{pk}/bind/", {"workload": email.slug}).status_code == 403
    assert log_in(world.dan).get(f"/unallocated/{pk}/bind/").status_code == 404
    assert log_in(world.cleo).get("/unallocated/999999999/bind/").status_code == 404
    assert not Binding.objects.exists()


def test_queries_do_not_grow_with_the_number_of_keys(
    keys: dict[str, Identity], world: World, django_assert_max_num_queries: Any, django_assert_num_queries: Any
) -> None:
    client = log_in(world.cleo)
    client.get(f"/unallocated/?{MONTH}")
    with django_assert_max_num_queries(40) as few:
        client.get(f"/unallocated/?{MONTH}")
    queries = len(few)
    source = keys["dark"].source
    pull = make_pull(source, "more.csv")
    for number in range(20):
        series = make_series(pull, make_identity(source, f"more-{number}"), make_offering("own", "plain"))
        add_hour(pull, series, at(4), requests=1, input=10)
    rate_all()
    client.get(f"/unallocated/?{MONTH}")  # new usage: what guesses are made from is read again, once
    with django_assert_num_queries(queries):
        client.get(f"/unallocated/?{MONTH}")

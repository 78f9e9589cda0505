"""The portfolio's worth: figures that add up, the picture, filters and columns by verdict."""

import csv
import io
import re
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from django.template.loader import render_to_string
from django.utils import timezone

from apps.budgets.services import set_budget
from apps.core import periods
from apps.costs.selectors import BilledMonth
from apps.economics import services as economics
from apps.economics.models import EconomicsMonth
from apps.web.period import PeriodChoice
from apps.web.portfolio import Rest
from apps.web.value_map import Spot, value_map
from apps.workloads.models import Workload
from tests.books import at, make_offering, make_workload, rate_all
from tests.economics.ledger import (
    OCTOBER,
    TODAY,
    Ledger,
    attested,
    came_out,
    example_c,
    make_ledger,
    settle,
    spend,
)
from tests.web.company import Company, make_two_bills
from tests.world import MACHINE, World, actor, log_in

pytestmark = pytest.mark.django_db
PORTFOLIO = "/workloads/?month=2026-10"


def loser(world: World) -> Ledger:
    """A label costs eight cents and saves two seconds: 1,000 of them."""
    ledger = make_ledger(world, "Labels")
    spend(ledger, 80)
    minutes = {"low": "0.03", "base": "0.03", "high": "0.03"}
    sure, none = {"low": "1", "base": "1", "high": "1"}, {"low": "0", "base": "0", "high": "0"}
    attested(ledger, assumptions={"minutes_saved": minutes, "realisation": sure, "review_minutes": none})
    came_out(ledger, 1000, 1000)
    return ledger


def silent(world: World) -> None:
    spend(make_ledger(world, "Notes"), 20)


@pytest.fixture
def company(world: World) -> World:
    example_c(world)
    loser(world)
    silent(world)
    settle()
    return world


def test_verdicts_and_what_nobody_claims_add_up_to_the_full_cost(company: World) -> None:
    page = log_in(company.cleo).get(PORTFOLIO)
    rows = {row.label: (row.count, row.cost, row.net) for row in page.context["worth"]["by_verdict"]}
    assert rows == {
        "Scale": (0, 0, 0),
        "Keep": (1, 2400, 2545),
        "Fix": (0, 0, 0),
        "Stop": (1, 80, -65),
        "Unproven": (1, 20, None),
    }
    rest = page.context["worth"]["rest"]
    assert (rest.total, rest.unallocated, rest.partly_known) == (2500, 0, 0)


def test_residuals_of_two_bills_lead_from_the_full_cost_to_what_both_say(world: World, tmp_path: Path) -> None:
    """155 computed at two providers and 60 of one's own machines, of which no bill tells."""
    make_two_bills(world, tmp_path)
    spend(make_ledger(world, "Cluster"), 60)
    settle()
    page = log_in(world.cleo).get(PORTFOLIO)
    rest = page.context["worth"]["rest"]
    assert [(one.provider, one.residual) for one in rest.bills] == [("anthropic", 5), ("openai", -10)]
    assert (rest.total, rest.not_compared, rest.bill) == (215, -60, 150)
    shown = re.sub(r"<[^>]*>", " ", page.content.decode())
    assert shown.split("Residual, anthropic")[1].split()[0] == "$5.00"
    assert shown.split("Residual, openai")[1].split()[0] == "\N{MINUS SIGN}$10.00"
    assert shown.split("Not compared with a bill")[1].split()[0] == "\N{MINUS SIGN}$60.00"
    assert shown.split("The bill for these calls")[1].split()[0] == "$150"


def test_a_residual_of_no_provider_leads_to_the_proof_of_what_names_none() -> None:
    named, unnamed = (BilledMonth(name, OCTOBER, *map(Decimal, (9, 9, 7, 0))) for name in ("openai", ""))
    period = PeriodChoice(OCTOBER, date(2026, 11, 1), today=TODAY)

    def foot(*bills: BilledMonth) -> str:
        rest = Rest(None, Decimal(0), Decimal(7 * len(bills)), bills)
        context = {"worth": {"rest": rest, "drawn": {"is_empty": True}}, "period": period, "currency": "USD"}
        return render_to_string("workloads/_worth_cards.html", context)

    assert "Residual, provider not told" in foot(named, unnamed)
    assert re.findall(r'href="/why/residual/.*?(provider.*?)"', foot(named, unnamed)) == [
        "provider=openai", "provider_told=no",
    ]  # fmt: skip


def test_value_and_net_value_leave_the_unproven_out(company: World) -> None:
    kpis = {kpi.label: kpi for kpi in log_in(company.cleo).get(PORTFOLIO).context["kpis"]}
    assert kpis["Full cost"].figure == "$2,500"
    assert kpis["Value"].figure == "$5,535"
    assert kpis["Net value"].figure == "$2,480"
    assert kpis["Net value"].strong == "$2.23"


def test_the_picture_has_a_link_for_each_workload_with_a_value(company: World) -> None:
    body = log_in(company.cleo).get(PORTFOLIO).content.decode()
    wide = re.search(r'<svg class="tg-map".*?</svg>', body, re.DOTALL)
    assert wide
    assert wide.group().count("<a class") == 2
    assert "Labels: stop, costs $0.0800 and is worth $0.0150" in wide.group()
    assert "Not drawn: 1 unproven." in body


def test_the_list_is_filtered_and_sorted_by_worth(company: World) -> None:
    client = log_in(company.cleo)

    def names(query: str) -> list[str]:
        return [item.workload.name for item in client.get(f"{PORTFOLIO}&{query}").context["rows"]]

    assert names("verdict=stop") == ["Labels"]
    assert names("verdict=unproven") == ["Notes"]
    assert names("sort=net") == ["Labels", "Ticket summaries", "Notes"]
    assert names("sort=-value") == ["Ticket summaries", "Labels", "Notes"]
    assert names("sort=verdict") == ["Labels", "Notes", "Ticket summaries"]


def test_rows_add_up_to_their_total_where_a_value_is_unproven(company: World) -> None:
    few = make_ledger(company, "Drafts")
    spend(few, 5)
    attested(few)
    came_out(few, 20, 20)  # worth 12.00, but 30 outputs are needed
    settle()
    page = log_in(company.cleo).get(PORTFOLIO)
    shown = {item.workload.name: item.entry.worth for item in page.context["rows"]}
    assert (shown["Drafts"].verdict, shown["Drafts"].value, shown["Drafts"].net) == ("unproven", None, None)
    total = page.context["column_sums"]
    assert sum(worth.value for worth in shown.values() if worth.value is not None) == total["value"] == 5535
    assert sum(worth.net for worth in shown.values() if worth.net is not None) == total["net"] == 2480


def test_nobody_is_over_a_budget_that_nobody_set(company: World) -> None:
    page = log_in(company.cleo).get(f"{PORTFOLIO}&over=1")
    assert page.status_code == 200
    assert page.context["rows"] == []
    assert "No workload fits these filters" in page.content.decode()


def test_the_budgets_of_a_filter_come_to_what_the_page_of_budgets_says(company: World) -> None:
    """2,400 of 2,940 and 80 of 160 are spent; the 20 of the notes have no budget and are no part of it."""
    client = log_in(company.ada)
    assert client.get(PORTFOLIO).context["column_sums"]["burn"] is None  # nobody has one: no share, and not 0%
    for name, amount in (("Ticket summaries", 2940), ("Labels", 160)):
        set_budget(actor=MACHINE, owner=Workload.objects.get(name=name), month=OCTOBER, amount=Decimal(amount))
    page = client.get(PORTFOLIO)
    assert page.context["column_sums"]["burn"] == Decimal("0.8")
    assert page.context["column_sums"]["burn"] == client.get("/budgets/?month=2026-10").context["totals"].ratio
    foot = page.content.decode().split("<tfoot>")[-1]
    assert '<span class="tg-limit__percent">80%</span>' in foot
    assert client.get(f"{PORTFOLIO}&verdict=stop").context["column_sums"]["burn"] == Decimal("0.5")
    assert client.get(f"{PORTFOLIO}&q=nothing").context["column_sums"]["burn"] is None
    answer = client.get(f"{PORTFOLIO}&cols=burn,spend&format=csv")
    *_, total = csv.DictReader(io.StringIO(b"".join(answer).decode("utf-8-sig")))
    assert (Decimal(total["Budget used"]), Decimal(total["What it may spend in the month (USD)"])) == (
        Decimal("0.8"),
        3100,
    )
    labels = Workload.objects.filter(name="Labels")
    labels.update(business_owner=company.eve, technical_owner=company.eve, budget_owner=company.eve)
    theirs = log_in(company.eve).get(PORTFOLIO).context["column_sums"]
    assert (theirs["burn"], theirs["spend"]) == (Decimal("0.5"), 160)  # of what else there is they see no money


def test_budgets_of_which_some_spending_is_unknown_come_to_no_share_without_a_mark(world: World) -> None:
    """900 of 1,000 are spent of one; the other's 1,000 have bought what has no price."""
    company = Company(world)
    chat, search = make_workload("Chat", world), make_workload("Search", world)
    company.spend(chat, 900, at(3))
    company.spend(search, 4, at(3), offering=make_offering("nobody", "unheard-of"))
    rate_all()
    for owner in (chat, search):
        set_budget(actor=MACHINE, owner=owner, month=OCTOBER, amount=Decimal(1000))
    client = log_in(world.ada)

    def foot(query: str) -> str:
        return client.get(f"{PORTFOLIO}&cols=burn{query}").content.decode().split("<tfoot>")[-1].split("</tfoot>")[0]

    assert '<span class="tg-limit__percent">45%</span>' in foot("")
    assert "and what is unknown" in foot("")
    assert "and what is unknown" not in foot("&q=Chat")
    assert "tg-limit__percent" not in foot("&q=Search")
    *_, total = csv.DictReader(
        io.StringIO(b"".join(client.get(f"{PORTFOLIO}&cols=burn&format=csv")).decode("utf-8-sig"))
    )
    assert total["Budget used"] == ""


def test_a_budget_of_which_some_spending_is_unknown_says_so_beside_its_share_and_in_the_file(world: World) -> None:
    """820 of 1,000 are spent of one and what has no price; 500 of 1,000 of the other."""
    company = Company(world)
    chat, search = make_workload("Chat", world), make_workload("Search", world)
    company.spend(chat, 820, at(3))
    company.spend(chat, 4, at(3), offering=make_offering("nobody", "unheard-of"))
    company.spend(search, 500, at(3))
    rate_all()
    for owner in (chat, search):
        set_budget(actor=MACHINE, owner=owner, month=OCTOBER, amount=Decimal(1000))
    client = log_in(world.ada)

    cells = {row.workload.name: str(row.cells) for row in client.get(f"{PORTFOLIO}&cols=burn").context["rows"]}
    assert '<span class="tg-limit__percent">82%</span></span><span class="tg-meta' in cells["Chat"]
    assert "and what is unknown" in cells["Chat"]
    assert '<span class="tg-limit__percent">50%</span>' in cells["Search"]
    assert "and what is unknown" not in cells["Search"]
    answer = client.get(f"{PORTFOLIO}&cols=burn&sort=name&format=csv")
    rows = list(csv.DictReader(io.StringIO(b"".join(answer).decode("utf-8-sig"))))
    assert [row["Left out of the budget used"] for row in rows] == ["usage without a price", "", "what is unknown"]
    assert [Decimal(row["Budget used"]) for row in rows[:2]] == [Decimal("0.82"), Decimal("0.5")]


def test_a_cost_of_which_some_is_unknown_says_so_in_the_total_and_in_the_file(world: World) -> None:
    company = Company(world)
    chat, search = make_workload("Chat", world), make_workload("Search", world)
    company.spend(chat, 820, at(3))
    company.spend(chat, 4, at(3), offering=make_offering("nobody", "unheard-of"))
    company.spend(search, 500, at(3))
    rate_all()
    client = log_in(world.ada)

    def foot(query: str) -> str:
        return client.get(f"{PORTFOLIO}&cols=cost{query}").content.decode().split("<tfoot>")[-1].split("</tfoot>")[0]

    assert "$1,320" in foot("")
    assert "and what is unknown" in foot("")
    assert "and what is unknown" not in foot("&q=Search")
    answer = client.get(f"{PORTFOLIO}&cols=cost&sort=name&format=csv")
    rows = list(csv.DictReader(io.StringIO(b"".join(answer).decode("utf-8-sig"))))
    assert [(Decimal(row["Full cost (USD)"]), row["Left out of the cost"]) for row in rows] == [
        (820, "usage without a price"),
        (500, ""),
        (1320, "usage without a price"),
    ]


def test_the_file_holds_what_the_page_shows(company: World) -> None:
    answer = log_in(company.cleo).get(f"{PORTFOLIO}&format=csv")
    rows = {row["Workload"]: row for row in csv.DictReader(io.StringIO(b"".join(answer).decode("utf-8-sig")))}
    assert Decimal(rows["Labels"]["Net value (USD)"]) == -65
    assert rows["Labels"]["Verdict"] == "stop"
    assert rows["Notes"]["Value (USD)"] == ""
    assert Decimal(rows["All 3 workloads"]["Net value (USD)"]) == 2480


def test_whoever_sees_no_money_sees_no_worth(company: World) -> None:
    page = log_in(company.eve).get(PORTFOLIO)
    assert page.context["worth"] is None
    assert "tg-map" not in page.content.decode()
    # A filter by verdict must not tell what the page does not.
    assert len(log_in(company.eve).get(f"{PORTFOLIO}&verdict=stop").context["rows"]) == 3


def test_other_periods_than_a_month_have_no_verdicts(company: World) -> None:
    page = log_in(company.cleo).get("/workloads/?from=2026-10-01&to=2026-10-20")
    assert page.context["worth"] is None
    assert "Verdict" not in [head.label for head in page.context["heads"]]


def test_marks_stand_on_their_side_of_the_break_even_line() -> None:
    spots = [
        Spot("Winner", "/w", "scale", Decimal("0.03"), Decimal("0.70"), Decimal(5000), "w"),
        Spot("Loser", "/l", "stop", Decimal("0.08"), Decimal("0.0167"), Decimal(19000), "l"),
        Spot("Free", "/f", "keep", Decimal(0), Decimal(1), Decimal(0), "f"),
    ]
    drawn = value_map(spots, currency="USD", width=780, height=372)
    assert [mark.spot.name for mark in drawn.marks] == ["Loser", "Winner"]
    assert drawn.even is not None
    x1, y1, x2, y2 = drawn.even
    for mark in drawn.marks:
        on_line = y1 + (mark.x - x1) / (x2 - x1) * (y2 - y1)
        assert (mark.y < on_line) == (mark.spot.name == "Winner")
    assert drawn.marks[0].r > drawn.marks[1].r
    assert all(mark.label for mark in drawn.marks)


def test_the_range_of_the_value_is_of_the_same_workloads_as_the_value(company: World) -> None:
    few = make_ledger(company, "Drafts")
    spend(few, 5)
    attested(few)
    came_out(few, 20, 20)  # unproven, so that its 7.50 to 17.50 are in no end either
    settle()
    kpis = {kpi.label: kpi for kpi in log_in(company.cleo).get(PORTFOLIO).context["kpis"]}
    # Ticket summaries 3,450 to 8,050, Labels 15 in each case.
    assert kpis["Value"].context == "between $3.46k and $8.06k"


def test_the_picture_says_what_it_leaves_out_and_why(company: World) -> None:
    useless = make_ledger(company, "Useless")
    spend(useless, 40)
    attested(useless)
    came_out(useless, 100, 0)
    settle()
    page = log_in(company.cleo).get(PORTFOLIO)
    assert "Not drawn: 1 unproven, 1 without a useful output." in page.content.decode()
    assert {row.label: row.count for row in page.context["worth"]["by_verdict"]}["Stop"] == 2


def test_the_sums_lead_down_to_verdicts_workloads_and_their_own_proofs(company: World) -> None:
    client = log_in(company.cleo)
    kpis = {kpi.label: kpi for kpi in client.get(PORTFOLIO).context["kpis"]}
    top = client.get(kpis["Net value"].why)
    assert top.context["figure"] == "$2,480.00"
    assert [(line.label, line.text) for line in top.context["terms"]] == [
        ("Value", "$5,535.00"), ("Review cost", "$575.00"), ("Full cost", "$2,480.00"),
    ]  # fmt: skip
    keep = next(line for line in top.context["lines"] if line.label == "Keep, 1")
    assert keep.text == "$2,545.00"
    below = client.get(keep.href)
    assert [(line.label, line.text) for line in below.context["lines"]] == [("Ticket summaries", "$2,545.00")]
    assert client.get(below.context["lines"][0].href).context["figure"] == "$2,545.00"
    part = client.get(kpis["Value"].why, headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in part
    assert "$5,535.00" in part
    assert client.get("/workloads/sums/nothing/why/?month=2026-10").status_code == 404
    assert client.get("/workloads/sums/value/why/?from=2026-10-01&to=2026-10-02").status_code == 400
    assert log_in(company.eve).get("/workloads/sums/value/why/?month=2026-10").status_code == 403


def test_figures_of_a_row_have_their_proofs(company: World) -> None:
    body = log_in(company.cleo).get(PORTFOLIO).content.decode()
    for figure in ("value", "net", "cost_per_useful", "value_per_useful"):
        assert f'href="/workloads/labels/worth/{figure}/?month=2026-10"' in body
        assert f'href="/workloads/notes/worth/{figure}/' not in body


def test_what_is_declared_is_marked_in_rows_and_files(company: World) -> None:
    declared = make_ledger(company, "Guesses")
    spend(declared, 10, requests=100)
    attested(declared)
    economics.declare_outcomes(
        actor=actor(company.ben), workload=declared.workload, month=OCTOBER, share=Decimal("0.5"),
        reviewed_share=Decimal(0), today=TODAY,
    )  # fmt: skip
    settle()
    client = log_in(company.cleo)
    assert client.get(PORTFOLIO).content.decode().count("outcomes are declared") == 1
    rows = csv.DictReader(io.StringIO(b"".join(client.get(f"{PORTFOLIO}&format=csv")).decode("utf-8-sig")))
    assert {row["Workload"]: row["Outcomes"] for row in rows} == {
        "Ticket summaries": "counted", "Labels": "counted", "Notes": "", "Guesses": "declared", "All 4 workloads": "",
    }  # fmt: skip


def test_those_who_answer_too_slowly_can_be_picked(company: World) -> None:
    EconomicsMonth.objects.filter(workload__name="Labels").update(coverage={"band": "broken"})
    page = log_in(company.cleo).get(f"{PORTFOLIO}&slow=1")
    assert [item.workload.name for item in page.context["rows"]] == ["Labels"]
    assert len(log_in(company.eve).get(f"{PORTFOLIO}&slow=1").context["rows"]) == 3


def test_a_likely_duplicate_stands_with_its_verdict_for_those_who_see_its_money(company: World) -> None:
    last = periods.previous_month(timezone.localdate().replace(day=1))
    EconomicsMonth.objects.filter(workload__slug="ticket-summaries").update(month=last)
    for person, is_theirs in ((company.ben, True), (company.eve, False)):
        client = log_in(person)
        form = client.get("/workloads/new/")["Location"]
        typed = client.post(f"{form}save/", {"name": "Ticket summaries", "output_unit": "answer"}).content.decode()
        assert "Somebody may have this already" in typed
        assert ("tg-verdict--keep" in typed) is is_theirs

"""The cost page: its figures, its filters in the URL, its files, and who sees what."""

import csv
import io
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from openpyxl import load_workbook

from apps.costs import attribution
from apps.workloads.models import WorkloadRevision
from tests.books import at, make_offering, make_workload, prices, rate_all
from tests.costs.test_signed import bill, charge
from tests.web.company import Company, make_company
from tests.world import MACHINE, World, log_in

pytestmark = pytest.mark.django_db
COSTS = "/costs/?month=2026-10"


@pytest.fixture
def company(world: World) -> Company:
    return make_company(world)


def rows(client: Client, address: str) -> list[tuple[str, Decimal]]:
    answer = client.get(f"{address}&format=csv")
    assert answer.status_code == 200, answer.content
    read = list(csv.reader(io.StringIO(b"".join(answer.streaming_content).decode())))  # type: ignore[attr-defined]
    return [(row[0], Decimal(row[2])) for row in read[1:]]


def shown(client: Client, address: str) -> Any:
    answer = client.get(address)
    assert answer.status_code == 200, answer.content
    return answer


def test_the_page_says_what_it_cost_and_that_the_parts_add_up(company: Company, world: World) -> None:
    answer = shown(log_in(world.ada), COSTS)
    kpis = {kpi.label: (kpi.figure, kpi.strong) for kpi in answer.context["kpis"]}
    assert kpis["Full cost"] == ("$87.00", "+335.0%")
    assert kpis["Workloads"][0] == "$80.00"
    assert kpis["Unallocated"] == ("$7.00", "8.0%")
    assert kpis["Bill"] == ("No bill", "")
    assert [row.name for row in answer.context["page"]] == ["Triage", "Summaries", "Unallocated"]
    assert "All: 2 workloads and unallocated" in answer.content.decode()


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", [("Triage", 50), ("Summaries", 30), ("Unallocated", 7)]),
        ("&group=component", [("Token", 67), ("Retries, failed", 20)]),
        ("&group=model", [("dollar", 87)]),
        ("&group=provider", [("own", 87)]),
        ("&group=cost_centre", [("Legal", 50), ("Care", 30), ("Unallocated", 7)]),
        ("&group=source", [("Gateway", 87)]),
        ("&group=day", [("2026-10-01", 10), ("2026-10-05", 50), ("2026-10-07", 7), ("2026-10-20", 20)]),
        ("&group=month", [("2026-10-01", 87)]),
        ("&allocated=no", [("Unallocated", 7)]),
        ("&workload=triage&group=component", [("Token", 30), ("Retries, failed", 20)]),
        ("&component=retry_failed", [("Triage", 20)]),
        ("&centre=OPS", [("Summaries", 30)]),
        ("&source=gateway&sort=name", [("Summaries", 30), ("Triage", 50), ("Unallocated", 7)]),
        ("&basis=billed", []),
    ],
)  # fmt: skip
def test_every_grouping_and_filter_stands_in_the_url(
    company: Company, world: World, query: str, expected: list[tuple[str, int]]
) -> None:
    assert rows(log_in(world.ada), COSTS + query) == expected


def test_a_range_of_days_is_compared_with_as_many_days_before(company: Company, world: World) -> None:
    answer = shown(log_in(world.ada), "/costs/?from=2026-10-05&to=2026-10-07")
    assert answer.context["kpis"][0].figure == "$57.00"
    assert answer.context["asked"].before[0].isoformat() == "2026-10-02"


def test_the_workbook_holds_numbers_and_the_same_rows(company: Company, world: World) -> None:
    answer = log_in(world.ada).get(f"{COSTS}&format=xlsx")
    sheet = load_workbook(io.BytesIO(answer.content)).active
    assert [row[:3] for row in sheet.iter_rows(min_row=2, values_only=True)] == [
        ("Triage", "Legal · answer", 50), ("Summaries", "Care · answer", 30), ("Unallocated", None, 7),
    ]  # fmt: skip


def test_htmx_gets_the_table_alone(company: Company, world: World) -> None:
    answer = log_in(world.ada).get(COSTS, headers={"HX-Request": "true"})
    assert answer.content.decode().lstrip().startswith('<div id="rows">')
    assert "HX-Request" in answer["Vary"]


def test_people_see_their_own_money_only(company: Company, world: World) -> None:
    assert rows(log_in(world.cleo), COSTS) == [("Summaries", 30), ("Unallocated", 7)]
    assert rows(log_in(world.ben), COSTS) == [("Summaries", 30)]
    assert rows(log_in(world.gus), COSTS) == [("Triage", 50)]
    assert "Unallocated" not in shown(log_in(world.ben), COSTS).content.decode()


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("workload=triage", 404),  # another's
        ("workload=nothing", 404),
        ("source=gateway", 404),  # sources are not hers to see
        ("allocated=no", 403),
        ("component=coffee", 400),
        ("group=colour", 400),
        ("basis=guess", 400),
        ("model=99999999999999999999", 404),
        ("model=x", 404),
        ("centre=NOWHERE", 404),
        ("format=pdf", 400),
        ("sort=--cost", 200),
        ("page=999", 200),
        ("page=-1", 200),
        ("from=2026-13-01", 400),
    ],
)  # fmt: skip
def test_what_is_foreign_or_nonsense_is_refused_in_words(
    company: Company, world: World, query: str, status: int
) -> None:
    answer = log_in(world.ben).get(f"/costs/?{query}")
    assert answer.status_code == status
    assert "Traceback" not in answer.content.decode()


def test_a_member_without_money_is_told_who_can_give_it(world: World) -> None:
    answer = log_in(world.eve).get("/costs/")
    assert answer.status_code == 403
    assert "Ada Moss" in answer.content.decode()


def test_an_empty_period_and_a_filter_that_hides_all_differ(company: Company, world: World) -> None:
    ada = log_in(world.ada)
    assert "No cost in this period" in shown(ada, "/costs/?month=2025-01").content.decode()
    assert "Clear the filters" in shown(ada, "/costs/?month=2026-10&component=guardrail").content.decode()


def test_what_is_uncertain_is_said_at_the_figure(company: Company, world: World) -> None:
    company.spend(None, 1, at(9), offering=make_offering("nobody", "unheard-of"))
    rate_all()
    answer = shown(log_in(world.ada), f"{COSTS}&group=model")
    marks = {row.name: [mark.label for mark in row.marks] for row in answer.context["page"]}
    assert marks["unheard-of"] == ["unpriced"]
    assert next(row for row in answer.context["page"] if row.name == "unheard-of").now.cost is None


def test_what_is_known_from_a_bill_alone_has_no_number_of_calls(company: Company, world: World, tmp_path: Path) -> None:
    workload = make_workload("Billed", world)
    WorkloadRevision.objects.create(workload=workload, version=1)
    attribution.bind(actor=MACHINE, workload=workload, pairs=[["key", "A"]])
    bill([charge(5, "9", "a", provider="Elsewhere")], tmp_path)
    rate_all()
    client = log_in(world.ada)
    calls = {row.name: (row.now.requests, row.now.tokens) for row in shown(client, COSTS).context["page"]}
    assert calls == {
        "Triage": (20, 50_000_000), "Summaries": (20, 30_000_000), "Billed": (None, None),
        "Unallocated": (10, 7_000_000),
    }  # fmt: skip
    only = f"{COSTS}&workload=billed"
    file = list(csv.reader(io.StringIO(b"".join(client.get(f"{only}&format=csv").streaming_content).decode())))  # type: ignore[attr-defined]
    assert [dict(zip(file[0], row, strict=True))["Calls"] for row in file[1:]] == [""]
    strip = {kpi.label: kpi.figure for kpi in shown(client, "/workloads/billed/?month=2026-10").context["kpis"]}
    assert (strip["Full cost"], strip["Calls"], strip["Cost per call"]) == ("$9.00", "–", "–")
    listed = shown(client, "/workloads/?month=2026-10&q=Billed")
    assert [(row.entry.row.cost, row.entry.row.calls) for row in listed.context["rows"]] == [(9, None)]


def test_the_file_and_the_chart_say_by_which_record_they_count(company: Company, world: World) -> None:
    client = log_in(world.ada)
    assert shown(client, f"{COSTS}&basis=computed").context["chart_title"] == "Computed from usage by day"
    file = b"".join(client.get(f"{COSTS}&basis=computed&format=csv").streaming_content).decode()  # type: ignore[attr-defined]
    assert "Computed from usage, USD" in file
    assert "Full cost, USD" not in file


def test_nothing_known_is_no_zero_and_no_unallocated_cost_is_one(company: Company, world: World) -> None:
    client = log_in(world.ada)
    empty = {kpi.label: kpi.figure for kpi in shown(client, "/costs/?month=2026-03").context["kpis"]}
    assert (empty["Full cost"], empty["Unallocated"]) == ("–", "–")
    claimed = {kpi.label: kpi.figure for kpi in shown(client, "/costs/?month=2026-09").context["kpis"]}
    assert (claimed["Full cost"], claimed["Unallocated"]) == ("$20.00", "$0")


def test_a_page_beyond_the_last_shows_the_first(company: Company, world: World) -> None:
    client = log_in(world.ada)
    page = shown(client, f"{COSTS}&page=99").context["page"]
    assert (page.number, [row.name for row in page]) == (1, ["Triage", "Summaries", "Unallocated"])
    assert "No use case is registered yet" not in shown(client, "/workloads/?month=2026-10&page=99").content.decode()
    assert "nobodys-key" in shown(client, "/unallocated/?month=2026-10&page=99").content.decode()


def test_bills_apart_in_two_directions_do_not_cancel_and_each_leads_to_its_proof(
    company: Company, world: World, tmp_path: Path
) -> None:
    """Calls of 87 and of 20 at two providers, of which the bill has 97 and 10: ten too much and ten too little."""
    other = make_offering("openai", "euro")
    prices(other, input="1.00", output="1.00")
    company.spend(None, 20, at(8), offering=other)
    bill([charge(5, "97", "a", provider="own"), charge(5, "10", "b", identity='[["key","B"]]')], tmp_path)
    rate_all()
    client = log_in(world.ada)
    answer = shown(client, COSTS)
    kpi = next(kpi for kpi in answer.context["kpis"] if kpi.label == "Bill for these calls")
    assert (kpi.figure, kpi.strong, kpi.tone) == ("$107", "$20.00", "bad")
    assert client.get(kpi.why).context["explained"].figure == "$20.00"
    assert answer.content.decode().count("over tolerance") == 2
    proofs = {row.bill.provider: client.get(row.why).context["explained"].figure for row in answer.context["bills"]}
    assert proofs == {"own": "$10.00", "openai": "−$10.00"}
    single = next(kpi for kpi in shown(client, f"{COSTS}&provider=own").context["kpis"] if kpi.label.startswith("Bill"))
    assert (single.figure, single.strong) == ("$97.00", "$10.00")
    portfolio = shown(client, "/workloads/?month=2026-10")
    assert portfolio.context["worth"]["rest"].bill == 107  # 107 computed, and 10 more and 10 less
    foot = re.sub(r"<.*?>", " ", portfolio.content.decode().split('class="tg-verdicts"')[1].split("<tfoot>")[1])
    labels = ("Full cost", "Residual, own", "Residual, openai", "The bill", "Verdict")
    at_first = [foot.find(label) for label in labels]
    assert at_first[0] < min(at_first[1:3])
    assert max(at_first[1:3]) < at_first[3] < at_first[4]


def test_a_bill_that_names_no_provider_leads_to_the_proof_of_its_own_calls(
    company: Company, world: World, tmp_path: Path
) -> None:
    """Calls of 87 at one provider and of 20 that name none, of which the bill has 97 and 15."""
    other = make_offering("", "nameless")
    prices(other, input="1.00", output="1.00")
    company.spend(None, 20, at(8), offering=other)
    bill([charge(5, "97", "a", provider="own"), charge(5, "15", "b", provider="", identity='[["key","B"]]')], tmp_path)
    rate_all()
    client = log_in(world.ada)
    bills = {row.bill.provider: row for row in shown(client, COSTS).context["bills"]}
    assert (bills[""].bill.residual, bills["own"].bill.residual) == (-5, 10)
    assert client.get(bills[""].why).context["explained"].figure == "−$5.00"
    assert client.get(bills["own"].why).context["explained"].figure == "$10.00"


def test_what_names_no_provider_has_a_page_and_a_proof_that_add_up_to_its_row(company: Company, world: World) -> None:
    other = make_offering("", "nameless")
    prices(other, input="1.00", output="1.00")
    company.spend(None, 20, at(8), offering=other)
    rate_all()
    client = log_in(world.ada)
    page = shown(client, f"{COSTS}&group=provider").context["page"]
    row = next(row for row in page if row.name == "No provider told")
    assert row.now.cost == 20
    assert shown(client, row.why).context["explained"].figure == "$20.00"
    assert rows(client, row.href) == [("Unallocated", 20)]
    assert client.get(f"{COSTS}&provider=own&provider_told=no").status_code == 400

"""Why this number? One address for the proof of every figure: panel, page and file."""

import csv
import io
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from apps.costs import why
from apps.web import why as why_page
from tests.books import at, make_offering, rate_all
from tests.web.company import Company, make_company
from tests.world import World, log_in

pytestmark = pytest.mark.django_db
OCTOBER = "?month=2026-10"
FIGURES = (
    "cost", "cost-per-call", "residual", "calls", "failed-share", "tokens", "unpriced", "cache-share", "latency",
)  # fmt: skip


@pytest.fixture
def company(world: World) -> Company:
    return make_company(world)


def explained(client: Client, address: str) -> Any:
    answer = client.get(address)
    assert answer.status_code == 200, answer.content
    return answer.context["explained"]


def test_a_figure_is_explained_from_the_sum_down_to_the_files(company: Company, world: World) -> None:
    answer = log_in(world.ada).get(f"/why/cost/{OCTOBER}&workload=triage")
    body = answer.content.decode()
    assert answer.context["explained"].figure == "$50.00"
    assert [table.title for table in answer.context["explained"].tables] == ["Inputs", "By price"]
    for words in ("Retries, failed", "dollar, input", "50.00", "triage-key", "log.csv", "9f3c9f3c"):
        assert words in body


def test_the_file_adds_up_to_the_figure_to_the_last_digit(company: Company, world: World) -> None:
    answer = log_in(world.ada).get(f"/why/cost/{OCTOBER}&format=csv")
    read = list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))  # type: ignore[attr-defined]
    assert sum(Decimal(row["Amount in the organisation's currency"]) for row in read) == Decimal(
        "87.000000000000000000"
    )
    assert list(read[0]) == list(why.EXPORT_COLUMNS)


@pytest.mark.parametrize(
    ("figure", "expected"),
    [
        ("cost", "$30.00"),
        ("cost-per-call", "$1.50"),  # 30 over 20 delivered calls
        ("calls", "20"),
        ("failed-share", "0.0%"),
        ("tokens", "30,000,000"),
        ("cache-share", "0.0%"),
        ("latency", "2 to 2.5 s"),  # 180 of 200 calls took up to 1.5 s, the others 2 to 2.5 s
        ("residual", "No bill"),
    ],
)
def test_every_figure_of_a_workload_has_a_proof(company: Company, world: World, figure: str, expected: str) -> None:
    assert explained(log_in(world.ben), f"/why/{figure}/{OCTOBER}&workload=summaries").figure == expected


def test_the_panel_is_the_page_s_own_part(company: Company, world: World) -> None:
    client, address = log_in(world.ada), f"/why/cost/{OCTOBER}&component=token"
    panel = client.get(address, headers={"HX-Request": "true"}).content.decode()
    page = client.get(address).content.decode()
    assert panel.lstrip().startswith('<div class="tg-panel__head">')
    assert "<html" not in panel
    assert "Why this number?" in page
    assert "<h1" not in panel


def test_a_figure_too_large_to_take_apart_names_its_parts(
    company: Company, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(why, "MOST_LINES", 1)
    client = log_in(world.ada)
    table = explained(client, f"/why/cost/{OCTOBER}").tables[0]
    assert [line.name for line in table.lines] == ["Triage", "Summaries", "Unallocated"]
    for line in table.lines:
        assert client.get(line.href).status_code == 200
    days = explained(client, f"/why/cost/{OCTOBER}&workload=summaries").tables[0]
    assert [client.get(line.href).context["explained"].figure for line in days.lines] == ["$20.00", "$10.00"]


def test_the_parts_that_are_not_named_are_summed_so_that_all_add_up(
    company: Company, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(why, "MOST_LINES", 1)
    monkeypatch.setattr(why_page, "PARTS", 1)
    table = explained(log_in(world.ada), f"/why/cost/{OCTOBER}").tables[0]
    assert [(line.name, [str(cell) for cell in line.cells]) for line in table.lines] == [
        ("Triage", ["$50.00"]), ("The other 2", ["$37.00"]),
    ]  # fmt: skip
    assert [str(cell) for cell in table.total] == ["Sum", "$87.00"]


def test_the_file_of_a_figure_without_a_period_is_there(company: Company, world: World) -> None:
    client = log_in(world.ada)
    file = client.get("/why/cost/").context["file"]
    assert file == "/why/cost/?format=csv"
    assert client.get(file).status_code == 200


def test_tokens_without_a_price_are_named_by_model(company: Company, world: World) -> None:
    company.spend(None, 3, at(9), offering=make_offering("nobody", "unheard-of"))
    rate_all()
    found = explained(log_in(world.ada), f"/why/unpriced/{OCTOBER}")
    assert (found.figure, [(line.name, *line.cells) for line in found.tables[0].lines]) == (
        "3,000,000", [("unheard-of", "3,000,000")],
    )  # fmt: skip


@pytest.mark.parametrize("figure", FIGURES)
def test_foreign_money_is_not_there(company: Company, world: World, figure: str) -> None:
    assert log_in(world.ben).get(f"/why/{figure}/{OCTOBER}&workload=triage").status_code == 404
    assert log_in(world.eve).get(f"/why/{figure}/{OCTOBER}&workload=summaries").status_code == 404


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/why/coffee/?month=2026-10", 404),
        ("/why/latency/?month=2026-10", 400),  # known for one workload at a time
        ("/why/cost/?month=October", 400),
        ("/why/cost/?month=2026-10&format=pdf", 400),
        ("/why/cost/?month=2026-10&component=coffee", 400),
        ("/why/cost-per-call/?month=2020-01", 200),  # no calls: unknown, no division by zero
        ("/why/failed-share/?month=2020-01", 200),
    ],
)
def test_nonsense_is_refused_in_words(company: Company, world: World, address: str, status: int) -> None:
    assert log_in(world.ada).get(address).status_code == status

"""Examples C, D and E of the ledger: the page, the API, the pack and the CSV say the same, signed and restated."""

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import Person, Role
from apps.core import organisation
from apps.costs import attribution
from apps.economics import services as economics
from apps.reviews.models import Cycle
from apps.workloads.models import Workload
from tests.books import at, make_offering, make_source, make_workload, prices
from tests.economics.ledger import Ledger, attested, came_out
from tests.reviews.meeting import NOVEMBER, NOW, OCTOBER, Meeting
from tests.reviews.test_statement import IN_DECEMBER, IN_NOVEMBER, load, review, settle, sign
from tests.rights.cast import make_token
from tests.world import MACHINE, World, actor, give, log_in, make_member

SIX = Decimal("0.000001")


@dataclass(frozen=True)
class Said:
    """What one of the four says of a workload's month; `each` is the cost of a useful output, to six places."""

    cost: Decimal
    each: Decimal
    net: Decimal | None
    verdict: str


def six(amount: Decimal) -> Decimal:
    return amount.quantize(SIX)


def money(text: Any) -> Decimal | None:
    return None if text in (None, "") else Decimal(str(text))


def on_page(client: Client, workload: Workload, month: date, *, signed: bool = False) -> Said:
    found = client.get(f"/workloads/{workload.slug}/value/?month={month:%Y-%m}").context["found"]
    side = found.signed if signed else found.now
    net = side.appraisal.net.base if side.appraisal.net else None
    return Said(side.cost, six(side.appraisal.cost_per_useful), net, side.verdict.word.value)


def by_api(person: Person, workload: Workload, month: date, *, signed: bool = False) -> Said:
    headers = {"Authorization": f"Bearer {make_token(person)}"}
    answer = Client().get(f"/api/v1/economics/?month={month:%Y-%m}&workload={workload.slug}", headers=headers).json()
    (row,) = answer["rows"]
    side = row["signed"] if signed else row
    net = money(side["net"]["base"]) if side["net"] else None
    return Said(Decimal(side["cost"]), six(Decimal(side["cost_per_useful_output"])), net, side["verdict"]["word"])


def in_pack(workload: Workload, month: date) -> Said:
    contents = json.loads(Cycle.objects.get(month=month).packs.latest("revision").body)
    (row,) = [row for row in contents["workloads"] if row["id"] == workload.pk]
    cost = Decimal(row["cost"])
    return Said(cost, six(cost / Decimal(row["useful"])), money(row["net"]), row["verdict"])


def in_csv(client: Client, workload: Workload, month: date) -> Said:
    rows = read(client, f"/workloads/?month={month:%Y-%m}&format=csv")
    row = next(row for row in rows if row["Workload"] == workload.name)
    each = six(Decimal(row["Full cost per useful output (USD)"]))
    return Said(Decimal(row["Full cost (USD)"]), each, money(row["Net value (USD)"]), row["Verdict"])


def read(client: Client, address: str) -> list[Mapping[str, str]]:
    return list(csv.DictReader(io.StringIO(b"".join(client.get(address)).decode("utf-8-sig"))))


def test_examples_c_and_d_are_the_same_for_all_four(meeting: Meeting) -> None:
    cycle = meeting.open(now=NOW)
    meeting.decide_all(cycle)
    meeting.sign(cycle)
    cleo, workload = meeting.world.cleo, meeting.summaries.workload
    client = log_in(cleo)

    said = Said(Decimal(2400), Decimal("0.260870"), Decimal(2545), "keep")
    assert on_page(client, workload, OCTOBER) == said
    assert on_page(client, workload, OCTOBER, signed=True) == said
    assert by_api(cleo, workload, OCTOBER) == said
    assert by_api(cleo, workload, OCTOBER, signed=True) == said
    assert in_pack(workload, OCTOBER) == said
    assert in_csv(client, workload, OCTOBER) == said


@pytest.fixture
def copilot(world: World, tmp_path: Path) -> Workload:
    """October signed with 1,000 and 5,000 useful; then 120 and 300 of October, and November's own 900 and 4,500."""
    organisation.get()
    nora = make_member("Nora Quist")
    give(nora, Role.REVIEWER, by=world.ada)
    workload = make_workload("Copilot", world)
    prices(make_offering("openai", "own-model"), input="1.00", output="1.00")
    attribution.bind(actor=MACHINE, workload=workload, pairs=[["key", "A"]])
    grade = economics.add_grade_with_rate(actor=MACHINE, name="Agent", hourly=Decimal(30), valid_from=date(2020, 1, 1))
    ledger = Ledger(world, workload, None, None, grade)  # type: ignore[arg-type]
    source = make_source("Gateway")
    attested(ledger)
    load(source, 1000, at(5), tmp_path, "october")
    came_out(ledger, 5000, 5000, 0)
    settle(IN_NOVEMBER.date())
    sign(nora, review(nora, OCTOBER, IN_NOVEMBER), IN_NOVEMBER)
    load(source, 120, at(20), tmp_path, "late")
    came_out(ledger, 5300, 5300, 0)
    load(source, 900, at(3, month=11), tmp_path, "november")
    settle(date(2026, 11, 20))
    economics.record_outcomes(actor=actor(world.ben), entries=[month_of_november(workload)], today=IN_DECEMBER.date())
    settle(IN_DECEMBER.date())
    return workload


def month_of_november(workload: Workload) -> economics.OutcomeEntry:
    return economics.OutcomeEntry(workload, NOVEMBER, date(2026, 12, 1), 4500, 4500, 0)


def test_example_e_is_the_same_for_all_four(copilot: Workload, world: World) -> None:
    client = log_in(world.cleo)
    # Minutes 2 x 30 an hour x 0.6: each useful output is worth 0.60.
    signed = Said(Decimal(1000), Decimal("0.200000"), Decimal(2000), "scale")
    restated = Said(Decimal(1120), Decimal("0.211321"), Decimal(2060), "scale")
    november = Said(Decimal(900), Decimal("0.200000"), Decimal(1800), "scale")

    assert on_page(client, copilot, OCTOBER, signed=True) == signed
    assert by_api(world.cleo, copilot, OCTOBER, signed=True) == signed
    assert in_pack(copilot, OCTOBER) == signed

    assert on_page(client, copilot, OCTOBER) == restated
    assert by_api(world.cleo, copilot, OCTOBER) == restated
    assert in_csv(client, copilot, OCTOBER) == restated

    assert on_page(client, copilot, NOVEMBER) == november
    assert by_api(world.cleo, copilot, NOVEMBER) == november
    assert in_csv(client, copilot, NOVEMBER) == november


def test_the_statement_of_example_e_shows_900_and_120_apart(copilot: Workload, world: World) -> None:
    rows = read(log_in(world.cleo), f"/reviews/statements/{world.care.pk}/?month=2026-11&format=csv")
    told = [(row["What"], row["Used in"], Decimal(row["Amount"])) for row in rows]
    assert told == [
        ("own cost", "2026-11-01", 900),
        ("sum", "", 900),
        ("restated", "2026-10-01", 120),
        ("sum", "", 120),
        ("total", "", 1020),
    ]


def test_the_proof_of_octobers_cost_says_what_was_signed_and_what_came_late(copilot: Workload, world: World) -> None:
    answer = log_in(world.cleo).get("/why/cost/?month=2026-10&workload=copilot")
    (table,) = [table for table in answer.context["explained"].tables if table.title == "Signed and restated"]
    assert [(line.name, str(line.cells[0]), line.note) for line in table.lines] == [
        ("As it was signed", "$1,000.00", ""),
        ("October 2026, late data", "$120.00", "booked in November 2026"),
    ]
    assert [str(cell) for cell in table.total] == ["Restated", "$1,120.00"]

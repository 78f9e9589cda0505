"""Why this number? Of an import's result: every figure leads down to its file, keys, models, hours and prices."""

import csv
import io
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.costs import attribution, imports, why_import
from apps.sources import services as sources
from apps.sources.models import Pull
from tests.books import make_offering, make_workload, prices
from tests.world import MACHINE, World, log_in

LOG = "time,usage_key,provider,model,input_tokens,cached_input_tokens,output_tokens\n"
ROWS = (
    "2026-10-01T00:10:00Z,triage-key,own,dollar,1000000,0,2000000\n"
    "2026-10-01T00:20:00Z,triage-key,own,dollar,1000000,400000,0\n"
    "2026-10-01T05:00:00Z,letters-key,own,dollar,500000,0,0\n"
    "2026-10-02T05:00:00Z,nobody-key,own,dollar,1500000,0,0\n"
    "2026-10-02T05:00:00Z,nobody-key,own,riddle,70,0,5\n"
    "not a time,nobody-key,own,dollar,1,0,1\n"
)
BILL = "ChargePeriodStart,ChargePeriodEnd,ChargeCategory,ServiceCategory,SkuMeter,BilledCost,EffectiveCost,"
BILL += "BillingCurrency,SubAccountId\n"
ROWS_OF_BILL = (
    "2024-11-15 00:00:00,2024-11-16 00:00:00,Usage,AI and Machine Learning,Models,100,90,EUR,acc\n"
    "2024-11-15 00:00:00,2024-11-16 00:00:00,Usage,Storage,Disks,7,7,EUR,acc\n"
)


@pytest.fixture
def pull(world: World, tmp_path: Path) -> Pull:
    """4 calls at a dollar a million and one without a price: 3 + 1 for Triage, 0.5 for Letters, 1.5 for nobody."""
    prices(make_offering("own", "dollar"), input="1.00", cached="1.00", output="1.00")
    make_offering("own", "riddle")
    bound = {"triage-key": make_workload("Triage", world)}
    bound["letters-key"] = make_workload("Letters", world, cost_centre=world.legal)
    for key, workload in bound.items():
        attribution.bind(actor=MACHINE, workload=workload, pairs=[["key", key]])
    return load(tmp_path / "log.csv", LOG + ROWS)


def load(path: Path, text: str, *, format_: str = "requests") -> Pull:
    path.write_text(text)
    source, _ = sources.find_or_create(actor=MACHINE, slug="gateway")
    part = sources.ensure_part(actor=MACHINE, source=source, name=path.name)
    asked = sources.request_pull(actor=MACHINE, part=part, format=format_, file_path=str(path))
    done = imports.run(asked.pk)
    assert done is not None
    assert done.state == "done", done.error
    return done


def explained(client: Client, pull: Pull, figure: str) -> Any:
    answer = client.get(f"/imports/{pull.pk}/why/{figure}/")
    assert answer.status_code == 200, answer.content
    return answer.context


def rows_of(client: Client, pull: Pull, figure: str) -> list[dict[str, str]]:
    answer = client.get(f"/imports/{pull.pk}/why/{figure}/?format=csv")
    return list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))  # type: ignore[attr-defined]


def cells(table: Any) -> list[tuple[str, ...]]:
    return [(line.name, *map(str, line.cells)) for line in table.lines]


def test_the_cost_of_an_import_is_proven_down_to_keys_models_prices_and_the_file(world: World, pull: Pull) -> None:
    found = explained(log_in(world.ada), pull, "cost")
    keys, models, by_price = found["explained"].tables
    assert found["explained"].figure == "$6.00"
    assert cells(keys) == [("triage-key", "$4.00"), ("nobody-key", "$1.50"), ("letters-key", "$0.50")]
    assert [line.note for line in keys.lines] == ["Triage", "nobody claims it", "Letters"]
    assert cells(models) == [("dollar", "$6.00"), ("riddle", "–")]
    assert models.lines[1].note == "own, 75 tokens without a price"
    assert [str(table.total[-1]) for table in (keys, models, by_price)] == ["$6.00"] * 3
    assert cells(by_price)[0] == ("dollar, input", "3.10", "$1.00", "$3.10")
    assert (found["changed"], found["proof"].is_exact, found["proof"].hours) == ("", True, 4)
    [file] = found["proof"].pulls
    assert (file.part, file.digest, file.rows) == ("log.csv", pull.digest, 6)


def test_the_file_of_the_proof_adds_up_to_the_figure(world: World, pull: Pull) -> None:
    for figure, amount, keys in (
        ("cost", Decimal(6), {"triage-key", "letters-key", "nobody-key"}),
        ("unallocated", Decimal("1.50"), {"nobody-key"}),
    ):
        read = rows_of(log_in(world.ada), pull, figure)
        assert sum(Decimal(row["Amount in the organisation's currency"] or 0) for row in read) == amount
        assert {row["Usage key"] for row in read} == keys
    assert (Decimal(pull.totals["computed_cost"]), Decimal(pull.totals["unallocated_cost"])) == (6, Decimal("1.50"))


def test_calls_tokens_and_hours_of_an_import_add_up_by_key_and_model(world: World, pull: Pull) -> None:
    client = log_in(world.ada)
    sums = {"requests": ("5", "6 − 1"), "input-tokens": ("4,000,070", "3,600,070 + 400,000"), "written": ("4", "4 − 0")}
    for figure, (number, formula) in sums.items():
        found = explained(client, pull, figure)
        told = found["explained"]
        assert told.figure == number
        assert " ".join(f"{term.sign} {term.figure}".strip() for term in told.formula) == formula
        assert [table.total[-1] for table in told.tables] == [number, number]
        assert found["changed"] == ""
    by_key = explained(client, pull, "requests")["explained"].tables[0]
    assert sorted(cells(by_key)) == [("letters-key", "1"), ("nobody-key", "2"), ("triage-key", "2")]
    assert sum(int(row["Requests"]) for row in rows_of(client, pull, "requests")) == 5


def test_what_moved_since_an_import_ended_is_said_beside_its_figures(world: World, pull: Pull, tmp_path: Path) -> None:
    load(tmp_path / "log.csv", LOG + ROWS.replace("1500000", "2500000"))
    client = log_in(world.ada)
    answer = client.get(f"/imports/{pull.pk}/why/cost/")
    assert answer.context["explained"].figure == "$6.00"
    assert str(answer.context["explained"].tables[0].total[-1]) == "$7.00"
    assert "Since this import ended its part was read again" in answer.content.decode()
    assert explained(client, pull, "written")["changed"] == ""  # what was replaced was written all the same


def test_an_import_that_was_priced_after_its_part_was_read_again_says_whose_cost_it_tells(
    world: World, pull: Pull, tmp_path: Path
) -> None:
    """The worker died between writing and pricing it, and the corrected file came before the sweep."""
    priced = ("in_scope_cost", "computed_cost", "unallocated_cost", "unallocated_share")
    totals = {name: value for name, value in pull.totals.items() if name not in priced}
    earlier = timezone.now() - timedelta(days=1)
    Pull.objects.filter(pk=pull.pk).update(totals=totals, progress={"stage": "pricing"}, finished_at=earlier)
    again = load(tmp_path / "log.csv", LOG + ROWS.replace("1500000", "2500000"))

    imports.sweep()

    pages = [" ".join(log_in(world.ada).get(f"/imports/{of.pk}/").content.decode().split()) for of in (pull, again)]
    assert [imports.PRICED_LATE in page for page in pages] == [True, False]
    assert ["$7.00" in page for page in pages] == [True, True]


def test_a_bill_is_proven_in_its_own_currency_and_in_the_organisation_s(world: World, tmp_path: Path) -> None:
    """1 EUR was 1.0583 USD on 15 November 2024; storage is out of scope."""
    bill = load(tmp_path / "bill.csv", BILL + ROWS_OF_BILL, format_="focus")
    client = log_in(world.ada)
    billed = explained(client, bill, "billed")
    assert (billed["explained"].figure, billed["changed"]) == ("€107.00", "")
    assert sorted(cells(billed["explained"].tables[0])) == [("Disks", "1", "€7.00"), ("Models", "1", "€100.00")]
    cost = explained(client, bill, "cost")
    assert (cost["explained"].figure, cost["changed"], cost["proof"].is_exact) == ("$95.247", "", True)
    assert cells(cost["explained"].tables[-1]) == [("gateway: Models", "1", "€90.00", "$95.25")]
    assert explained(client, bill, "unallocated")["explained"].figure == "100.0%"
    assert explained(client, bill, "written")["explained"].figure == "2"
    amounts = [Decimal(row["Amount in the organisation's currency"]) for row in rows_of(client, bill, "cost")]
    assert amounts == [Decimal("95.247")]


def test_whoever_sees_no_money_gets_calls_and_no_cost(world: World, pull: Pull) -> None:
    engineer = log_in(world.dan)
    assert engineer.get(f"/imports/{pull.pk}/why/requests/").status_code == 200
    assert engineer.get(f"/imports/{pull.pk}/why/cost/").status_code == 403
    assert engineer.get(f"/imports/{pull.pk}/why/cost/?format=csv").status_code == 403
    assert log_in(world.eve).get(f"/imports/{pull.pk}/why/requests/").status_code == 404
    by_key = explained(engineer, pull, "requests")["explained"].tables[0]
    assert sorted(cells(by_key)) == [("keys that you may not see", "2"), ("letters-key", "1"), ("triage-key", "2")]
    read = rows_of(engineer, pull, "requests")
    assert (read[-1]["Usage key"], read[-1]["Requests"]) == ("keys that you may not see", "2")
    assert "nobody-key" not in {row["Usage key"] for row in read}


def test_the_cost_of_workloads_elsewhere_is_one_line_without_names(world: World, pull: Pull) -> None:
    """Letters belongs to Legal, which Cleo of Operations does not see."""
    keys = explained(log_in(world.cleo), pull, "cost")["explained"].tables[0]
    assert cells(keys)[-1] == ("Keys of workloads that you may not see", "$0.50")
    assert str(keys.total[-1]) == "$6.00"
    assert b"letters-key" not in log_in(world.cleo).get(f"/imports/{pull.pk}/why/cost/").content
    read = rows_of(log_in(world.cleo), pull, "cost")
    assert (read[-1]["Workload"], read[-1]["Usage key"]) == ("workloads that you may not see", "")
    assert "Letters" not in {row["Workload"] for row in read}
    assert sum(Decimal(row["Amount in the organisation's currency"] or 0) for row in read) == 6


def test_two_workloads_of_one_name_are_told_apart_by_who_may_see_them(world: World, tmp_path: Path) -> None:
    """Cleo sees the Chat of Care, and not that of Legal."""
    prices(make_offering("own", "dollar"), input="1.00", cached="1.00", output="1.00")
    chats = {
        "care-key": make_workload("Chat", world),
        "legal-key": make_workload("Chat", world, slug="chat-of-legal", cost_centre=world.legal),
    }
    for key, workload in chats.items():
        attribution.bind(actor=MACHINE, workload=workload, pairs=[["key", key]])
    rows = (
        "2026-10-01T00:10:00Z,care-key,own,dollar,3000000,0,0\n2026-10-01T00:10:00Z,legal-key,own,dollar,500000,0,0\n"
    )
    read = rows_of(log_in(world.cleo), load(tmp_path / "log.csv", LOG + rows), "cost")
    told = [(row["Workload"], row["Usage key"], Decimal(row["Amount in the organisation's currency"])) for row in read]
    assert told == [("Chat", "care-key", Decimal(3)), ("workloads that you may not see", "", Decimal("0.5"))]


def test_calls_of_which_a_file_says_nothing_add_up_to_no_number(world: World, tmp_path: Path) -> None:
    """Hours of a GPU alone: nobody knows how many calls they served."""
    attribution.bind(actor=MACHINE, workload=make_workload("Triage", world), pairs=[["key", "triage-key"]])
    text = "period_start,usage_key,provider,model,gpu_seconds,gpu_busy_seconds\n"
    text += "2026-10-01 00:00,triage-key,own,llama,3600,1800\n2026-10-01 00:00,nobody-key,own,llama,3600,0\n"
    pull = load(tmp_path / "hours.csv", text, format_="usage")
    found = explained(log_in(world.ada), pull, "requests")["explained"]
    assert found.figure == "–"
    assert [(table.lines, table.total) for table in found.tables] == [([], ["Sum", "–"])] * 2
    told = {row["Usage key"]: row["Requests"] for row in rows_of(log_in(world.dan), pull, "requests")}
    assert told == {"triage-key": "", "keys that you may not see": ""}


def test_the_result_leads_to_each_proof_and_an_undone_import_to_none(world: World, pull: Pull) -> None:
    client = log_in(world.ada)
    page = client.get(f"/imports/{pull.pk}/").content.decode()
    for figure in ("requests", "written", "input-tokens", "cost", "unallocated"):
        assert f'href="/imports/{pull.pk}/why/{figure}/" hx-get' in page
    part = client.get(f"/imports/{pull.pk}/why/cost/", headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in part
    assert "data-tg-close-panel" in part
    assert client.get(f"/imports/{pull.pk}/why/billed/").status_code == 404
    imports.undo(actor=MACHINE, pull=pull)
    assert f"/imports/{pull.pk}/why/" not in client.get(f"/imports/{pull.pk}/").content.decode()
    assert client.get(f"/imports/{pull.pk}/why/cost/").status_code == 404


def test_the_list_of_imports_can_be_had_as_a_file_of_what_it_shows(world: World, pull: Pull) -> None:
    client = log_in(world.ada)
    for query, names in (("?", ["log.csv"]), ("?state=failed&", [])):
        answer = client.get(f"/imports/{query}format=csv")
        read = list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))  # type: ignore[attr-defined]
        assert [row["File"] for row in read] == names
    assert client.get("/imports/?state=done").content.decode().count("state=done&amp;source=&amp;format=csv") == 1
    assert (pull.rows, pull.totals["rows_rejected"]) == (6, 1)


def test_a_proof_asks_no_more_for_more_keys_and_leaves_out_prices_where_there_are_too_many(
    world: World, pull: Pull, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = log_in(world.ada)

    def queries(of: Pull) -> int:
        client.get(f"/imports/{of.pk}/why/cost/")
        with CaptureQueriesContext(connection) as asked:
            client.get(f"/imports/{of.pk}/why/cost/")
        return len(asked)

    many = "".join(f"2026-10-03T{n % 24:02}:00:00Z,key-{n},own,dollar,1000,0,0\n" for n in range(80))
    larger = load(tmp_path / "larger.csv", LOG + ROWS + many)
    assert queries(larger) == queries(pull)
    keys = explained(client, larger, "cost")["explained"].tables[0]
    assert cells(keys)[-1] == ("The other 33", "$0.033")
    monkeypatch.setattr(why_import, "MOST_LINES", 3)
    found = explained(client, pull, "cost")
    assert [table.title for table in found["explained"].tables] == ["By usage key", "By model"]
    assert found["explained"].sentence == "It has many day lines: the CSV has the price of each."

"""Saying what it is worth and what came out, in the browser's words; example C of the ledger stands on the page."""

import csv
import io
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import Person
from apps.approvals.models import Confirmation
from apps.core.models import AuditEvent
from apps.costs import services as costs
from apps.economics import services as economics
from apps.economics.models import Evidence, GradeRate, Outcome, ValueCase
from apps.workloads.models import Attribution
from tests.books import at, make_offering, make_pull, make_series, unproved
from tests.economics.ledger import TODAY, Ledger, came_out, example_c, make_ledger, month_of, settle, spend
from tests.world import MACHINE, World, log_in

pytestmark = pytest.mark.django_db
VALUE = "/workloads/ticket-summaries/value/?month=2026-10"
WRITE = "/workloads/ticket-summaries/value/write/?month=2026-10"
OUTCOMES = "/workloads/ticket-summaries/outcomes/?month=2026-10"
RECORD = "/workloads/ticket-summaries/outcomes/record/?month=2026-10"


def answers(ledger: Ledger, **changed: Any) -> dict[str, Any]:
    """The form as Ben fills it in: the assumptions of example C."""
    told = {"grade": ledger.grade.pk, "review_grade": ledger.grade.pk, "owner": ledger.world.ben.pk}
    told |= {"valid_from": "2026-01-01", "expires": "2027-01-01", "expected_version": 0}
    told |= {"evidence_link": "https://example.com/study", "reason": "Two weeks with and without"}
    for name, three in (
        ("minutes_saved", ("1.5", "2", "2.5")),
        ("realisation", ("0.5", "0.6", "0.7")),
        ("review_minutes", ("0.5", "1", "2")),
    ):
        told |= dict(zip((f"{name}_low", f"{name}_base", f"{name}_high"), three, strict=True))
    return {**told, **changed}


def with_figures(world: World) -> Ledger:
    """Example C before anybody wrote a case."""
    ledger = make_ledger(world)
    spend(ledger, 2400)
    came_out(ledger, 10_000, 9200, 1150)
    settle()
    return ledger


def kpis(client: Client, address: str) -> dict[str, str]:
    return {kpi.label: kpi.figure for kpi in client.get(address).context["kpis"]}


def test_example_c_stands_on_the_page_with_its_verdict(world: World) -> None:
    example_c(world)
    client = log_in(world.ben)
    figures = kpis(client, VALUE)
    assert figures["Cost per answer"] == "$0.261"
    assert figures["Value per answer"] == "$0.600"
    assert figures["Net value"] == "$2,545"
    assert figures["Return"] == "1.06"
    assert figures["Break-even cost"] == "$0.538"
    page = client.get(VALUE)
    assert page.context["now"].verdict.word == "keep"
    assert "In the low case it nets −$100, within the $276 that are tolerated." in page.content.decode()


def test_every_figure_of_worth_leads_to_its_proof_and_the_proof_to_its_inputs(world: World) -> None:
    example_c(world)
    client = log_in(world.ben)
    proofs = [kpi.why for kpi in client.get(VALUE).context["kpis"] if kpi.why]
    assert len(proofs) == 5
    for address in proofs:
        assert client.get(address).status_code == 200
    net = client.get("/workloads/ticket-summaries/worth/net/?month=2026-10")
    assert net.context["figure"] == "$2,545.00"
    rows = {row.name: row.text for row in net.context["rows"]}
    assert rows["Value"] == "$3,450.00 / $5,520.00 / $8,050.00"
    assert rows["Full cost"] == "$2,400.00"
    for row in net.context["rows"]:
        assert client.get(row.href).status_code == 200


def test_the_hourly_rate_is_in_no_owners_proof_and_in_the_analysts(world: World) -> None:
    example_c(world)
    address = "/workloads/ticket-summaries/worth/value/?month=2026-10"
    body = log_in(world.ben).get(address).content.decode()
    assert "known, not shown" in body
    assert "$30.00" not in body
    assert "$30.00" in log_in(world.cleo).get(address).content.decode()
    file = b"".join(log_in(world.ben).get(f"{address}&format=csv")).decode()
    assert "hourly rate,,,,an hour,rate" in file


def test_the_preview_says_what_the_verdict_will_be(world: World) -> None:
    ledger = with_figures(world)
    client = log_in(world.ben)
    shown = client.post("/workloads/ticket-summaries/value/preview/?month=2026-10", answers(ledger))
    assert shown.status_code == 200
    words = " ".join(shown.content.decode().split())
    assert "tg-verdict--keep" in words
    assert "It pays: $2,545 net. In the low case it nets −$100" in words
    assert ValueCase.objects.count() == 0


def test_a_preview_without_a_grade_asks_for_one(world: World) -> None:
    ledger = with_figures(world)
    told = answers(ledger, grade="")
    shown = log_in(world.ben).post("/workloads/ticket-summaries/value/preview/?month=2026-10", told)
    assert "Say whose minutes these are" in shown.content.decode()


def test_a_case_waits_for_somebody_else_and_then_counts(world: World) -> None:
    ledger = with_figures(world)
    client = log_in(world.ben)
    assert client.post(WRITE, answers(ledger)).status_code == 302
    asked = Confirmation.objects.get(kind="attestation")
    page = client.get(VALUE)
    assert "Waiting for confirmation by somebody else" in page.content.decode()
    assert page.context["now"].verdict.word == "unproven"
    refused = client.post(f"/inbox/{asked.pk}/confirm/", {"digest": asked.digest})
    assert refused.status_code == 403
    assert ValueCase.objects.get().attested_by is None


def test_what_cannot_be_assumed_is_said_in_the_form_and_nothing_is_lost(world: World) -> None:
    ledger = with_figures(world)
    told = answers(ledger, minutes_saved_low="3", reason="mine")
    answer = log_in(world.ben).post(WRITE, told)
    assert answer.status_code == 422
    assert "Minutes saved: low, base and high must not fall." in answer.content.decode()
    assert answer.context["form"]["reason"].value() == "mine"
    assert ValueCase.objects.count() == 0


def test_two_who_write_at_once_do_not_overwrite_each_other(world: World) -> None:
    ledger = with_figures(world)
    client = log_in(world.ben)
    client.post(WRITE, answers(ledger))
    stale = client.post(WRITE, answers(ledger, reason="from an old tab"))
    assert stale.status_code == 422
    assert "Somebody else wrote a version in the meantime" in stale.content.decode()
    assert ValueCase.objects.count() == 1


def test_evidence_is_a_download_that_no_browser_opens(world: World) -> None:
    ledger = with_figures(world)
    client = log_in(world.ben)
    file = SimpleUploadedFile("study.pdf", b"%PDF-1.7 <script>alert(1)</script>")
    assert client.post(WRITE, answers(ledger, evidence_link="", evidence_file=file)).status_code == 302
    kept = Evidence.objects.get()
    address = f"/workloads/ticket-summaries/evidence/{kept.pk}/"
    answer = client.get(address)
    assert answer["Content-Disposition"] == 'attachment; filename="study.pdf"'
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer.content.startswith(b"%PDF")
    assert log_in(world.eve).get(address).status_code == 404


def test_a_file_that_is_not_what_its_name_says_is_refused(world: World) -> None:
    ledger = with_figures(world)
    file = SimpleUploadedFile("study.pdf", b"MZ not a pdf")
    answer = log_in(world.ben).post(WRITE, answers(ledger, evidence_link="", evidence_file=file))
    assert answer.status_code == 422
    assert "is not what its name says" in answer.content.decode()


def test_a_file_beyond_ten_megabytes_is_refused_before_it_is_read(world: World) -> None:
    ledger = with_figures(world)
    file = SimpleUploadedFile("study.pdf", b"%PDF-" + b"0" * (10 * 1024 * 1024))
    answer = log_in(world.ben).post(WRITE, answers(ledger, evidence_link="", evidence_file=file))
    assert answer.status_code == 422
    assert "The file is larger than 10 MB" in answer.content.decode()
    assert Evidence.objects.count() == 0


def test_the_page_tells_months_the_rule_the_data_and_what_changed(world: World) -> None:
    ledger = example_c(world)
    spend(ledger, 1200, at(3, month=9))
    came_out(ledger, 10_000, 9200, 1150, month=date(2026, 9, 1))
    settle()
    page = log_in(world.ben).get(VALUE)
    rows = {row.label: row for row in page.context["months"]}
    assert rows["October 2026"].net == ("−$100", "$2.54k", "$5.36k")
    assert rows["October 2026"].roi == ("−0.04", "1.06", "2.23")
    assert (rows["September 2026"].word, rows["September 2026"].cost_per_useful) == ("scale", "$0.130")
    twelve = page.context["trailing"][1]
    assert (twelve.note, twelve.cost_per_useful) == ("2 of 12 months proven", "$0.196")
    assert twelve.roi == ("0.28", "1.75", "3.31")
    assert ("Low net value", "−$100", "−$276") in page.context["numbers"]
    assert ("Days with outcomes", "1 of 1") in page.context["coverage"]
    assert ("Full cost", "$1,200", "$2,400") in page.context["changes"]
    assert "No other rule" in page.content.decode()


def test_what_was_signed_has_a_proof_of_its_own_in_page_and_file(world: World) -> None:
    """Example E: 1,000 of cost for 5,000 outputs were signed; 120 and 300 came after."""
    ledger = make_ledger(world)
    spend(ledger, 1000)
    came_out(ledger, 5000, 5000, 0)
    settle()
    economics.freeze(month=date(2026, 10, 1), today=TODAY)
    spend(ledger, 120, at(30))
    came_out(ledger, 5300, 5300, 0)
    settle()
    client = log_in(world.ben)
    page = client.get(VALUE).content.decode()
    for figure in ("cost", "useful", "cost_per_useful", "net"):
        for side in ("", "&amp;side=signed"):
            assert f'href="/workloads/ticket-summaries/worth/{figure}/?month=2026-10{side}"' in page
    address = "/workloads/ticket-summaries/worth/cost_per_useful/?month=2026-10"
    signed, now = client.get(f"{address}&side=signed"), client.get(address)
    assert (signed.context["figure"], now.context["figure"]) == ("$0.20", "$0.211321")
    assert "as it was signed" in signed.content.decode()
    file = b"".join(client.get(signed.context["file"])).decode()
    assert "Result,Cost of a useful output,,0.200000000000000000,," in file
    of_net = client.get("/workloads/ticket-summaries/worth/net/?month=2026-10&side=signed").context["rows"]
    assert [row.href.endswith("&side=signed") for row in of_net[:2]] == [True, True]


def test_the_cost_that_was_signed_leads_to_a_proof_of_it_that_says_what_is_not_kept(world: World) -> None:
    """Its key went to somebody else after the month was signed: the panel says so, and its parts still add up."""
    ledger = make_ledger(world)
    spend(ledger, 1000)
    settle()
    economics.freeze(month=date(2026, 10, 1), today=TODAY)
    with unproved():
        costs.sign_month(month=date(2026, 10, 1), pack_sha256="ab" * 32)
    spend(ledger, 120, at(30), revision=1)
    settle()
    client = log_in(world.ben)
    address = "/workloads/ticket-summaries/worth/cost/?month=2026-10"
    found = {side: client.get(address + side).context["rows"][0].href for side in ("", "&side=signed")}
    panels = {side: client.get(href).context["explained"] for side, href in found.items()}
    assert [panel.figure for panel in panels.values()] == ["$1,120.00", "$1,000.00"]
    Attribution.objects.filter(identity_id=ledger.identity.pk).update(workload_id=None)
    panel = client.get(found["&side=signed"])
    assert "The owner of a usage key has changed since this month was signed." in panel.content.decode()
    assert [table.title for table in panel.context["explained"].tables] == ["Inputs", "As signed, not taken apart"]
    assert "Some days are being worked out again" not in panel.content.decode()


def test_whether_a_month_was_signed_once_is_asked_once_for_all_components(world: World) -> None:
    ledger = make_ledger(world)
    spend(ledger, 1000)
    pull = make_pull(ledger.series.part.source)
    failed = make_series(pull, ledger.identity, ledger.series.offering, call_kind="retry_failed")
    spend(replace(ledger, series=failed), 200)
    settle()
    economics.freeze(month=date(2026, 10, 1), today=TODAY)
    with unproved():
        costs.sign_month(month=date(2026, 10, 1), pack_sha256="ab" * 32)
    client = log_in(world.ben)
    with CaptureQueriesContext(connection) as queries:
        rows = client.get("/workloads/ticket-summaries/worth/cost/?month=2026-10&side=signed").context["rows"]
    assert [(row.text, row.href.endswith("&figures=signed")) for row in rows] == [
        ("$1,000.00", True),
        ("$200.00", True),
    ]
    assert sum('"core_period"."revision" = 1' in each["sql"] for each in queries.captured_queries) == 1


def test_each_gap_is_filled_or_asked_for_with_its_month(world: World) -> None:
    """Ben may say what came out; the price he cannot give is asked of the analyst, by mail."""
    ledger = make_ledger(world)
    unpriced = make_series(make_pull(ledger.series.part.source), ledger.identity, make_offering("own", "unknown"))
    spend(replace(ledger, series=unpriced), 1)
    settle()
    gaps = {gap.gap.value: (words, href) for gap, words, href in log_in(world.ben).get(VALUE).context["missing"]}
    assert gaps["outcomes"] == ("Say what came out", "/workloads/ticket-summaries/outcomes/?month=2026-10")
    assert gaps["case"] == ("Write the value case", "/workloads/ticket-summaries/value/write/?month=2026-10")
    words, href = gaps["cost"]
    assert words == f"Ask {world.cleo.name}"
    assert href.startswith(f"mailto:{world.cleo.email}?subject=Ticket%20summaries%2C%20October%202026")
    assert quote("/workloads/ticket-summaries/value/?month=2026-10", safe="") in href.replace("/", "%2F")
    seen = {gap.gap.value: words for gap, words, _ in log_in(world.cleo).get(VALUE).context["missing"]}
    assert seen["cost"] == "See what has no price"


def test_who_left_is_asked_nothing(world: World) -> None:
    ledger = make_ledger(world)
    spend(ledger, 1)
    settle()
    Person.objects.filter(pk=world.ben.pk).update(active=False)
    gaps = {gap.gap.value: words for gap, words, _ in log_in(world.ada).get(VALUE).context["missing"]}
    assert gaps["case"] == f"Ask {world.dan.name}"
    Person.objects.filter(pk=world.dan.pk).update(active=False)
    told = log_in(world.finn).get(VALUE).context["missing"]
    assert {gap.gap.value: words for gap, words, _ in told}["case"] == f"Ask {world.ada.name}"


def test_the_version_that_counts_can_be_ended_while_another_waits(world: World) -> None:
    ledger = example_c(world)
    client = log_in(world.ben)
    client.post(WRITE, answers(ledger, expected_version=1))
    assert [case.version for case in client.get(VALUE).context["endable"]] == [2, 1]
    ended = client.post("/workloads/ticket-summaries/value/1/end/", {"reason": "The study was wrong"})
    assert ended.status_code == 302
    assert ValueCase.objects.get(version=1).ended_at is not None
    assert [case.version for case in client.get(VALUE).context["endable"]] == [2]


def test_outcomes_are_told_corrected_and_taken_back(world: World) -> None:
    ledger = make_ledger(world)
    spend(ledger, 2400)
    settle()
    client = log_in(world.ben)
    assert client.post(RECORD, {"produced": "10000", "accepted": "9200", "reviewed": "1150"}).status_code == 302
    assert client.post(RECORD, {"produced": "10000", "accepted": "9100"}).status_code == 302
    assert [(row.revision, row.accepted, row.is_latest) for row in Outcome.objects.order_by("revision")] == [
        (0, 9200, False),
        (1, 9100, True),
    ]
    newest = Outcome.objects.get(is_latest=True)
    assert client.post(f"/workloads/ticket-summaries/outcomes/{newest.pk}/withdraw/?month=2026-10").status_code == 302
    settle()
    page = client.get(OUTCOMES)
    assert page.context["now"].useful is None
    assert "Nothing is known of what came out" in page.content.decode()
    rows = list(csv.DictReader(io.StringIO(b"".join(client.get(f"{OUTCOMES}&format=csv")).decode("utf-8-sig"))))
    assert [(row["Revision"], row["State"], row["Accepted"]) for row in rows] == [
        ("2", "taken back", ""),
        ("1", "corrected", "9100"),
        ("0", "corrected", "9200"),
    ]


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"produced": "10", "accepted": "11"}, "11 accepted are more than the 10 produced"),
        ({"produced": "-1", "accepted": "0"}, "greater than or equal to 0"),
        ({"produced": "1e3", "accepted": "1"}, "Enter a whole number"),
        ({"produced": "10", "accepted": "1", "day": "2026-09-30"}, "The day lies outside the month of this page"),
    ],
)
def test_counts_that_cannot_be_are_refused_in_words(world: World, told: dict[str, str], said: str) -> None:
    make_ledger(world)
    answer = log_in(world.ben).post(RECORD, told)
    assert answer.status_code == 422
    assert said in answer.content.decode()
    assert Outcome.objects.count() == 0


def test_a_declared_share_is_marked_and_never_scale(world: World) -> None:
    ledger = make_ledger(world)
    spend(ledger, 24, requests=1000)
    settle()
    client = log_in(world.ben)
    declared = client.post("/workloads/ticket-summaries/outcomes/declare/?month=2026-10", {"share": "80"})
    assert declared.status_code == 302
    assert Outcome.objects.get().declared == Decimal("0.8")
    settle()
    page = client.get(OUTCOMES)
    assert page.context["now"].is_declared
    assert page.context["now"].useful == 800
    assert Outcome.objects.get().declared_reviewed is None  # nobody said so, which is not zero
    worth = client.get(VALUE)
    assert "outcomes declared, not counted" in worth.content.decode()
    assert worth.context["months"][0].is_declared


def test_who_may_not_see_the_money_sees_neither_worth_nor_outcomes(world: World) -> None:
    example_c(world)
    client = log_in(world.eve)
    for address in (VALUE, OUTCOMES, WRITE, "/workloads/ticket-summaries/worth/net/?month=2026-10"):
        assert client.get(address).status_code == 404


def test_the_grade_table_is_for_analysts_and_administrators(world: World) -> None:
    client = log_in(world.cleo)
    told = {"name": "Lawyer", "hourly": "96.00", "valid_from": "2026-01-01"}
    assert client.post("/settings/grades/add/", told).status_code == 302
    assert GradeRate.objects.get().hourly == 96
    assert "$96.00" in client.get("/settings/grades/").content.decode()
    assert log_in(world.ben).get("/settings/grades/").status_code == 403
    assert client.post("/settings/grades/add/", told).status_code == 422


def test_an_administrator_sets_the_thresholds_and_unsigned_months_follow(world: World) -> None:
    """Example C returns 1.06 and loses 100 in the low case: kept at a tolerance of 5 %, to fix at 1 %."""
    ledger = example_c(world)
    client = log_in(world.ada)
    page = client.get("/settings/thresholds/")
    told = {row.name: row.value() for row, _ in page.context["form"].rows}
    assert (told["fix_tolerance"], told["scale_roi"], told["least_produced"]) == ("5", "1", "30")
    assert client.post("/settings/thresholds/", {**told, "fix_tolerance": "101"}).status_code == 422
    assert client.post("/settings/thresholds/", {**told, "fix_tolerance": "1"}).status_code == 302
    assert settle() == 1
    assert month_of(ledger).verdict == "fix"
    event = AuditEvent.objects.get(verb="changed verdict thresholds")
    assert (event.data["before"]["fix_tolerance"], event.data["after"]["fix_tolerance"]) == ("0.05", "0.01")
    assert client.post("/settings/thresholds/", {**told, "fix_tolerance": "1"}).status_code == 302
    assert settle() == 0
    assert log_in(world.cleo).get("/settings/thresholds/").status_code == 403


def test_a_table_of_outcomes_is_shown_before_it_counts(world: World) -> None:
    make_ledger(world)
    table = b"workload,period,produced,accepted,reviewed\nticket-summaries,2026-10,10000,9200,1150\n"
    client = log_in(world.ben)
    dry = client.post("/workloads/import/?kind=outcomes", {"file": SimpleUploadedFile("o.csv", table)})
    assert dict(dry.context["counts"])["new"] == 1
    assert Outcome.objects.count() == 0
    sent = {"text": dry.context["text"], "digest": dry.context["result"].digest}
    assert client.post("/workloads/import/apply/?kind=outcomes", sent).status_code == 302
    assert Outcome.objects.get().accepted == 9200


def test_a_rate_that_is_refused_keeps_what_was_typed(world: World) -> None:
    grade = economics.add_grade(actor=MACHINE, name="Clerk")

    answer = log_in(world.ada).post(
        f"/settings/grades/{grade.pk}/rate/", {"hourly": "1.2.3", "valid_from": "2026-10-01"}
    )

    assert answer.status_code == 422
    assert 'value="1.2.3"' in answer.content.decode()
    assert not grade.rates.exists()

"""A signed month stays what it was; what becomes known later stands beside it, with its cause."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from apps.catalog import fx
from apps.catalog import services as catalog
from apps.core import periods
from apps.core.errors import Conflict
from apps.core.models import Period
from apps.costs import attribution, proof, roles
from apps.costs import services as costs
from apps.costs.models import Cause, Line
from apps.costs.selectors import BasisChoice, CostScope, Figures, cost_totals, restatements, token_lots
from apps.costs.selectors.waiting import UnpricedModels, unpriced_models
from apps.costs.why import Why, proof_rows, why_cost
from apps.sources.models import Measure, Pull, Source, SourceRole
from apps.usage.models import Hour
from apps.workloads.models import Binding, Workload
from tests.books import at, make_offering, make_pull, make_source, make_workload, prices, rate_all, unproved
from tests.faults.loads import Key, Used, publish_charges, publish_hours, undo
from tests.world import MACHINE, World

pytestmark = pytest.mark.django_db
OCTOBER, NOVEMBER, DECEMBER = date(2026, 10, 1), date(2026, 11, 1), date(2026, 12, 1)
TODAY = date(2026, 11, 10)
MODEL = "own-model"
Rows = dict[Key, Used]


@pytest.fixture
def copilot(world: World) -> Workload:
    """Spends by the key A of the source gateway, a model at 1.00 per million tokens."""
    workload = make_workload("Copilot", world)
    prices(make_offering("openai", MODEL), input="1.00", output="1.00")
    attribution.bind(actor=MACHINE, workload=workload, pairs=[["key", "A"]])
    return workload


@pytest.fixture
def gateway(db: None) -> Source:
    return make_source("Gateway")


def tokens(millions: int, when: datetime, key: str = "A", **more: Any) -> Rows:
    return {Key(key, MODEL, when): Used(requests=millions, input=millions * 1_000_000, output=0, **more)}


def load(source: Source, rows: Rows, folder: Path, part: str = "log") -> tuple[Pull, tuple[int, int, int]]:
    pull = make_pull(source, part)
    done = publish_hours(pull, rows, folder)
    return pull, (done.written, done.unchanged, done.removed)


def rate() -> None:
    costs.sweep_rate_changes()
    costs.rate_dirty(TODAY)


def sign(month: date = OCTOBER) -> Period:
    rate()
    with unproved():
        return costs.sign_month(month=month, pack_sha256="ab" * 32)


def figure(month: date, figures: Figures = Figures.RESTATED, workload: Workload | None = None) -> Decimal | None:
    scope = CostScope(month, periods.next_month(month), figures=figures, workload_id=workload.pk if workload else None)
    return cost_totals(actor=MACHINE, scope=scope).now.cost


def booked(month: date) -> dict[date, Decimal]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT charge_month, sum(amount_org) FROM costs_owner_month WHERE booked_month = %s AND role = 'counts' "
            "AND basis <> 'billed' GROUP BY 1",
            [month],
        )
        return dict(cursor.fetchall())


def corrections() -> list[tuple[int, str, Decimal | None]]:
    found = Line.objects.filter(revision__gt=0).order_by("day", "revision")
    return list(found.values_list("revision", "cause", "amount"))


@pytest.fixture(autouse=True)
def _books_hold(db: None) -> Any:
    """After every test: roll-ups are the sums of their lines, locks are there, and rating again changes nothing."""
    yield
    rate()
    assert proof.prove() == []
    before = Line.objects.count()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO costs_dirty_day (day, identity_id, reason, recorded_at) "
            "SELECT DISTINCT day, identity_id, 'test', now() FROM costs_line"
        )
    rate()
    assert Line.objects.count() == before


def test_the_worked_example_of_late_rows(copilot: Workload, gateway: Source, tmp_path: Path) -> None:
    # Example E: October signed with 1,000; in November 120 of October arrive, and November's own 900.
    load(gateway, tokens(1000, at(5)), tmp_path)
    signed = sign()
    assert (signed.state, signed.revision, signed.pack_sha256) == ("signed", 1, "ab" * 32)
    load(gateway, tokens(120, at(20)), tmp_path, "late")
    load(gateway, tokens(900, at(3, month=11)), tmp_path, "november")
    rate()
    assert figure(OCTOBER, Figures.SIGNED, copilot) == figure(OCTOBER, Figures.SIGNED) == 1000
    assert figure(OCTOBER, workload=copilot) == figure(OCTOBER) == 1120
    assert figure(NOVEMBER, workload=copilot) == 900
    assert booked(OCTOBER) == {OCTOBER: 1000}
    assert booked(NOVEMBER) == {NOVEMBER: 900, OCTOBER: 120}
    (late,) = restatements(actor=MACHINE, booked_month=NOVEMBER)
    assert (late.workload_id, late.charge_month, late.cause, late.amount) == (copilot.pk, OCTOBER, "late data", 120)


def test_nothing_of_revision_zero_changes(copilot: Workload, gateway: Source, tmp_path: Path) -> None:
    load(gateway, tokens(10, at(5)) | tokens(20, at(6)), tmp_path)
    sign()
    hours, lines = list(Hour.objects.order_by("hour").values()), list(Line.objects.order_by("id").values())
    load(gateway, tokens(11, at(5)), tmp_path)
    rate()
    assert list(Hour.objects.filter(revision=0).order_by("hour").values()) == hours
    assert list(Line.objects.filter(revision=0).order_by("id").values()) == lines
    assert figure(OCTOBER) == 11


def test_a_part_loaded_again_makes_differences_and_the_same_again_none(
    copilot: Workload, gateway: Source, tmp_path: Path
) -> None:
    first = tokens(10, at(5)) | tokens(20, at(6)) | tokens(30, at(7))
    load(gateway, first, tmp_path)
    sign()
    assert load(gateway, first, tmp_path)[1] == (0, 3, 0)
    second = tokens(10, at(5)) | tokens(25, at(6)) | tokens(7, at(8))
    assert load(gateway, second, tmp_path)[1] == (2, 1, 2)
    rate()
    assert corrections() == [(1, "late data", 5), (1, "source restatement", -30), (1, "late data", 7)]
    found = Hour.objects.filter(revision__gt=0).order_by("hour").values_list("revision", "input")
    assert list(found) == [(1, 5_000_000), (1, -30_000_000), (1, 7_000_000)]
    assert load(gateway, second, tmp_path)[1] == (0, 3, 0)
    assert load(gateway, first, tmp_path)[1] == (2, 1, 2)  # back again
    rate()
    assert figure(OCTOBER) == 60
    assert Hour.objects.filter(hour=at(7)).count() == 3


def test_a_window_across_the_edge_does_both(copilot: Workload, gateway: Source, tmp_path: Path) -> None:
    edge = at(31, 23)
    load(gateway, tokens(10, edge) | tokens(1, at(1, month=11)), tmp_path)
    sign()
    load(gateway, tokens(12, edge) | tokens(5, at(1, month=11)) | tokens(1, at(2, month=11)), tmp_path)
    rate()
    assert figure(OCTOBER) == 12
    assert figure(NOVEMBER) == 6
    assert not Line.objects.filter(charge_month=NOVEMBER, revision__gt=0).exists()
    assert Hour.objects.filter(hour__gte=at(1, month=11), revision__gt=0).count() == 0


@pytest.mark.parametrize("signed_before", ["both", "second"])
def test_undo_is_another_revision(copilot: Workload, gateway: Source, tmp_path: Path, signed_before: str) -> None:
    first, _ = load(gateway, tokens(10, at(5)) | tokens(20, at(6)), tmp_path)
    if signed_before == "both":
        sign()
    second, _ = load(gateway, tokens(15, at(5)) | tokens(4, at(7)), tmp_path)
    if signed_before == "second":
        sign()
    third, _ = load(gateway, tokens(1, at(7)), tmp_path)
    rate()
    assert figure(OCTOBER) == 1
    undo(third)
    rate()
    assert figure(OCTOBER) == 19
    undo(second)
    rate()
    assert figure(OCTOBER) == 30
    undo(first)
    rate()
    assert figure(OCTOBER) in (0, None)
    assert {cause for _, cause, _ in corrections()} <= {"late data", "source restatement"}


def test_what_is_no_longer_known_is_taken_back_whole(copilot: Workload, gateway: Source, tmp_path: Path) -> None:
    key = Key("A", "nobody-knows", at(5))
    load(gateway, {key: Used(1, 100, output=10, cached=5, reported_cost=Decimal(3), currency="USD")}, tmp_path)
    sign()
    load(gateway, {key: Used(1, 100, output=10, reported_cost=Decimal(5), currency="EUR")}, tmp_path)
    rate()
    assert [(row.revision, row.cached, row.currency) for row in Hour.objects.order_by("revision")] == [
        (0, 5, "USD"), (1, -5, "USD"), (2, None, "EUR"),
    ]  # fmt: skip
    restated = Line.objects.filter(currency="EUR").get()
    assert (restated.amount, restated.quantity, restated.lines) == (5, 110, 1)
    gone = Line.objects.get(currency="USD", revision=1)
    assert (gone.amount, gone.quantity, gone.lines) == (-3, -115, -1)


def test_a_key_bound_anew_moves_by_a_pair_that_sums_to_zero(
    world: World, copilot: Workload, gateway: Source, tmp_path: Path
) -> None:
    load(gateway, tokens(10, at(5)), tmp_path)
    sign()
    load(gateway, tokens(2, at(5, 3)), tmp_path, "late")
    rate()
    other = make_workload("Other", world)
    attribution.rebind(actor=MACHINE, binding=Binding.objects.in_force().get(), workload=other)
    rate()
    pair = Line.objects.filter(cause=Cause.BINDING)
    assert {(line.workload_id, line.amount, line.lines) for line in pair} == {(copilot.pk, -12, -1), (other.pk, 12, 1)}
    assert figure(OCTOBER, Figures.SIGNED, copilot) == 10
    assert figure(OCTOBER, workload=other) == figure(OCTOBER) == 12


def test_a_price_and_its_marks_come_later(copilot: Workload, gateway: Source, tmp_path: Path) -> None:
    load(gateway, {Key("A", "nobody-knows", at(5)): Used(1, 1_000_000, output=0)}, tmp_path)
    sign()
    before = cost_totals(actor=MACHINE, scope=CostScope(OCTOBER, NOVEMBER)).now
    assert (before.cost, before.unpriced_lines, before.unpriced_tokens) == (None, 1, 1_000_000)
    assert unpriced_models(first=OCTOBER, end=NOVEMBER) == UnpricedModels(1, 1_000_000, "nobody-knows")
    prices(make_offering("openai", "nobody-knows"), input="2.00", output="1.00")
    rate()
    assert unpriced_models(first=OCTOBER, end=NOVEMBER) == UnpricedModels(0, 0, "")
    after = cost_totals(actor=MACHINE, scope=CostScope(OCTOBER, NOVEMBER)).now
    assert (after.cost, after.unpriced_lines, after.unpriced_tokens, after.lines) == (2, 0, 0, 1)
    assert corrections() == [(1, "price", 2)]
    signed = cost_totals(actor=MACHINE, scope=CostScope(OCTOBER, NOVEMBER, figures=Figures.SIGNED)).now
    assert (signed.cost, signed.unpriced_lines) == (None, 1)


def test_the_exchange_rate_of_a_signed_day_stays(copilot: Workload, gateway: Source, tmp_path: Path) -> None:
    fx.ensure("EUR", "USD")
    prices(make_offering("openai", "euro-model"), currency="EUR", input="1.00", output="1.00")
    state = {"actor": MACHINE, "currency": "EUR", "quote": "USD", "reason": "the bank said so"}
    catalog.set_exchange_rate(day=at(5).date(), rate=Decimal("1.10"), **state)
    euro = {Key("A", "euro-model", at(5)): Used(1, 10_000_000, output=0)}
    load(gateway, euro, tmp_path)
    sign()
    catalog.set_exchange_rate(day=at(5).date(), rate=Decimal("1.50"), **state)
    rate()
    assert corrections() == []
    load(gateway, {Key("A", "euro-model", at(5, 7)): Used(1, 1_000_000, output=0)}, tmp_path, "late")
    rate()
    assert figure(OCTOBER) == Decimal("12.1")


def test_an_exchange_rate_that_was_missing_is_a_correction(copilot: Workload, gateway: Source, tmp_path: Path) -> None:
    prices(make_offering("openai", "shell-model"), currency="XTS", input="1.00", output="1.00")
    load(gateway, {Key("A", "shell-model", at(5)): Used(1, 10_000_000, output=0)}, tmp_path)
    sign()
    scope = CostScope(OCTOBER, NOVEMBER)
    assert cost_totals(actor=MACHINE, scope=scope).now.unconverted_lines == 1
    catalog.set_exchange_rate(
        actor=MACHINE, day=at(5).date(), currency="XTS", quote="USD", rate=Decimal("0.5"), reason="agreed"
    )
    rate()
    after = cost_totals(actor=MACHINE, scope=scope).now
    assert (after.cost, after.unconverted_lines) == (5, 0)
    assert corrections() == [(1, "exchange rate", 0)]


def charge(day: int, billed: str, digest: str, **more: Any) -> dict[str, Any]:
    return {
        "charge_start": at(day), "charge_end": at(day + 1), "billing_month": OCTOBER, "category": "Usage", "class": "",
        "identity": '[["key","A"]]', "provider": "OpenAI", "model": None, "service_category": "AI and Machine Learning",
        "meter": "Tokens", "quantity": Decimal(1), "unit": "Tokens", "billed": Decimal(billed),
        "effective": Decimal(billed), "list": Decimal(billed), "currency": "USD", "extra": "{}", "row_digest": digest,
        "occurrence": 1, **more,
    }  # fmt: skip


def bill(rows: list[dict[str, Any]], folder: Path, *, usable: bool = True) -> tuple[Pull, tuple[int, int, int]]:
    source, _ = Source.objects.get_or_create(slug="bill", defaults={"name": "Bill"})
    pull = make_pull(source, "bill", format=Pull.Format.FOCUS)
    done = publish_charges(pull, rows, folder, usable=usable)
    return pull, (done.written, done.unchanged, done.removed)


def test_a_restated_bill(copilot: Workload, tmp_path: Path) -> None:
    rows = [charge(5, "10", "a"), charge(6, "20", "b")]
    bill(rows, tmp_path)
    sign()
    assert figure(OCTOBER) == 30
    assert bill(rows, tmp_path)[1] == (0, 2, 0)
    restated = [charge(5, "10", "a"), charge(6, "18", "c")]
    assert bill(restated, tmp_path)[1] == (1, 1, 1)
    rate()
    assert figure(OCTOBER) == 28
    billed = cost_totals(actor=MACHINE, scope=CostScope(OCTOBER, NOVEMBER, basis=BasisChoice.BILLED)).now
    assert (billed.cost, billed.lines) == (28, 2)
    last, counts = bill([charge(5, "10", "a"), charge(6, "20", "b")], tmp_path)
    assert counts == (1, 1, 1)
    rate()
    assert figure(OCTOBER) == 30
    undo(last)
    rate()
    assert figure(OCTOBER) == 28
    assert {cause for _, cause, _ in corrections()} == {"source restatement"}


def test_a_charge_longer_than_a_month_is_corrected_where_signed_and_changed_where_open(
    copilot: Workload, tmp_path: Path
) -> None:
    bill([charge(1, "61", "long", charge_end=at(1, month=12))], tmp_path)
    sign()
    assert figure(OCTOBER) == 31
    bill([charge(1, "122", "other", charge_end=at(1, month=12))], tmp_path)
    rate()
    assert figure(OCTOBER) == 62
    assert figure(OCTOBER, Figures.SIGNED) == 31
    assert figure(NOVEMBER) == 60
    assert not Line.objects.filter(charge_month=NOVEMBER, revision__gt=0).exists()


def test_why_takes_corrections_apart(copilot: Workload, gateway: Source, tmp_path: Path) -> None:
    load(gateway, tokens(10, at(5)) | tokens(20, at(6)), tmp_path)
    sign()
    load(gateway, tokens(15, at(5)), tmp_path)
    rate()
    why = why_cost(actor=MACHINE, scope=CostScope(OCTOBER, NOVEMBER, workload_id=copilot.pk))
    assert (why.amount, why.is_exact, [part.amount_org for part in why.prices]) == (15, True, [15])
    assert [(part.cause, part.booked_month, part.amount) for part in why.corrections] == [
        ("late data", NOVEMBER, 5), ("source restatement", NOVEMBER, -20),
    ]  # fmt: skip


def proven(figures: Figures, **scope: Any) -> Why:
    """The proof of October's figure, whose parts and file come to it."""
    asked = CostScope(OCTOBER, NOVEMBER, figures=figures, **scope)
    found = why_cost(actor=MACHINE, scope=asked)
    parts = [part.amount_org for part in (*found.prices, *found.charges)] + [part.amount for part in found.unproven]
    assert (found.is_exact, sum(part or 0 for part in parts)) == (True, found.amount or 0)
    assert sum(row[17] or 0 for row in proof_rows(actor=MACHINE, scope=asked)) == (found.amount or 0)
    return found


def not_taken_apart(why: Why) -> list[tuple[str, str, int, Decimal | None]]:
    return [(part.moved.value, part.source, part.lines, part.amount) for part in why.unproven]


def test_each_figure_of_a_signed_month_names_the_files_that_it_rests_on(
    copilot: Workload, gateway: Source, tmp_path: Path
) -> None:
    load(gateway, tokens(10, at(5)), tmp_path)
    sign()
    load(gateway, tokens(5, at(5, 3)), tmp_path, "late")
    rate()
    signed, restated = proven(Figures.SIGNED), proven(Figures.RESTATED)
    assert (signed.amount, [pull.part for pull in signed.pulls], signed.unproven) == (10, ["log"], [])
    assert (restated.amount, {pull.part for pull in restated.pulls}) == (15, {"log", "late"})


def test_the_proof_says_that_a_role_has_changed_since_the_month_was_signed(
    copilot: Workload, gateway: Source, tmp_path: Path
) -> None:
    load(gateway, tokens(10, at(5)), tmp_path)
    bill([charge(6, "20", "a", meter="Storage", unit="GB"), charge(7, "30", "b", provider="Anthropic")], tmp_path)
    sign()
    checks = {"measure": Measure.TOKEN_COST, "role": SourceRole.Role.CHECKS, "valid_from": at(1)}
    for source in (gateway, Source.objects.get(slug="bill")):
        roles.set_role(actor=MACHINE, source=source, **checks)
    rate()
    signed = proven(Figures.SIGNED)
    assert not_taken_apart(signed) == [("role", "Bill", 1, 30), ("role", "Gateway", 1, 10)]
    assert (signed.amount, signed.prices, [part.amount for part in signed.charges]) == (60, [], [20])
    assert proven(Figures.RESTATED).amount == 20


def test_the_proof_says_that_a_key_has_another_owner_since_the_month_was_signed(
    world: World, copilot: Workload, gateway: Source, tmp_path: Path
) -> None:
    load(gateway, tokens(10, at(5)), tmp_path)
    sign()
    other = make_workload("Other", world)
    attribution.rebind(actor=MACHINE, binding=Binding.objects.in_force().get(), workload=other)
    rate()
    assert not_taken_apart(proven(Figures.SIGNED, workload_id=copilot.pk)) == [("owner", "Gateway", 1, 10)]
    assert [part.amount_org for part in proven(Figures.RESTATED, workload_id=other.pk).prices] == [10]


def test_the_proof_says_that_a_price_has_changed_since_the_month_was_signed(
    copilot: Workload, gateway: Source, tmp_path: Path
) -> None:
    load(gateway, tokens(10, at(5)), tmp_path)
    load(gateway, {Key("A", "nobody-knows", at(5)): Used(1, 1_000_000, output=0)}, tmp_path, "unknown")
    sign()
    prices(make_offering("openai", "nobody-knows"), input="2.00", output="1.00")
    rate()
    signed = proven(Figures.SIGNED)
    assert not_taken_apart(signed) == [("price", "Gateway", 1, None)]
    assert (signed.amount, [part.amount_org for part in signed.prices]) == (10, [10])
    assert proven(Figures.RESTATED).amount == 12


def test_days_that_wait_keep_a_month_from_being_signed(copilot: Workload, gateway: Source, tmp_path: Path) -> None:
    load(gateway, tokens(10, at(5)), tmp_path)
    with pytest.raises(Conflict, match="still being worked out"):
        costs.sign_month(month=OCTOBER, pack_sha256="")
    rate_all()
    sign()
    with pytest.raises(Conflict, match="signed already"):
        costs.sign_month(month=OCTOBER, pack_sha256="")


def test_a_reopened_month_keeps_what_was_signed_and_is_signed_again(
    copilot: Workload, gateway: Source, tmp_path: Path
) -> None:
    load(gateway, tokens(10, at(5)), tmp_path)
    sign()
    assert (periods.is_signed(OCTOBER), periods.is_frozen(OCTOBER)) == (True, True)
    with unproved():
        periods.reopen(OCTOBER)
    assert (periods.is_signed(OCTOBER), periods.is_frozen(OCTOBER)) == (False, True)
    load(gateway, tokens(11, at(5)), tmp_path)
    rate()
    assert (figure(OCTOBER, Figures.SIGNED), figure(OCTOBER), booked(NOVEMBER)) == (10, 11, {OCTOBER: 1})
    with unproved():
        again = periods.sign(OCTOBER, "cd" * 32)
    assert (again.state, again.revision, again.pack_sha256) == ("signed", 2, "cd" * 32)
    with pytest.raises(Conflict, match="cannot become"):
        periods.stop_closing(OCTOBER)


@contextmanager
def corrected_by_hand(charged: date, booked_in: date) -> Iterator[None]:
    """A line put straight into the table, and taken back."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO costs_line (day, charge_month, booked_month, revision, cause, source_id, component, basis,"
            " role, currency, lines) SELECT day, charge_month, %s, 1, 'price', source_id, component, basis, role,"
            " currency, 0 FROM costs_line WHERE charge_month = %s LIMIT 1",
            [booked_in, charged],
        )
        yield
        transaction.set_rollback(True)


def test_nothing_is_booked_in_a_month_that_was_signed(copilot: Workload, gateway: Source, tmp_path: Path) -> None:
    load(gateway, tokens(10, at(5)), tmp_path)
    sign()
    with corrected_by_hand(OCTOBER, NOVEMBER):
        pass
    sign(NOVEMBER)
    with pytest.raises(DatabaseError, match="2026-11 was signed"), corrected_by_hand(OCTOBER, NOVEMBER):
        pass
    with corrected_by_hand(OCTOBER, DECEMBER):
        pass


def test_a_correction_of_an_open_month_is_seen(copilot: Workload, gateway: Source, tmp_path: Path) -> None:
    """Open partitions carry no trigger, so it is the nightly proof that tells."""
    load(gateway, tokens(10, at(5)), tmp_path)
    rate()
    with corrected_by_hand(OCTOBER, NOVEMBER):
        broken = proof.broken_references()
    assert [each.promise for each in broken] == ["only signed months are corrected"]


def test_late_things_are_booked_in_the_open_month(copilot: Workload, gateway: Source, tmp_path: Path) -> None:
    assert periods.open_month(TODAY) == NOVEMBER
    load(gateway, tokens(10, at(5)), tmp_path)
    sign()
    sign(NOVEMBER)
    assert periods.open_month(TODAY) == DECEMBER
    assert periods.open_month(date(2026, 9, 9), after=OCTOBER) == DECEMBER
    load(gateway, tokens(11, at(5)), tmp_path)
    rate()
    assert booked(DECEMBER) == {OCTOBER: 1}


@pytest.mark.parametrize("table", ["usage_hour", "usage_charge", "costs_line"])
@pytest.mark.parametrize("change", ["UPDATE {0} SET revision = 7", "DELETE FROM {0}", "TRUNCATE {0}"])
def test_the_database_refuses_changes_even_of_its_owner(
    copilot: Workload, gateway: Source, tmp_path: Path, table: str, change: str
) -> None:
    load(gateway, tokens(10, at(5)), tmp_path)
    bill([charge(5, "10", "a")], tmp_path)
    sign()
    for target in (table, f"{table}_2026_10"):
        with pytest.raises(DatabaseError, match="holds a signed month"), transaction.atomic():
            connection.cursor().execute(change.format(target))


def test_the_proof_sees_a_lock_that_was_taken_away(copilot: Workload, gateway: Source, tmp_path: Path) -> None:
    load(gateway, tokens(10, at(5)), tmp_path)
    sign()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE costs_line_2026_10 DISABLE TRIGGER signed_change")
        assert [str(broken) for broken in proof.broken_references()] == [
            "every signed month is locked in the database: 1 times not so (costs_line of 2026-10-01)"
        ]
        cursor.execute("ALTER TABLE costs_line_2026_10 ENABLE ALWAYS TRIGGER signed_change")


def test_tokens_to_be_priced_anew_are_those_that_were_signed_or_all_that_are_known(
    copilot: Workload, gateway: Source, tmp_path: Path
) -> None:
    load(gateway, tokens(1000, at(5)), tmp_path)
    sign()
    load(gateway, {**tokens(1000, at(5)), **tokens(120, at(6))}, tmp_path)
    rate()

    by_figures = {
        figures: token_lots(workload_id=copilot.pk, month=OCTOBER, figures=figures)
        for figures in (Figures.SIGNED, Figures.RESTATED)
    }

    assert [lot.tokens.input for lot in by_figures[Figures.SIGNED].lots] == [1_000_000_000]
    assert [lot.tokens.input for lot in by_figures[Figures.RESTATED].lots] == [1_120_000_000]
    assert not any(found.apart for found in by_figures.values())

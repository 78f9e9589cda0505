"""Each threshold is told once for each budget and month, whatever the figures do; and each cost burns its own month."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import Person
from apps.budgets import selectors, services
from apps.budgets.models import Budget, Notice
from apps.budgets.rows import Filters, budget_rows, totals_of
from apps.core import organisation
from apps.core.models import AuditEvent
from apps.workloads.models import Workload
from tests.books import at, make_offering, make_workload, rate_all
from tests.web.company import Company, make_company
from tests.world import MACHINE, World, log_in
from workers import budgets as worker
from workers.schedule import SCHEDULE

pytestmark = pytest.mark.django_db
OCTOBER, NOVEMBER = date(2026, 10, 1), date(2026, 11, 1)
ON_THE_20TH = datetime(2026, 10, 20, 9, tzinfo=UTC)


@pytest.fixture
def company(world: World) -> Company:
    return make_company(world)


@pytest.fixture
def summaries(company: Company) -> Workload:
    """It has spent 30 in October."""
    return Workload.objects.get(name="Summaries")


def budget(owner: Workload, amount: int, *, soft: str = "0.5", hard: str = "0.8", on_hard: str = "") -> Budget:
    return services.set_budget(
        actor=MACHINE,
        owner=owner,
        month=OCTOBER,
        amount=Decimal(amount),
        soft=Decimal(soft),
        hard=Decimal(hard),
        on_hard=on_hard,
    )


def whole(*amounts: Decimal | None) -> list[int | None]:
    """Amounts that have no cents, as they are easily read."""
    assert all(amount is None or amount == int(amount) for amount in amounts)
    return [None if amount is None else int(amount) for amount in amounts]


def told() -> list[tuple[str, int]]:
    return [(notice.level, int(notice.limit_amount)) for notice in Notice.objects.order_by("limit_amount")]


def undo_and_load(company: Company, workload: Workload, dollars: int) -> None:
    """The source says now that the workload used this much on the first of October, and nothing else then."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE usage_hour SET input = %s WHERE hour = %s AND series_id = %s",
            [dollars * 1_000_000, at(1), company.series[workload.pk, "token", company.offering.pk].pk],
        )
        cursor.execute(
            "INSERT INTO costs_dirty_day (day, identity_id, reason, recorded_at) VALUES (%s, %s, 'test', now())",
            [OCTOBER, company.keys[workload.pk].pk],
        )
    rate_all()


def test_levels_crossed_in_one_jump_are_told_once_each(summaries: Workload) -> None:
    budget(summaries, 30)

    assert [notice.level for notice in services.sweep(now=ON_THE_20TH)] == ["soft", "hard", "full"]
    assert services.sweep(now=ON_THE_20TH) == []
    assert told() == [("soft", 15), ("hard", 24), ("full", 30)]


@pytest.mark.parametrize(
    ("amount", "levels"), [(61, []), (60, ["soft"]), (38, ["soft"]), (37, ["soft", "hard"]), (31, ["soft", "hard"])]
)
def test_a_threshold_is_passed_when_it_is_reached(summaries: Workload, amount: int, levels: list[str]) -> None:
    budget(summaries, amount)

    assert [notice.level for notice in services.sweep(now=ON_THE_20TH)] == levels


def test_a_hard_threshold_at_the_whole_budget_is_one_message(summaries: Workload) -> None:
    budget(summaries, 30, soft="0.8", hard="1")

    services.sweep(now=ON_THE_20TH)

    assert told() == [("soft", 24), ("hard", 30)]


def test_the_first_cent_passes_a_budget_of_zero(summaries: Workload) -> None:
    budget(summaries, 0)

    services.sweep(now=ON_THE_20TH)

    assert told() == [("full", 0)]


def test_down_and_up_again_is_noted_and_not_told_twice(company: Company, summaries: Workload) -> None:
    budget(summaries, 30, soft="0.8", hard="1")
    services.sweep(now=ON_THE_20TH)

    undo_and_load(company, summaries, 1)
    assert services.sweep(now=at(21)) == []
    hard = Notice.objects.get(level="hard")
    assert (hard.corrected_at, hard.corrected_spent, hard.is_over_now) == (at(21), 21, False)

    undo_and_load(company, summaries, 10)
    assert services.sweep(now=at(22)) == []
    hard.refresh_from_db()
    assert (hard.again_at, hard.is_over_now) == (at(22), True)
    assert Notice.objects.count() == 2
    verbs = list(AuditEvent.objects.filter(actor="budgets").order_by("id").values_list("verb", flat=True))
    assert verbs == [
        *["passed budget threshold"] * 2,
        *["corrected below budget threshold"] * 2,
        *["passed budget threshold again"] * 2,
    ]


def test_each_level_is_told_once_a_month_whatever_the_budget_becomes(summaries: Workload) -> None:
    budget(summaries, 30, soft="0.8", hard="1")
    services.sweep(now=ON_THE_20TH)
    services.suspend(actor=MACHINE, owner=summaries, month=OCTOBER)
    services.resume(actor=MACHINE, owner=summaries, month=OCTOBER)

    assert services.sweep(now=ON_THE_20TH) == []

    budget(summaries, 25, soft="0.8", hard="1")
    assert services.sweep(now=ON_THE_20TH) == []
    budget(summaries, 29, soft="0.8", hard="2")
    assert [(notice.level, notice.limit_amount) for notice in services.sweep(now=ON_THE_20TH)] == [("full", 29)]


def test_the_next_month_is_told_anew(company: Company, summaries: Workload) -> None:
    budget(summaries, 20, soft="0.8", hard="1")
    services.sweep(now=ON_THE_20TH)
    company.spend(summaries, 20, at(2, month=11))
    rate_all()

    new = services.sweep(now=at(3, month=11))

    assert [(notice.month, notice.level) for notice in new] == [(NOVEMBER, "soft"), (NOVEMBER, "hard")]


def test_the_budget_of_a_cost_centre_counts_everything_below_it(world: World, company: Company) -> None:
    company.spend(make_workload("Sorting", world, cost_centre=world.operations), 12, at(4))
    rate_all()
    services.set_budget(actor=MACHINE, owner=world.operations, month=OCTOBER, amount=Decimal(40))

    new = services.sweep(now=ON_THE_20TH)

    assert [(notice.level, notice.spent) for notice in new] == [("soft", 42), ("hard", 42)]


def test_the_owners_get_one_mail_that_names_every_level(world: World, summaries: Workload) -> None:
    summaries.business_owner = world.dan
    summaries.save()
    budget(summaries, 30)

    services.sweep(now=ON_THE_20TH)
    services.send_notices(now=ON_THE_20TH)
    services.send_notices(now=ON_THE_20TH)

    (message,) = mail.outbox
    assert message.to == ["ben@example.com", "dan@example.com"]
    assert message.subject == "Tollgate: Summaries passed the whole budget for October 2026"
    assert "Summaries has spent USD 30.00 of its budget of USD 30.00 for October 2026." in message.body
    assert "- Soft threshold at USD 15.00 passed.\n- Hard threshold at USD 24.00 passed." in message.body
    assert "Nothing is blocked." in message.body


def test_a_budget_to_be_blocked_does_not_promise_a_gate_that_is_not_there(summaries: Workload) -> None:
    budget(summaries, 30, on_hard="block")

    worker.sweep()  # the clock is not in October; nothing is told of a month that is over
    services.sweep(now=ON_THE_20TH)
    services.send_notices(now=ON_THE_20TH)

    assert "No gateway enforces that yet" in mail.outbox[0].body


def test_the_analysts_of_a_cost_centre_hear_of_its_budget(world: World, company: Company) -> None:
    services.set_budget(actor=MACHINE, owner=world.care, month=OCTOBER, amount=Decimal(10))

    services.sweep(now=ON_THE_20TH)
    services.send_notices(now=ON_THE_20TH)

    assert [message.to for message in mail.outbox] == [["cleo@example.com"]]


def test_a_mail_server_that_is_away_is_asked_again(summaries: Workload, monkeypatch: pytest.MonkeyPatch) -> None:
    budget(summaries, 30)
    services.sweep(now=ON_THE_20TH)
    send = EmailBackend.send_messages

    def refuse(*_: object) -> int:
        raise ConnectionRefusedError("no server")

    monkeypatch.setattr(EmailBackend, "send_messages", refuse)
    assert services.send_notices(now=ON_THE_20TH) == 0
    monkeypatch.setattr(EmailBackend, "send_messages", send)
    assert services.send_notices(now=ON_THE_20TH) == 1


def test_the_clock_knows_the_sweep() -> None:
    assert "workers.budgets.sweep" in {entry["task"] for entry in SCHEDULE.values()}


# --- What burns which month -------------------------------------------------------------------------------------------


def test_only_direct_cost_burns_and_the_shared_stands_beside_it(world: World, company: Company) -> None:
    triage = Workload.objects.get(name="Triage")
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE costs_month SET component = 'guardrail' WHERE workload_id = %s AND component = 'token'", [triage.pk]
        )

    burn = selectors.burns(month=OCTOBER)[triage.pk]

    assert whole(burn.direct, burn.shared) == [20, 30]


def test_an_hour_burns_the_month_in_which_it_starts_in_the_organisations_zone(world: World) -> None:
    """Half past midnight of 1 November in Berlin is still October in UTC; the month is the organisation's."""
    organisation.make(actor=MACHINE, name="Larkfield", zone="Europe/Berlin")
    company = Company(world)
    chat = make_workload("Chat", world)
    company.spend(chat, 4, at(31, 22))
    company.spend(chat, 7, at(31, 23))
    rate_all()

    assert selectors.burns(month=OCTOBER)[chat.pk].direct == 4
    assert selectors.burns(month=NOVEMBER)[chat.pk].direct == 7


def test_cost_without_a_price_is_unknown_and_passes_nothing(world: World) -> None:
    company = Company(world)
    chat = make_workload("Chat", world)
    company.spend(chat, 4, at(3), offering=make_offering("nobody", "unheard-of"))
    rate_all()
    budget(chat, 0)

    burn = selectors.burns(month=OCTOBER)[chat.pk]
    assert (burn.direct, burn.unpriced_tokens) == (None, 4_000_000)
    assert services.sweep(now=ON_THE_20TH) == []


def test_a_sum_of_which_nothing_is_known_is_unknown_and_one_known_in_part_names_the_rest(world: World) -> None:
    company, client = Company(world), log_in(world.ada)
    chat = make_workload("Chat", world)
    company.spend(chat, 4, at(3), offering=make_offering("nobody", "unheard-of"))
    rate_all()

    def why(figure: str) -> tuple[str, list[tuple[str, str]]]:
        context = client.get(f"/budgets/sums/{figure}/why/?month=2026-10").context
        return context["figure"], [(line.label, line.text) for line in context["lines"]]

    unknown = ("Chat, and usage without a price", "–")
    assert why("spent") == ("$0.00", [])
    assert why("ungoverned") == ("–", [unknown])
    budget(chat, 10)
    assert why("granted") == ("$10.00", [("Chat", "$10.00")])
    assert why("spent") == ("–", [unknown])
    notes = make_workload("Notes", world)
    budget(notes, 20)
    company.spend(notes, 5, at(3))
    rate_all()
    assert why("spent") == ("$5.00", [("Notes", "$5.00"), unknown])


def test_the_burn_of_a_running_month_has_a_forecast_and_a_day_on_which_it_runs_out(world: World) -> None:
    company = Company(world)
    chat = make_workload("Chat", world)
    for day in range(1, 12):
        company.spend(chat, 10, at(day))
    rate_all()
    budget(chat, 200)

    burn = selectors.burn_for(actor=MACHINE, workload=chat, month=OCTOBER, today=date(2026, 10, 11))

    assert whole(burn.direct, burn.run_rate, burn.expected) == [110, 10, 310]
    assert (whole(burn.low, burn.high), burn.runs_out_on) == ([310, 310], date(2026, 10, 21))
    assert burn.will_pass
    assert burn.days[-1] == (date(2026, 10, 11), Decimal(110))


def test_days_that_no_source_has_told_of_yet_are_not_free(world: World) -> None:
    """It is the 20th, and the newest day in the books is the 11th: the rate is that of ten days."""
    company = Company(world)
    chat = make_workload("Chat", world)
    for day in range(1, 12):
        company.spend(chat, 10, at(day))
    rate_all()

    burn = selectors.burn_for(actor=MACHINE, workload=chat, month=OCTOBER, today=date(2026, 10, 20))

    assert whole(burn.run_rate, burn.expected) == [10, 310]


def test_a_month_that_is_over_has_no_forecast_but_the_day_on_which_it_ran_out(summaries: Workload) -> None:
    budget(summaries, 25)

    burn = selectors.burn_for(actor=MACHINE, workload=summaries, month=OCTOBER, today=date(2026, 11, 3))

    assert (burn.forecast, burn.runs_out_on, burn.why_not) == (None, date(2026, 10, 20), "")


def test_cost_centres_sum_what_was_granted_below_beside_their_own(world: World, company: Company) -> None:
    services.set_budget(actor=MACHINE, owner=world.operations, month=OCTOBER, amount=Decimal(100))
    budget(Workload.objects.get(name="Summaries"), 70)
    budget(make_workload("Sorting", world, cost_centre=world.operations), 50)

    rows = {row.centre.code: row for row in selectors.centre_rows(actor=MACHINE, month=OCTOBER)}

    assert whole(rows["OPS"].burn.amount, rows["OPS"].granted, rows["OPS"].spare) == [100, 120, -20]
    assert whole(rows["CARE"].burn.amount, rows["CARE"].granted, rows["CARE"].burn.direct) == [None, 70, 30]
    assert whole(rows["OPS"].burn.direct, rows["LEG"].burn.direct) == [30, 50]
    assert (rows["OPS"].workloads, rows["LEG"].without_budget) == (2, 1)


def test_the_questions_do_not_grow_with_the_workloads(world: World, company: Company) -> None:
    def asked() -> int:
        with CaptureQueriesContext(connection) as queries:
            selectors.burns(month=OCTOBER, today=date(2026, 10, 21), with_forecast=True)
            selectors.centre_rows(actor=MACHINE, month=OCTOBER, today=date(2026, 10, 21))
            services.sweep(now=ON_THE_20TH)
        return len(queries)

    budget(Workload.objects.get(name="Summaries"), 1000)
    asked()
    few = asked()
    for number in range(40):
        workload = make_workload(f"Grown {number}", world)
        budget(workload, 1000)
        company.spend(workload, 1, at(1 + number % 20))
    rate_all()
    assert asked() == few


# --- Unknown is never zero --------------------------------------------------------------------------------------------


def books(statement: str, workload: Workload) -> None:
    """The month's sums of a workload as some other history would have left them."""
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE costs_month SET {statement} WHERE workload_id = %s", [workload.pk])


def burned(workload: Workload) -> selectors.Burn:
    return selectors.burns(month=OCTOBER)[workload.pk]


def test_a_month_of_corrections_alone_has_spent_what_they_say(summaries: Workload) -> None:
    books("lines = 0", summaries)

    assert burned(summaries).direct == 30


def test_what_has_no_exchange_rate_is_unknown_and_says_so(summaries: Workload) -> None:
    budget(summaries, 100)
    books("amount_org = 0, unconverted_lines = lines", summaries)

    burn = burned(summaries)

    assert (burn.direct, burn.mark, burn.left) == (None, "amounts without an exchange rate", None)
    assert (burn.standing, burn.words) == (selectors.Standing.UNKNOWN, "unknown")


def test_a_part_that_is_known_is_measured_and_the_rest_is_marked(summaries: Workload) -> None:
    budget(summaries, 25)
    books("unconverted_lines = 1, lines = lines + 1", summaries)

    burn = burned(summaries)

    assert (burn.direct, burn.is_over, burn.mark) == (30, True, "amounts without an exchange rate")


def test_what_becomes_unknown_is_no_correction_to_zero(summaries: Workload) -> None:
    budget(summaries, 30)
    services.sweep(now=ON_THE_20TH)
    books("amount_org = 0, unpriced_lines = lines", summaries)

    services.sweep(now=at(21))

    assert not Notice.objects.filter(corrected_at__isnull=False).exists()


def test_nothing_may_be_spent_of_a_suspended_budget(summaries: Workload) -> None:
    budget(summaries, 1000)
    services.suspend(actor=MACHINE, owner=summaries, month=OCTOBER)

    (notice,) = services.sweep(now=ON_THE_20TH)

    assert (notice.level, notice.limit_amount) == ("full", 0)
    assert (burned(summaries).is_over, burned(summaries).is_warned, burned(summaries).amount) == (True, True, 1000)
    over = budget_rows(actor=MACHINE, month=OCTOBER, filters=Filters(state="over"))
    assert ([row.name for row in over], totals_of(over).over) == (["Summaries"], 1)


def test_days_that_its_own_source_has_not_told_of_are_not_free(world: World) -> None:
    """Chat's source fell silent after the 5th, another one goes on until the 20th: the rate is that of four days."""
    silent, other = Company(world), Company(world, source="Other gateway")
    chat, draws = make_workload("Chat", world), make_workload("Draws", world)
    for day in range(1, 6):
        silent.spend(chat, 10, at(day))
    other.spend(draws, 10, at(20))
    rate_all()

    burn = selectors.burn_for(actor=MACHINE, workload=chat, month=OCTOBER, today=date(2026, 10, 21))
    rows = {
        row.centre.code: row.burn
        for row in selectors.centre_rows(actor=MACHINE, month=OCTOBER, today=date(2026, 10, 21))
    }

    assert whole(burn.run_rate, burn.expected) == [10, 310]
    assert rows["CARE"].run_rate is None, "Draws has spent on the 20th, of which Chat's source tells nothing"
    assert rows["CARE"].days[-1] == (date(2026, 10, 20), 60)


def test_what_is_spent_at_a_second_source_counts_where_the_first_one_fell_silent(world: World) -> None:
    """10 a day at one gateway until the 4th, then 100 a day at another: 1,640 by the 20th, 1,040 by the 14th."""
    old, new = Company(world), Company(world, source="Other gateway")
    chat = make_workload("Chat", world)
    for day in range(1, 5):
        old.spend(chat, 10, at(day))
    for day in range(5, 21):
        new.spend(chat, 100, at(day))
    rate_all()
    budget(chat, 1000)

    burn = selectors.burn_for(actor=MACHINE, workload=chat, month=OCTOBER, today=date(2026, 10, 21))

    assert (burn.direct, burn.run_rate, burn.runs_out_on) == (1640, None, date(2026, 10, 14))


def test_a_budget_that_was_raised_has_corrected_nothing(summaries: Workload) -> None:
    budget(summaries, 30, soft="0.8", hard="1")
    services.sweep(now=ON_THE_20TH)
    budget(summaries, 200, soft="0.8", hard="1")

    assert services.sweep(now=at(21)) == []
    assert not Notice.objects.filter(corrected_at__isnull=False).exists()


def test_a_bill_that_is_spread_over_days_to_come_gives_no_rate(summaries: Workload) -> None:
    books("basis = 'effective'", summaries)

    burn = selectors.burn_for(actor=MACHINE, workload=summaries, month=OCTOBER, today=date(2026, 10, 21))

    assert (burn.expected, burn.direct) == (None, 30)
    assert burn.why_not.startswith("No forecast: none of this month's cost is counted day by day")


def test_where_nobody_answers_for_a_budget_any_more_the_administrators_hear_of_it(summaries: Workload) -> None:
    Person.objects.filter(name="Ben Okoro").update(active=False)
    budget(summaries, 30)

    services.sweep(now=ON_THE_20TH)
    services.send_notices(now=ON_THE_20TH)

    (message,) = mail.outbox
    assert message.to == ["ada@example.com"]
    assert "nobody who answers for this budget" in message.body

"""The pages of the budgets: what they say, what they set, and what they do not promise."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.paginator import Paginator
from django.db import connection
from django.template.loader import render_to_string
from django.test import Client, RequestFactory
from django.utils import timezone

from apps.accounts.models import Role
from apps.approvals.models import Confirmation
from apps.budgets import selectors, services
from apps.budgets.models import Budget
from apps.budgets.rows import Filters, budget_rows, totals_of, with_forecasts
from apps.core.errors import NotAllowed
from apps.web.budget_forms import BudgetForm, initial_of, said_of
from apps.web.budgets import _Row as Line
from apps.web.budgets import block_of
from apps.workloads.models import Workload, WorkloadRevision
from tests.approvals.deciding import confirm
from tests.books import at, make_offering, make_workload, rate_all
from tests.web.company import Company, make_company
from tests.world import MACHINE, World, actor, give, log_in, make_member

pytestmark = pytest.mark.django_db
OCTOBER, LIST = date(2026, 10, 1), "/budgets/?month=2026-10"
SHARES = {"soft": "80", "hard": "100", "on_hard": "tell"}


@pytest.fixture
def company(world: World) -> Company:
    """October: Summaries has spent 30 of 25, Triage 50 of 100, Sorting nothing of 0, Draws 5 without a budget."""
    made = make_company(world)
    made.spend(make_workload("Draws", world), 5, at(3))
    rate_all()
    for name, amount in (("Summaries", 25), ("Triage", 100), ("Sorting", 0)):
        workload = Workload.objects.filter(name=name).first() or make_workload(name, world)
        services.set_budget(actor=MACHINE, owner=workload, month=OCTOBER, amount=Decimal(amount))
    return made


def text_of(client: Client, address: str, status: int = 200) -> str:
    answer = client.get(address)
    assert answer.status_code == status
    return " ".join(answer.content.decode().split())


def first_of(day: date) -> datetime:
    return datetime(day.year, day.month, 1, tzinfo=UTC)


def this_month() -> str:
    return f"{timezone.localdate():%Y-%m}"


def test_the_list_shows_each_budget_with_what_is_spent_of_it_and_the_sums(world: World, company: Company) -> None:
    shown = text_of(log_in(world.ada), LIST)

    for words in ("120%", "50%", "over budget", "nothing may be spent", "no budget", "All 4 workloads", "$85.00"):
        assert words in shown
    assert "$5.00 of what is spent has no budget" in shown


def test_the_list_is_ordered_by_what_is_used_and_what_has_no_budget_comes_last(world: World, company: Company) -> None:
    shown = text_of(log_in(world.ada), LIST)

    assert [shown.index(f">{name}<") for name in ("Summaries", "Triage")] == sorted(
        shown.index(f">{name}<") for name in ("Summaries", "Triage")
    )
    assert shown.index(">Triage<") < shown.index(">Draws<")


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("state=over", {"Summaries"}),
        ("state=warned", {"Summaries"}),
        ("state=within", {"Triage", "Sorting"}),
        ("state=none", {"Draws"}),
        ("state=suspended", set()),
        ("cc=LEG", {"Triage"}),
        ("cc=OPS", {"Summaries", "Sorting", "Draws"}),
        ("q=summ", {"Summaries"}),
        ("owner=me", set()),
    ],
)
def test_filters_stand_in_the_address(world: World, company: Company, query: str, names: set[str]) -> None:
    shown = text_of(log_in(world.ada), f"{LIST}&{query}")

    assert {name for name in ("Summaries", "Triage", "Sorting", "Draws") if f">{name}<" in shown} == names


@pytest.mark.parametrize(("query", "status"), [("state=rich", 400), ("cc=nowhere", 404), ("month=2026-13", 400)])
def test_filters_that_are_none_are_refused_in_words(world: World, company: Company, query: str, status: int) -> None:
    text_of(log_in(world.ada), f"/budgets/?{query}", status)


def test_everybody_sees_the_budgets_whose_money_they_see(world: World, company: Company) -> None:
    seen = {
        name: {row for row in ("Summaries", "Triage", "Sorting") if f">{row}<" in text_of(log_in(person), LIST)}
        for name, person in (("cleo", world.cleo), ("eve", world.eve), ("gus", world.gus))
    }

    assert seen == {"cleo": {"Summaries", "Sorting"}, "eve": {"Triage"}, "gus": {"Triage"}}


def test_the_file_has_every_figure_in_full(world: World, company: Company) -> None:
    answer = log_in(world.ada).get(f"{LIST}&format=csv")
    lines = b"".join(answer.streaming_content).decode().splitlines()  # type: ignore[attr-defined]

    assert lines[0].startswith("Workload,Reference,Cost centre,Budget owner,State,Budget (USD),Holds since")
    (summaries,) = [line.split(",") for line in lines if line.startswith("Summaries")]
    assert summaries[2:7] == ["Care", "Ben Okoro", "over budget", "25.000000000000000000", "2026-10-01"]
    assert (Decimal(summaries[10]), summaries[11], Decimal(summaries[12])) == (30, "", 0)
    assert summaries[19] == "2026-10-20"


def test_the_tree_shows_what_was_granted_beside_the_own_budget(world: World, company: Company) -> None:
    services.set_budget(actor=MACHINE, owner=world.operations, month=OCTOBER, amount=Decimal(20))

    shown = text_of(log_in(world.ada), f"{LIST}&view=centres")

    for words in ("Operations", "$20.00", "$25.00", "more than its own", "no own budget", "175%"):
        assert words in shown


def test_the_figure_spent_leads_to_its_proof(world: World, company: Company) -> None:
    client = log_in(world.ada)
    proof = "/why/cost/?month=2026-10&amp;workload=triage&amp;component=direct"

    assert proof in text_of(client, LIST)
    assert "$50.00" in text_of(client, proof.replace("&amp;", "&"))


def test_each_figure_over_the_list_leads_to_what_it_adds_up(world: World, company: Company) -> None:
    client = log_in(world.ada)
    shown = text_of(client, LIST)

    for figure, total, addends in (
        ("granted", "$125.00", ("Triage", "$100.00", "Summaries", "$25.00")),
        ("spent", "$80.00", ("Triage", "$50.00", "Summaries", "$30.00")),
        ("over", '"tg-panel__figure">1<', ("Summaries", "$30.00")),
        ("ungoverned", "$5.00", ("Draws",)),
    ):
        address = f"/budgets/sums/{figure}/why/?month=2026-10"
        assert f'href="{address}"' in shown
        proof = text_of(client, address)
        assert all(words in proof for words in (total, *addends)), figure
    text_of(client, "/budgets/sums/nothing/why/?month=2026-10", 404)


# --- Setting one ------------------------------------------------------------------------------------------------------


def test_setting_a_budget_says_what_it_means_before_and_does_it_after(world: World, company: Company) -> None:
    client, address = log_in(world.ben), "/budgets/workload/draws/"
    typed = {"amount": "4,000", "month": this_month(), **SHARES, "standing": "0", "reason": "First month"}

    preview = client.post(address, {**typed, "preview": "1"})
    assert preview.status_code == 200
    assert "Draws may spend $4,000 a month, until you change it." in preview.content.decode()
    assert "Its owners are told at $3,200 and at $4,000, each once a month." in preview.content.decode()
    assert not Budget.objects.filter(workload__slug="draws").exists()

    done = client.post(address, typed, follow=True)
    assert "The budget of Draws is set." in done.content.decode()
    budget = Budget.objects.get(workload__slug="draws")
    assert (budget.amount, budget.soft, budget.hard) == (4000, Decimal("0.8"), Decimal(1))
    assert budget.reason == "First month"


def test_the_part_for_the_preview_is_the_preview_alone(world: World, company: Company) -> None:
    typed = {"amount": "0", "month": this_month(), **SHARES, "preview": "1"}

    part = log_in(world.ben).post("/budgets/workload/draws/", typed, headers={"HX-Request": "true"})

    assert part.content.decode().strip().startswith('<section class="tg-card" id="preview"')
    assert "may spend nothing" in part.content.decode()
    assert "told of the first cent" in part.content.decode()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"amount": "-5"}, "Write an amount like 4000 or 4000.50."),
        ({"amount": "much"}, "Write an amount like 4000 or 4000.50."),
        ({"soft": "90", "hard": "80"}, "The hard threshold lies at or above the soft one."),
        ({"month": "2031-01"}, "Select a valid choice"),
    ],
)
def test_a_wrong_answer_is_said_at_its_field(world: World, company: Company, wrong: dict[str, str], words: str) -> None:
    typed = {"amount": "4000", "month": this_month(), **SHARES, **wrong}

    answer = log_in(world.ben).post("/budgets/workload/draws/", typed)

    assert answer.status_code == 422
    assert words in answer.content.decode()


def test_a_stale_tab_is_told_and_changes_nothing(world: World, company: Company) -> None:
    client, address = log_in(world.ben), "/budgets/workload/draws/"
    typed = {"month": this_month(), **SHARES, "standing": "0"}
    client.post(address, {**typed, "amount": "100"})

    late = client.post(address, {**typed, "amount": "900"})

    assert late.status_code == 422
    assert "Somebody changed this budget in the meantime" in late.content.decode()
    assert Budget.objects.get(workload__slug="draws").amount == 100


def test_a_budget_to_be_blocked_promises_no_gate(world: World, company: Company) -> None:
    typed = {"amount": "100", "month": this_month(), **SHARES, "on_hard": "block", "preview": "1"}

    shown = log_in(world.ben).post("/budgets/workload/draws/", typed).content.decode()

    assert "Nothing is blocked yet: calls go on until a gateway holds them." in shown


def test_suspending_resuming_and_ending_by_its_buttons(world: World, company: Company) -> None:
    client, address = log_in(world.ben), "/budgets/workload/summaries/"
    summaries = Workload.objects.get(slug="summaries")
    month = selectors.this_month()

    def turn(deed: str) -> str:
        standing = selectors.row_at(summaries, month)
        data = {"turn": deed, "reason": "A test", "expected_id": standing.pk if standing else 0}
        return client.post(address, data, follow=True).content.decode()

    assert "The budget of Summaries is suspended." in turn("suspend")
    assert selectors.budgets_at(month)[summaries.pk].is_suspended
    assert "The budget of Summaries holds again." in turn("resume")
    assert "The budget of Summaries has ended." in turn("end")
    assert summaries.pk not in selectors.budgets_at(month)
    assert "has no budget" in turn("suspend")


def test_a_part_of_a_budget_moves_once_somebody_else_has_confirmed_it(world: World, company: Company) -> None:
    client, address = log_in(world.ben), "/budgets/workload/summaries/"

    def move(taker: str, amount: str) -> str:
        data = {"taker": taker, "amount": amount, "reason": "Sorting grows"}
        return client.post(address, data, follow=True).content.decode()

    def amounts() -> list[int]:
        found = selectors.budgets_at(selectors.this_month()).values()
        return [int(each.amount) for each in sorted(found, key=lambda each: str(each.owner))]

    assert "It counts once somebody else has confirmed it" in move("Sorting", "5")
    assert amounts() == [0, 25, 100]
    waiting = Confirmation.objects.get(kind="budget_transfer")
    assert "Move 5 a month to Sorting" in client.get(address).content.decode()
    confirm(waiting, world.hana)
    assert amounts() == [5, 20, 100]
    refused = move("Triage", "5")
    assert "There is no workload “Triage” whose budget you see." in refused
    assert "Sorting grows" in refused
    assert "has 20 a month" in move("Sorting", "21")


def test_more_than_a_review_allows_is_proposed_by_the_same_form(world: World, company: Company) -> None:
    client, address = log_in(world.ben), "/budgets/workload/triage/"
    triage, gia = Workload.objects.get(slug="triage"), make_member("Gia Rossi")
    Workload.objects.filter(pk=triage.pk).update(cost_centre=world.care, budget_owner=world.ben)
    give(gia, Role.APPROVER, world.operations, by=world.ada)
    services.lower(actor=actor(world.hana), owner=triage, month=selectors.this_month(), amount=Decimal(60))
    standing = selectors.row_at(triage, selectors.this_month())
    typed = {
        "amount": "90",
        "month": this_month(),
        **SHARES,
        "reason": "It pays",
        "standing": str(standing and standing.pk),
    }

    page = client.post(address, typed, follow=True).content.decode()

    assert "It counts once somebody else has confirmed it" in page
    assert "Capped by a review at" in page
    waiting = Confirmation.objects.get(kind="budget")
    with pytest.raises(NotAllowed, match="You edited the use case"):
        confirm(waiting, world.hana)
    confirm(waiting, gia)
    held = selectors.budgets_at(selectors.this_month())[triage.pk]
    assert (held.amount, held.cap, held.decision_id) == (90, 90, waiting.decision.pk)


def test_a_stale_tab_is_told_before_more_than_a_review_allows_is_proposed_and_keeps_what_was_typed(
    world: World, company: Company
) -> None:
    client, address, month = log_in(world.ben), "/budgets/workload/summaries/", selectors.this_month()
    summaries = Workload.objects.get(slug="summaries")
    services.set_budget(actor=MACHINE, owner=summaries, month=month, amount=Decimal(100))
    seen = selectors.row_at(summaries, month)
    services.lower(actor=actor(world.hana), owner=summaries, month=month, amount=Decimal(60))
    typed = {"amount": "90", "month": this_month(), **SHARES, "reason": "It pays", "standing": str(seen and seen.pk)}

    late = client.post(address, typed)

    assert late.status_code == 422
    page = late.content.decode()
    was, now = "100 a month, told at 80% and 100%", "60 a month, told at 80% and 100%"
    assert f"in the meantime: it was {was}, and is {now}." in page
    assert 'value="90"' in page
    assert 'value="It pays"' in page
    assert not Confirmation.objects.filter(kind="budget").exists()
    newer = selectors.row_at(summaries, month)
    assert f'name="standing" value="{newer and newer.pk}"' in page
    client.post(address, {**typed, "standing": str(newer and newer.pk)})
    assert Confirmation.objects.get(kind="budget").proposed["amount"] == "90"


def test_what_is_unknown_is_marked_in_list_page_and_file(world: World, company: Company) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE costs_month SET unconverted_lines = 1, lines = lines + 1 WHERE workload_id IS NOT NULL")
    client = log_in(world.ada)

    for address in (LIST, f"{LIST}&view=centres"):
        assert "and amounts without an exchange rate" in text_of(client, address)
    answer = client.get(f"{LIST}&view=centres&format=csv")
    assert b"amounts without an exchange rate" in b"".join(answer.streaming_content)  # type: ignore[attr-defined]


def test_a_share_of_what_is_known_in_part_says_so_and_what_is_unknown_adds_no_zero(world: World) -> None:
    """Chat has spent 820 of 1,000 and what has no price; of Search, 1,000 too, nothing is known."""
    made, client = Company(world), log_in(world.ada)
    chat, search = make_workload("Chat", world), make_workload("Search", world)
    unheard = make_offering("nobody", "unheard-of")
    made.spend(chat, 820, at(3))
    for each in (chat, search):
        made.spend(each, 4, at(3), offering=unheard)
        services.set_budget(actor=MACHINE, owner=each, month=OCTOBER, amount=Decimal(1000))
    rate_all()

    def cells(query: str = "") -> list[str]:
        """Of Chat, and of the sums."""
        shown = text_of(client, f"{LIST}{query}")
        return [part.split("</tr>")[0] for part in (shown.split("<tbody>")[1], shown.split("<tfoot>")[1])]

    for part, share in zip(cells("&q=chat"), ("82%", "82%"), strict=True):
        assert f"{share}</span></span><span" in part
        assert "and what is unknown" in part.split(share)[1]
    assert "within, as far as is known" not in cells("&q=chat")[0]  # it is over its soft threshold, whatever is unknown
    _, foot = cells()
    assert "41%" in foot
    assert "and what is unknown of 2" in foot
    assert "and what is unknown" in foot.split("41%")[1]
    _, foot = cells("&q=search")
    assert "$0.00" not in foot
    assert "what is unknown of 1" in foot
    assert "%</span>" not in foot
    kpis = {kpi.label: kpi for kpi in client.get(f"{LIST}").context["kpis"]}
    assert (kpis["Spent of them"].strong, kpis["Spent of them"].context) == (
        "41%",
        "of the budgets, and what is unknown",
    )
    kpis = {kpi.label: kpi for kpi in client.get(f"{LIST}&q=search").context["kpis"]}
    assert (kpis["Spent of them"].figure, kpis["Spent of them"].context) == ("–", "what is spent is unknown")


def test_what_a_month_is_expected_to_cost_says_that_some_of_it_is_unknown(world: World) -> None:
    """10 a day up to the 11th, and once what has no price: 310, and neither lasting nor within a budget of 400."""
    made = Company(world)
    chat = make_workload("Chat", world)
    for day in range(1, 12):
        made.spend(chat, 10, at(day))
    made.spend(chat, 4, at(2), offering=make_offering("nobody", "unheard-of"))
    rate_all()
    services.set_budget(actor=MACHINE, owner=chat, month=OCTOBER, amount=Decimal(400))
    today = date(2026, 10, 11)

    sentence = block_of(chat, today=today, currency="USD").sentence
    assert "<b>$110</b> and usage without a price spent." in sentence
    assert "$310</b> ($310 to $310) and what is unknown." in sentence
    assert "lasts" not in sentence
    burn = selectors.burn_for(actor=MACHINE, workload=chat, month=OCTOBER, today=today)
    assert burn.words == "within, as far as is known"
    values = BudgetForm(today=today, initial=initial_of(chat, today)).standing_values()
    assert values is not None
    said = [words for _, words in said_of(chat, values, burn, "USD", today)]
    assert "$110 is spent in October so far, 28% of it and what is unknown." in said
    assert "October is expected to end at $310 ($310 to $310) and what is unknown." in said
    rows = with_forecasts(budget_rows(actor=MACHINE, month=OCTOBER, filters=Filters()), month=OCTOBER, today=today)
    context = {
        "rows": [Line(row, "", "") for row in rows],
        "totals": totals_of(rows),
        "currency": "USD",
        "page": Paginator(rows, 25).page(1),
    }
    shown = render_to_string("budgets/list.html#rows", context, RequestFactory().get("/budgets/"))
    assert shown.split("<tfoot>")[0].count("and what is unknown") == 3  # used, a day, expected


def test_a_month_of_which_nothing_is_known_is_expected_to_end_at_no_zero(world: World) -> None:
    """20 in September, and in October only what has no price; without a budget there, so that both cards say it."""
    made, client = Company(world), log_in(world.ada)
    chat, today = make_workload("Chat", world), date(2026, 10, 11)
    made.spend(chat, 20, at(20, month=9))
    unheard = make_offering("nobody", "unheard-of")
    for day in range(1, 11):
        made.spend(chat, 4, at(day), offering=unheard)
    rate_all()

    burn = selectors.burn_for(actor=MACHINE, workload=chat, month=OCTOBER, today=today)
    assert (burn.direct, burn.run_rate, burn.expected, burn.why_not) == (
        None, None, None, "No forecast: nothing of this month's cost is known as money.",
    )  # fmt: skip
    sentence = block_of(chat, today=today, currency="USD").sentence
    assert "What is spent is unknown: usage without a price." in sentence
    assert "spent. " not in sentence
    kpis = {kpi.label: kpi for kpi in client.get(LIST).context["kpis"]}
    assert (kpis["Spent without a budget"].figure, kpis["Spent without a budget"].context) == (
        "–",
        "what they spent is unknown; 1 workloads have none",
    )


def test_whoever_may_only_look_gets_no_form(world: World, company: Company) -> None:
    shown = text_of(log_in(world.hana), "/budgets/workload/summaries/")

    assert "You may look, not change." in shown
    assert "Set the budget" not in shown


def test_the_page_of_a_cost_centre_sets_its_own_budget(world: World, company: Company) -> None:
    client, address = log_in(world.cleo), f"/budgets/centre/{world.care.pk}/"
    typed = {"amount": "500", "month": this_month(), **SHARES, "standing": "0"}

    client.post(address, typed)

    assert Budget.objects.get(cost_centre=world.care).amount == 500
    assert log_in(world.cleo).get(f"/budgets/centre/{world.legal.pk}/").status_code == 404


# --- Elsewhere --------------------------------------------------------------------------------------------------------


def test_the_workload_page_shows_the_month_that_runs(world: World, company: Company) -> None:
    today = timezone.localdate()
    summaries = Workload.objects.get(slug="summaries")
    company.spend(summaries, 9, first_of(today))
    rate_all()

    shown = text_of(log_in(world.ben), "/workloads/summaries/?month=2026-10")

    assert f"Budget, {today:%B} so far" in shown
    assert "Not enough history" in shown or "Expected" in shown


def test_home_names_a_budget_of_mine_that_passed_a_threshold(world: World, company: Company) -> None:
    today = timezone.localdate()
    summaries = Workload.objects.get(slug="summaries")
    company.spend(summaries, 22, first_of(today))
    rate_all()

    shown = text_of(log_in(world.ben), "/")
    assert "Summaries is over the soft threshold" in shown
    assert "88% of it is spent" in shown
    assert "Summaries is over" not in text_of(log_in(world.cleo), "/")


def test_a_table_of_budgets_is_tried_first_and_taken_then(world: World, company: Company) -> None:
    client = log_in(world.cleo)
    table = (
        b"workload,cost_centre,month,amount,soft\nWL-999,,,5,\nDraws,,2026-11,700,50\n,CARE,2026-11,900,\n"
        b"Triage,,2026-11,1,\nSummaries,,2026-10,25,\n"
    )
    dry = client.post("/workloads/import/?kind=budgets", {"file": SimpleUploadedFile("b.csv", table)})

    shown = dry.content.decode()
    assert "2 new" in shown
    assert "1 unchanged" in shown
    assert "2 with an error" in shown
    assert not Budget.objects.filter(workload__slug="draws").exists()

    digest = dry.context["result"].digest
    client.post("/workloads/import/apply/?kind=budgets", {"text": table.decode(), "digest": digest})
    budget = Budget.objects.get(workload__slug="draws")
    assert (budget.amount, budget.soft, budget.month) == (700, Decimal("0.5"), date(2026, 11, 1))
    assert Budget.objects.get(cost_centre=world.care).amount == 900
    assert not Budget.objects.filter(workload__slug="triage", amount=1).exists()


def test_what_a_registration_says_is_the_budget_at_once(world: World) -> None:
    told = make_workload("Told", world, monthly_spend_expected=Decimal(4000))
    WorkloadRevision.objects.create(workload=told, version=1)
    services.adopt_registered(actor=MACHINE)

    shown = text_of(log_in(world.ben), "/workloads/told/?month=2026-10")
    assert "May spend a month" in shown
    assert "$4,000" in shown
    assert selectors.budgets_at(OCTOBER)[told.pk].amount == 4000

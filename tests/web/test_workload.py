"""The page of one workload, and what of it a member without money sees."""

import pytest

from apps.workloads import services as workloads
from apps.workloads.models import Workload
from tests.books import at, make_offering, prices, rate_all
from tests.web.company import Company, make_company
from tests.world import World, actor, log_in

pytestmark = pytest.mark.django_db
SUMMARIES = "/workloads/summaries/?month=2026-10"


@pytest.fixture
def company(world: World) -> Company:
    return make_company(world)


def test_the_page_says_in_a_sentence_and_six_figures_what_is_the_matter(company: Company, world: World) -> None:
    answer = log_in(world.ben).get(SUMMARIES)
    assert answer.status_code == 200
    kpis = {kpi.label: (kpi.figure, kpi.strong, kpi.context) for kpi in answer.context["kpis"]}
    assert kpis["Full cost"] == ("$30.00", "+50.0%", "from September")
    assert kpis["Cost per call"][0] == "$1.50"
    assert kpis["Calls"] == ("20", "+100.0%", "from September")
    assert kpis["Latency, p95"] == ("2 to 2.5 s", "over", "the band of 2 s")
    assert kpis["Cache share"][0] == "0.0%"
    assert kpis["Failed share"][0] == "0.0%"
    assert answer.context["sentence"] == (
        "It cost $30.00 in October 2026, 50.0% more than in September. "
        "Its answers are slower than the conversational band allows."
    )


# 87 dollars in October against the 20 of September.
OF_ALL = "+335.0%"


@pytest.mark.parametrize(
    ("unpriced", "words", "proof"),
    [
        ([9], "usage without a price</a> in September", "month=2026-09"),
        ([10], "usage without a price</a> in October", "month=2026-10"),
        ([9, 10], "usage without a price</a> in October and September", "month=2026-10"),
    ],
)
def test_a_month_with_usage_without_a_price_is_compared_with_no_other(
    company: Company, world: World, unpriced: list[int], words: str, proof: str
) -> None:
    """Summaries cost 30 in October and 20 in September, and what has no price besides: 50.0% more is not known."""
    unheard = make_offering("nobody", "unheard-of")
    for month in unpriced:
        company.spend(Workload.objects.get(slug="summaries"), 4, at(4, month=month), offering=unheard)
    rate_all()

    client = log_in(world.ada)
    own, theirs = client.get(SUMMARIES), client.get("/workloads/?month=2026-10")
    costs, filtered = client.get("/costs/?month=2026-10"), client.get("/workloads/?month=2026-10&q=summ")
    shown = [(own, "&amp;workload=summaries", ""), (theirs, "", OF_ALL), (costs, "", OF_ALL)]
    for answer, query, moved in shown:
        (cost,) = [kpi for kpi in answer.context["kpis"] if kpi.label == "Full cost"]
        begins = "of what is known, from September: " if moved else "cannot be compared with September: "
        assert cost.strong == moved
        assert cost.context.startswith(begins)
        assert cost.context.endswith(words)
        assert f'href="/why/unpriced/?{proof}{query}"' in cost.context
    plain = words.replace("</a>", "")
    assert f"It cost $30.00 in October 2026; it cannot be compared with September: {plain}." in own.context["sentence"]
    assert "50.0% more" not in own.content.decode()
    for portfolio in (theirs, filtered):
        assert {row.workload.slug: row.row.change for row in portfolio.context["rows"]}["summaries"] is None
        assert portfolio.context["found"].change is None
    for answer in (theirs, filtered, costs):
        assert ">of what is known<" in answer.content.decode()
    assert {row.name: row.change for row in costs.context["page"].object_list}["Summaries"] is None
    home = client.get("/?month=2026-10")
    assert home.context["full_change"] is None
    assert home.context["full_known"][0] == OF_ALL
    assert home.context["full_known"][1].endswith(words)


def test_a_month_without_usage_says_not_that_the_one_before_had_none(company: Company, world: World) -> None:
    """October knows 30 and has usage without a price; of November nothing is there yet."""
    company.spend(Workload.objects.get(slug="summaries"), 4, at(4), offering=make_offering("nobody", "unheard-of"))
    rate_all()
    (cost,) = [
        kpi
        for kpi in log_in(world.ada).get("/costs/?month=2026-11&workload=summaries").context["kpis"]
        if kpi.label == "Full cost"
    ]
    assert cost.strong == ""
    assert cost.context.startswith("cannot be compared with all of October: ")
    assert cost.context.endswith("usage without a price</a> in all of October")


@pytest.mark.parametrize("sort", ["change", "-change"])
def test_a_change_that_is_unknown_comes_last_whichever_way_the_portfolio_is_sorted(
    company: Company, world: World, sort: str
) -> None:
    """Triage rose from 10 to 50. Summaries would stand before it or behind, were its unpriced usage nothing."""
    company.spend(Workload.objects.get(slug="triage"), 10, at(4, month=9))
    company.spend(Workload.objects.get(slug="summaries"), 4, at(4), offering=make_offering("nobody", "unheard-of"))
    rate_all()
    rows = log_in(world.ada).get(f"/workloads/?month=2026-10&sort={sort}").context["rows"]
    assert [(row.workload.slug, row.row.change) for row in rows] == [("triage", 4), ("summaries", None)]


def test_a_price_that_came_makes_both_months_known_and_compared(company: Company, world: World) -> None:
    """4 million tokens of September at a dollar each: 30 against 24 are 25.0% more."""
    offering = make_offering("nobody", "unheard-of")
    company.spend(Workload.objects.get(slug="summaries"), 4, at(4, month=9), offering=offering)
    rate_all()
    prices(offering, input="1.00", output="1.00")
    rate_all()
    answer = log_in(world.ada).get(SUMMARIES)
    (cost,) = [kpi for kpi in answer.context["kpis"] if kpi.label == "Full cost"]
    assert (cost.strong, cost.context) == ("+25.0%", "from September")


def test_every_figure_of_the_strip_leads_to_its_proof(company: Company, world: World) -> None:
    client = log_in(world.ben)
    for kpi in client.get(SUMMARIES).context["kpis"]:
        answer = client.get(kpi.why)
        assert answer.status_code == 200
        assert answer.context["explained"].figure in (kpi.figure, f"{kpi.figure}")


def test_the_page_shows_models_bindings_sources_and_history(company: Company, world: World) -> None:
    body = log_in(world.ben).get(SUMMARIES).content.decode()
    for words in (
        "WL-",
        "T2",
        "Conversational",
        "Care",
        "Ben Okoro",
        "Dan Reyes",
        "dollar",
        "Gateway",
        "No bill covers these calls",
    ):
        assert words in body


def test_too_few_timed_calls_say_nothing_about_the_band(company: Company, world: World) -> None:
    summaries = Workload.objects.get(slug="summaries")
    counts = [0] * 26
    counts[0] = 99
    company.spend(summaries, 1, at(3, month=8), latency_counts=counts)
    rate_all()
    kpis = {kpi.label: kpi for kpi in log_in(world.ben).get("/workloads/summaries/?month=2026-08").context["kpis"]}
    assert (kpis["Latency, p95"].figure, kpis["Latency, p95"].context) == ("–", "band of 2 s: too few calls to say")


def test_a_month_without_usage_is_unknown_and_not_zero(company: Company, world: World) -> None:
    answer = log_in(world.ben).get("/workloads/summaries/?month=2026-01")
    assert {kpi.figure for kpi in answer.context["kpis"]} == {"–"}
    assert "Bind a usage key" in answer.context["sentence"]


def test_a_member_sees_the_card_and_no_money(company: Company, world: World) -> None:
    answer = log_in(world.eve).get(SUMMARIES)
    body = answer.content.decode()
    assert answer.status_code == 200
    assert "Summaries for the team" in body
    assert "Ben Okoro" in body
    assert "$30" not in body
    assert "kpis" not in answer.context


def test_a_foreign_draft_and_an_unknown_name_are_not_found(company: Company, world: World) -> None:
    draft = workloads.start_draft(actor=actor(world.ben), name="Secret plan")
    assert log_in(world.ben).get(f"/workloads/{draft.slug}/").status_code == 200
    assert log_in(world.eve).get(f"/workloads/{draft.slug}/").status_code == 404
    assert log_in(world.eve).get("/workloads/nothing/").status_code == 404


def test_the_page_says_why_the_cost_changed_in_parts_that_add_up(company: Company, world: World) -> None:
    """September: 10 calls with 20 million tokens for 20. October: 20 calls with 30 million for 30."""
    chart = log_in(world.ben).get(SUMMARIES).context["change_chart"]
    assert dict(zip(chart.categories, chart.series[0].values, strict=True)) == {
        "Number of calls": 20,  # twice as many
        "Mix of models": 0,
        "Tokens per call": -10,  # 1.5 million instead of 2, in 20 calls
        "Price of a token": 0,
        "Sum": 10,
    }
    assert chart.note == "A call now carries 1,500,000 tokens; in September it was 2,000,000."
    assert chart.finding == "October 2026 cost $10.00 more than September; the largest part is number of calls."


def test_a_cost_that_has_nothing_before_it_is_not_split(company: Company, world: World) -> None:
    assert log_in(world.ben).get("/workloads/summaries/?month=2026-08").context["change_chart"].is_empty


def test_a_cost_of_which_something_has_no_price_is_not_told_to_have_changed(company: Company, world: World) -> None:
    """Ten calls of October are on a model that nobody has priced: neither October nor November has a change."""
    odd = make_offering("own", "nobody-knows")
    summaries = Workload.objects.get(slug="summaries")
    company.spend(summaries, 10, at(4), offering=odd)
    rate_all()
    client = log_in(world.ben)
    for month in ("2026-10", "2026-11"):
        answer = client.get(f"/workloads/summaries/?month={month}")
        chart = answer.context["change_chart"]
        body = answer.content.decode()
        assert chart.is_empty
        assert "The change is not known" in body
        assert "Some usage has no price: nobody-knows (October 2026). An analyst can give one." in body
        assert chart.not_known.href == "/costs/?month=2026-10&workload=summaries&group=model"
        assert "unpriced" in client.get(chart.not_known.href).content.decode()

    prices(odd, input="1.00", output="1.00")
    rate_all()
    assert client.get(SUMMARIES).context["change_chart"].series[0].values[-1] == 20

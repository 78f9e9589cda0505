"""The price pages as people use them: what has no price, the list, one model's history, a contract price."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.approvals.models import Confirmation
from apps.catalog import services as catalog
from apps.catalog.models import EffectiveRate, Offering, Rate
from apps.catalog.services import Prices
from apps.core.actor import Actor
from tests.approvals.deciding import confirm
from tests.world import World, log_in

pytestmark = pytest.mark.django_db
MACHINE = Actor.command("test")
NOVEMBER = datetime(2026, 11, 1, tzinfo=UTC)
CONTRACT = {
    "input": "2", "output": "8", "currency": "usd", "valid_from": "2026-11-01", "service_tier": "standard",
    "prompt_band": "0", "contract": "Enterprise",
}  # fmt: skip


@pytest.fixture
def offerings(world: Any) -> dict[str, Offering]:
    names = {"gpt": ("openai", "gpt-4o"), "claude": ("anthropic", "claude-sonnet-4-5"), "unknown": ("acme", "=cmd()")}
    found = catalog.resolve_many(names.values())
    return {key: found[pair] for key, pair in names.items()}


@pytest.fixture
def analyst(world: Any) -> Client:
    return log_in(world.cleo)


def test_what_has_no_price_stands_first(analyst: Client, offerings: dict[str, Offering]) -> None:
    page = analyst.get(reverse("rates:list")).content.decode()
    assert "1 model without a price" in page
    assert page.index("acme/=cmd()") < page.index("claude-sonnet-4-5")
    assert "$2.50" in page


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("?provider=openai", {"gpt"}),
        ("?class=standard", {"gpt"}),
        ("?class=premium", {"claude"}),
        ("?from=none", {"unknown"}),
        ("?q=SONNET", {"claude"}),
        ("?from=contract", set()),
        ("?class=nonsense&from=nonsense&sort=nonsense&page=nonsense", {"gpt", "claude", "unknown"}),
    ],
)
def test_filters_stand_in_the_url(analyst: Client, offerings: dict[str, Offering], query: str, shown: set[str]) -> None:
    response = analyst.get(reverse("rates:list") + query)
    assert {line.id for line in response.context["lines"]} == {offerings[key].pk for key in shown}


def test_sorting_keeps_the_unknown_last(analyst: Client, offerings: dict[str, Offering]) -> None:
    for sort, order in (("input", ["gpt", "claude", "unknown"]), ("-input", ["claude", "gpt", "unknown"])):
        response = analyst.get(reverse("rates:list"), {"sort": sort})
        assert [line.id for line in response.context["lines"]] == [offerings[key].pk for key in order]


def test_the_file_holds_what_the_page_shows(analyst: Client, offerings: dict[str, Offering]) -> None:
    response = analyst.get(reverse("rates:list"), {"format": "csv", "sort": "input"})
    lines = b"".join(response.streaming_content).decode().splitlines()
    assert len(lines) == 4
    assert lines[1].startswith("openai,gpt-4o,standard,api,2.5")
    assert lines[3].startswith("acme,'=cmd(),premium")


def test_a_workbook_comes_too(analyst: Client, offerings: dict[str, Offering]) -> None:
    assert analyst.get(reverse("rates:list"), {"format": "xlsx"}).content.startswith(b"PK")


def test_the_number_of_queries_does_not_grow_with_the_list(
    analyst: Client, offerings: dict[str, Offering], django_assert_max_num_queries: Any
) -> None:
    catalog.resolve_many([("acme", f"model {number}") for number in range(60)])
    with django_assert_max_num_queries(25):
        assert analyst.get(reverse("rates:list")).status_code == 200


def test_the_history_of_a_model_says_everything(analyst: Client, offerings: dict[str, Offering]) -> None:
    catalog.resolve("openai", "gpt-4o-2024-08-06")
    catalog.add_contract_rate(
        actor=MACHINE, offering=offerings["gpt"], prices=Prices(input=Decimal(2), output=Decimal(8)),
        currency="USD", valid_from=NOVEMBER, contract="Enterprise",
    )  # fmt: skip
    page = analyst.get(reverse("rates:offering", args=[offerings["gpt"].pk])).content.decode()
    for word in ("gpt-4o-2024-08-06", "another spelling", "Enterprise", "Contract", "batch", "Correct"):
        assert word in page


def test_an_analyst_adds_a_contract_price_that_another_confirms(
    analyst: Client, offerings: dict[str, Offering], world: World
) -> None:
    response = analyst.post(reverse("rates:add", args=[offerings["gpt"].pk]), CONTRACT)
    assert response.status_code == 302
    assert not Rate.objects.filter(scope="contract").exists()
    page = analyst.get(reverse("rates:offering", args=[offerings["gpt"].pk])).content.decode()
    assert "Waiting for confirmation by somebody else" in page
    confirm(Confirmation.objects.get(), world.ada)
    rate = Rate.objects.get(scope="contract")
    assert (rate.input, rate.currency, rate.valid_from, rate.valid_to) == (2, "USD", NOVEMBER, None)


def test_a_price_per_token_is_asked_about_before_it_is_taken(analyst: Client, offerings: dict[str, Offering]) -> None:
    address = reverse("rates:add", args=[offerings["gpt"].pk])
    asked = analyst.post(address, {**CONTRACT, "input": "0.000002"})
    assert asked.status_code == 422
    assert "Per 1M tokens?" in asked.content.decode()
    assert not Rate.objects.filter(scope="contract").exists()
    assert analyst.post(address, {**CONTRACT, "input": "0.000002", "confirmed": "on"}).status_code == 302


@pytest.mark.parametrize(
    "wrong",
    [
        {"input": "", "output": ""},
        {"input": "1.234,56"},
        {"input": "NaN"},
        {"input": "-1"},
        {"currency": "dollars"},
        {"valid_from": "soon"},
    ],
)
def test_a_form_that_cannot_be_used_says_what_is_wrong(
    analyst: Client, offerings: dict[str, Offering], wrong: dict[str, str]
) -> None:
    response = analyst.post(reverse("rates:add", args=[offerings["gpt"].pk]), {**CONTRACT, **wrong})
    assert response.status_code == 422
    assert "Please look at this first" in response.content.decode()


def test_a_contract_price_is_corrected_and_ended(analyst: Client, offerings: dict[str, Offering], world: World) -> None:
    analyst.post(reverse("rates:add", args=[offerings["gpt"].pk]), CONTRACT)
    confirm(Confirmation.objects.get(state="waiting"), world.ada)
    first = Rate.objects.get(scope="contract")
    analyst.post(reverse("rates:correct", args=[first.pk]), {"input": "2.1", "output": "8", "reason": "annex"})
    confirm(Confirmation.objects.get(state="waiting"), world.ada)
    second = Rate.objects.get(scope="contract", superseded_by=None)
    assert second.input == Decimal("2.1")
    assert analyst.get(reverse("rates:correct", args=[first.pk])).status_code == 404
    analyst.post(reverse("rates:end", args=[second.pk]), {"last_day": "2026-11-30", "reason": "over"})
    confirm(Confirmation.objects.get(state="waiting"), world.ada)
    held = EffectiveRate.objects.get(
        offering=offerings["gpt"], service_tier="standard", prompt_band=0, valid_to__year=9999
    )
    assert (held.scope, held.valid_from) == ("public", datetime(2026, 12, 1, tzinfo=UTC))


def test_an_unknown_model_takes_the_price_of_a_listed_one(analyst: Client, offerings: dict[str, Offering]) -> None:
    address = reverse("rates:listed", args=[offerings["unknown"].pk])
    assert analyst.post(address, {"provider": "openai", "model": "nope", "reason": "x"}).status_code == 422
    assert analyst.post(address, {"provider": "openai", "model": "gpt-4o", "reason": "our proxy"}).status_code == 302
    assert Offering.objects.get(pk=offerings["unknown"].pk).listed_name == "gpt-4o"


def test_class_and_hosting_are_set_by_a_person(analyst: Client, offerings: dict[str, Offering]) -> None:
    pk = offerings["gpt"].pk
    analyst.post(
        reverse("rates:class", args=[pk]), {"model_class": "premium", "valid_from": "2026-11-01", "reason": "policy"}
    )
    analyst.post(reverse("rates:hosting", args=[pk]), {"hosted": "own", "accelerator": "H100"})
    page = analyst.get(reverse("rates:offering", args=[pk]))
    assert page.context["history"].now.model_class == "premium"
    assert page.context["history"].offering.accelerator == "H100"
    assert "would be standard" in page.content.decode()


def test_an_auditor_reads_and_changes_nothing(world: Any, offerings: dict[str, Offering]) -> None:
    auditor, pk = log_in(world.finn), offerings["gpt"].pk
    page = auditor.get(reverse("rates:offering", args=[pk])).content.decode()
    assert "Add a contract price" not in page
    assert auditor.post(reverse("rates:add", args=[pk]), CONTRACT).status_code == 403
    assert auditor.post(reverse("rates:class", args=[pk]), {}).status_code == 403


@pytest.mark.parametrize("who", ["eve", "dan", "gus", "hana"])
def test_others_see_no_prices(world: Any, offerings: dict[str, Offering], who: str) -> None:
    client = log_in(world.people[who])
    assert client.get(reverse("rates:list")).status_code == 403
    assert client.get(reverse("rates:offering", args=[offerings["gpt"].pk])).status_code == 404
    assert client.post(reverse("rates:add", args=[offerings["gpt"].pk]), CONTRACT).status_code == 404

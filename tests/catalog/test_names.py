"""Names as sources write them, and the offering behind each by a rule that can be shown."""

import pytest
from genai_prices.data_snapshot import DataSnapshot, set_custom_snapshot
from genai_prices.types import ClauseContains, ClauseStartsWith, ModelInfo, ModelPrice, Provider

from apps.catalog import names
from apps.catalog import services as catalog
from apps.catalog.models import OfferingAlias


@pytest.mark.parametrize(
    ("provider", "model", "offering", "rule"),
    [
        ("openai", "gpt-4o", "openai/gpt-4o", "name"),
        ("OpenAI", "GPT-4o", "openai/gpt-4o", "name"),
        ("openai", "gpt-4o-2024-08-06", "openai/gpt-4o", "listed"),
        ("openai", "gpt-4o-2024-05-13", "openai/gpt-4o-2024-05-13", "name"),
        ("openai", "gpt-5.2-20251211", "openai/gpt-5.2", "date"),
        ("openai", "gpt-x-2026-05-01", "openai/gpt-x-2026-05-01", "unknown"),
        ("azure_openai", "gpt-4o", "azure/gpt-4o", "name"),
        ("azure", "azure/gpt-4o", "azure/gpt-4o", "name"),
        ("litellm", "anthropic/claude-sonnet-4-5-20250929", "anthropic/claude-sonnet-4-5", "listed"),
        ("", "openai/gpt-4o", "openai/gpt-4o", "name"),
        ("", "gpt-4o", "openai/gpt-4o", "house"),
        ("", "qwen3-32b", "/qwen3-32b", "unknown"),
        ("our-cluster", "gpt-4o", "our-cluster/gpt-4o", "unknown"),
        ("gemini", "gemini-2.5-pro-preview-05-06", "google/gemini-2.5-pro", "listed"),
        ("openrouter", "openai/gpt-4o", "openrouter/openai/gpt-4o", "name"),
        ("", "", "/", "unknown"),
    ],
)
def test_a_reported_name_becomes_an_offering_by_a_rule(provider: str, model: str, offering: str, rule: str) -> None:
    match = names.match(provider, model)
    assert (f"{match.provider}/{match.name}", match.rule) == (offering, rule)


@pytest.fixture
def ambiguous_list() -> object:
    """A list in which two models of one house answer to the same name at different prices."""
    models = [
        ModelInfo(id=f"m-{size}", match=ClauseStartsWith("m"), prices=ModelPrice(input_mtok=None))
        for size in ("s", "l")
    ]
    house = Provider(id="acme", name="Acme", api_pattern="acme", model_match=ClauseContains("m"), models=models)
    set_custom_snapshot(DataSnapshot(providers=[house], from_auto_update=False))
    yield
    set_custom_snapshot(None)


@pytest.mark.django_db
@pytest.mark.usefixtures("ambiguous_list")
def test_an_ambiguous_name_is_not_guessed_and_shows_who_fits() -> None:
    offering = catalog.resolve("acme", "m-1")
    alias = OfferingAlias.objects.get(offering=offering)
    assert (alias.rule, alias.candidates) == ("ambiguous", ["m-l", "m-s"])
    assert not offering.rates.exists()


@pytest.mark.django_db
def test_spellings_of_one_model_share_an_offering_and_keep_their_rule() -> None:
    offerings = catalog.resolve_many([("openai", "gpt-4o"), ("openai", "GPT-4o-2024-11-20"), (None, "gpt-4o")])
    assert len({offering.pk for offering in offerings.values()}) == 1
    aliases = OfferingAlias.objects.order_by("provider", "model").values_list("provider", "model", "rule")
    assert list(aliases) == [
        ("", "gpt-4o", "house"),
        ("openai", "gpt-4o", "name"),
        ("openai", "gpt-4o-2024-11-20", "listed"),
    ]


@pytest.mark.django_db
@pytest.mark.parametrize("model", ["a\x00b", "x" * 5_000, "'; DROP TABLE x; --", "=cmd()", "模型", "  spaced   out "])
def test_any_text_can_be_a_name(model: str) -> None:
    offering = catalog.resolve("weird", model)
    assert offering == catalog.resolve("weird", model)
    assert len(offering.name) <= 200


def test_long_names_stay_distinct() -> None:
    assert names.clean("x" * 500 + "a") != names.clean("x" * 500 + "b")

"""Which offering stands behind the provider and model that a source names: a rule, or no price at all.

The public list brings matching rules of its own ('gpt-4o-2024-08-06' is its 'gpt-4o'). Where they fail a date at the
end of the name is dropped once. Whatever stays ambiguous is not guessed: it is an offering without a price.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from django.db import models
from genai_prices.data_snapshot import find_provider_by_id, get_snapshot
from genai_prices.types import ModelInfo, Provider

LONGEST_NAME: Final = 200
# Spellings of gateways and exporters that the list's own rules miss or take for another house.
_HOUSES: Final = {
    "azure_openai": "azure", "azure-openai": "azure", "azure openai": "azure", "azure_ai": "azure",
    "azure.ai.openai": "azure", "az.ai.openai": "azure", "azure.ai.inference": "azure",
    "az.ai.inference": "azure", "x_ai": "x-ai", "fireworks_ai": "fireworks",
}  # fmt: skip
_DATE_AT_END: Final = re.compile(r"[-@_](?:20\d{2}-?(?:0[1-9]|1[0-2])-?(?:0[1-9]|[12]\d|3[01])|latest)$")


class Rule(models.TextChoices):
    """How a reported name became an offering; shown wherever the offering is."""

    NAME = "name", "same name as in the price list"
    LISTED = "listed", "the price list names it as another spelling"
    DATE = "date", "date at the end of the name left out"
    HOUSE = "house", "provider not reported, taken from the model's name"
    AMBIGUOUS = "ambiguous", "several offerings fit, so none is taken"
    UNKNOWN = "unknown", "not in the price list"
    PERSON = "person", "set by a person"


@dataclass(frozen=True, slots=True)
class Match:
    """The offering behind a reported name. Without `listed` there is no public price; `candidates` says who fits."""

    provider: str
    name: str
    rule: Rule
    listed: ModelInfo | None = None
    listed_by: str = ""
    candidates: tuple[str, ...] = ()

    @property
    def is_own_list(self) -> bool:
        return self.provider == self.listed_by


def clean(text: str | None) -> str:
    """A name fit to be stored: no control characters, one spelling of each letter, bounded and still distinct."""
    printable = "".join(" " if unicodedata.category(char)[0] == "C" else char for char in text or "")
    tidy = " ".join(unicodedata.normalize("NFKC", printable).split())
    if len(tidy) <= LONGEST_NAME:
        return tidy
    return f"{tidy[: LONGEST_NAME - 13]}…{sha256(tidy.encode()).hexdigest()[:12]}"


def match(provider: str, model: str) -> Match:
    """Find the offering behind a name as reported. Never raises: what nobody knows comes back without a price."""
    reported_provider, reported = clean(provider).lower(), clean(model)
    house, reference = _house_and_reference(reported_provider, reported.lower())
    if house is not None:
        return _in_house(house, reference) or Match(house.id, reported, Rule.UNKNOWN)
    if reported_provider:
        return Match(reported_provider, reported, Rule.UNKNOWN)
    return _in_any_house(reported)


def find_listed(listed_by: str, name: str) -> ModelInfo | None:
    """A model of the list that is installed now by its exact name, None where this version has dropped it."""
    house = find_provider_by_id(get_snapshot().providers, listed_by)
    return next((listed for listed in house.models if listed.id == name), None) if house else None


def _house_and_reference(provider: str, reference: str) -> tuple[Provider | None, str]:
    """Split 'azure/gpt-4o' as gateways write it; a prefix that names no house stays part of the name."""
    house = _house(provider)
    prefix, slash, rest = reference.partition("/")
    prefixed = _house(prefix) if slash and rest else None
    if prefixed is None:
        return house, reference
    if house is None and provider in ("", "litellm"):
        return prefixed, rest
    if house is prefixed and not _hits(prefixed, reference):
        return prefixed, rest
    return house, reference


def _house(provider: str) -> Provider | None:
    if not provider:
        return None
    return find_provider_by_id(get_snapshot().providers, _HOUSES.get(provider, provider))


def _in_house(house: Provider, reference: str) -> Match | None:
    undated = _DATE_AT_END.sub("", reference)
    for name, rule in ((reference, None), (undated, Rule.DATE)):
        for seller in (house, *_sellers_behind(house)):
            if hits := _hits(seller, name):
                return _as_match(house, seller, name, hits, rule)
    return None


def _sellers_behind(house: Provider) -> Iterable[Provider]:
    """Houses whose list this one sells from (Azure sells OpenAI's models), in the list's order."""
    behind = (find_provider_by_id(get_snapshot().providers, name) for name in house.fallback_model_providers or ())
    return (seller for seller in behind if seller is not None)


def _hits(house: Provider, reference: str) -> list[ModelInfo]:
    exact = [listed for listed in house.models if listed.id.lower() == reference]
    return exact or [listed for listed in house.models if listed.is_match(reference)]


def _as_match(house: Provider, seller: Provider, name: str, hits: list[ModelInfo], rule: Rule | None) -> Match:
    if len(hits) > 1:
        return Match(house.id, name, Rule.AMBIGUOUS, candidates=tuple(sorted(hit.id for hit in hits)))
    listed = hits[0]
    found = rule or (Rule.NAME if listed.id.lower() == name else Rule.LISTED)
    return Match(house.id, listed.id, found, listed=listed, listed_by=seller.id)


def _in_any_house(reported: str) -> Match:
    """No provider reported: the model's name must point to exactly one house."""
    reference = reported.lower()
    houses = [
        house for house in get_snapshot().providers if house.model_match and house.model_match.is_match(reference)
    ]
    found = [hit for house in houses if (hit := _in_house(house, reference)) and hit.listed]
    if len(found) > 1:
        candidates = tuple(sorted(f"{hit.provider}/{hit.name}" for hit in found))
        return Match("", reported, Rule.AMBIGUOUS, candidates=candidates)
    if not found:
        return Match("", reported, Rule.UNKNOWN)
    hit = found[0]
    return Match(hit.provider, hit.name, Rule.HOUSE, listed=hit.listed, listed_by=hit.listed_by)

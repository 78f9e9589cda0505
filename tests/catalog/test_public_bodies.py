"""920 real responses of providers, each with the price that the list's own project worked out for it."""

import gzip
import json
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from apps.catalog import names
from apps.catalog.bands import prompt_band
from apps.catalog.prices import ListedPrice, listed_prices

AT = datetime(2026, 11, 24, tzinfo=UTC)
OTHER_MODALITIES = {
    "input_audio_tokens", "input_video_tokens", "input_image_tokens", "output_image_tokens", "cache_image_read_tokens",
}  # fmt: skip
# The file was priced with an older list. Since then these have another price: a new one, one by date, or by a cliff
# (Google sells claude-sonnet-4-5 above 200,000 tokens at twice the price; Amazon's entry names one region now).
REPRICED = {
    ("aws", "openai.gpt-5.6-luna"): 4,
    ("azure", "gpt-5.6-sol"): 18,
    ("google", "claude-sonnet-4-5-20250929"): 2,
    ("mistral", "ministral-8b-latest"): 1,
    ("mistral", "mistral-medium-latest"): 28,
    ("mistral", "mistral-small-latest"): 1,
    ("openai", "gpt-5.6-sol"): 9,
    ("openrouter", "Qwen/Qwen2.5-VL-72B-Instruct"): 1,
    ("openrouter", "openai/gpt-oss-120b"): 11,
    ("openrouter", "qwen/qwen3-30b-a3b-instruct-2507"): 1,
    ("openrouter", "qwen/qwen3-32b"): 3,
    ("openrouter", "z-ai/glm-4.6"): 1,
}
# Priced apart from text by these models; the ledger has text tokens only, so they read too low here.
OTHER_MODALITY = {
    ("google", "gemini-2.0-flash"): 2,
    ("google", "gemini-2.5-flash"): 6,
    ("google", "gemini-2.5-flash-image"): 4,
    ("google", "gemini-3-flash-preview"): 11,
    ("google", "gemini-3-pro-image-preview"): 1,
}


def test_unit_prices_times_tokens_equal_the_extracted_prices(public_data: Path) -> None:
    same, repriced, modality, unpriced = 0, Counter[tuple[str, str]](), Counter[tuple[str, str]](), []
    for provider, model, usage, expected in priced_bodies(public_data / "llm-usage" / "provider_usage_bodies.jsonl.gz"):
        listed = base_price(provider, model, prompt_band(usage.get("input_tokens", 0)))
        if listed is None:
            unpriced.append((provider, model))
        elif cost(listed, usage) == expected:
            same += 1
        elif OTHER_MODALITIES & usage.keys():
            modality[provider, model] += 1
        else:
            repriced[provider, model] += 1
    assert same == 1890
    assert repriced == REPRICED
    assert modality == OTHER_MODALITY
    assert unpriced == [("openrouter", "google/gemini-2.0-flash-exp:free")]  # no longer listed


def priced_bodies(path: Path) -> list[tuple[str, str, dict[str, int], Decimal]]:
    with gzip.open(path, "rt") as lines:
        return [
            (priced["provider_id"], row["model"], reading["usage"], total(priced))
            for row in map(json.loads, lines)
            for reading in row["extracted"]
            for priced in reading["extractors"]
            if "input_price" in priced
        ]


def total(priced: dict[str, Any]) -> Decimal:
    return Decimal(priced["input_price"]) + Decimal(priced["output_price"])


@cache
def base_price(provider: str, model: str, band: int) -> ListedPrice | None:
    match = names.match(provider, model)
    rows = listed_prices(match.listed, with_variants=match.is_own_list) if match.listed else []
    held = [
        row
        for row in rows
        if row.service_tier == "standard" and row.prompt_band <= band and row.valid_from <= AT
        if row.valid_to is None or row.valid_to > AT
    ]
    return max(held, key=lambda row: row.prompt_band, default=None)


def cost(listed: ListedPrice, usage: dict[str, int]) -> Decimal:
    price = listed.tokens
    cached, written = usage.get("cache_read_tokens", 0), usage.get("cache_write_tokens", 0)
    reasoning = usage.get("output_reasoning_tokens", 0)
    plain_input = usage.get("input_tokens", 0) - cached - written
    plain_output = usage.get("output_tokens", 0) - reasoning
    per_input, per_output = price.input or Decimal(0), price.output or Decimal(0)
    amount = plain_input * per_input + plain_output * per_output
    amount += cached * (per_input if price.cached is None else price.cached)
    amount += written * (per_input if price.cache_write is None else price.cache_write)
    amount += reasoning * (per_output if price.reasoning is None else price.reasoning)
    return amount / 1_000_000

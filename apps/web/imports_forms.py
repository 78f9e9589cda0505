"""Forms of the import: the file and its source, then what its columns mean."""

from collections.abc import Mapping
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.http import QueryDict

from apps.core.actor import Actor
from apps.sources.models import Pull, Source
from apps.sources.reading import reading_options
from apps.usage import fields
from apps.usage.trial import Trial

NEW = "new"
WORDS = {
    "usage_key": "usage key",
    "input_tokens": "input tokens",
    "cached_input_tokens": "cached input tokens",
    "cache_write_tokens": "cache-write tokens",
    "cache_write_1h_tokens": "cache-write tokens, 1 hour",
    "output_tokens": "output tokens",
    "reasoning_tokens": "reasoning tokens",
    "latency_ms": "latency in ms",
    "latency_s": "latency in seconds",
    "ttft_ms": "time to first token in ms",
    "ttft_s": "time to first token in seconds",
    "fallback_from": "fallback from",
    "service_tier": "service tier",
    "request_id": "request id",
    "period_start": "start of the hour",
    "period_end": "end of the period",
    "failed_requests": "failed requests",
    "gpu_seconds": "GPU seconds",
    "gpu_busy_seconds": "busy GPU seconds",
}
# What a person may want to give as one value for all rows, and what it means to leave it out.
CONSTANTS = {
    "usage_key": "who spends: one name for all rows",
    "provider": "such as openai; left out it is taken from the model's name",
    "model": "such as gpt-4o",
    "service_tier": "standard, batch, flex or priority",
    "currency": "such as USD",
}
UNIT_CHOICES = [("s", "seconds"), ("ms", "milliseconds"), ("h", "hours")]


def words_of(field: str) -> str:
    return WORDS.get(field, field)


class FileForm(forms.Form):
    """Step 1."""

    file = forms.FileField(
        label="File",
        allow_empty_file=False,
        error_messages={"required": "Choose a file.", "empty": "The file is empty."},
        widget=forms.FileInput(attrs={"accept": ".csv,.gz,.json,.jsonl,.ndjson,.parquet,.tsv,.txt"}),
    )
    source = forms.ChoiceField(label="Into which source?")
    new_source = forms.CharField(label="Name of a new source", max_length=120, required=False)
    format = forms.ChoiceField(label="What is it?", required=False, choices=[("", "find out"), *Pull.Format.choices])
    part = forms.CharField(
        label="Name of its part", max_length=255, required=False, help_text="The file's own name if left empty."
    )

    def __init__(self, *args: Any, actor: Actor, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        sources = Source.objects.visible_to(actor).filter(kind="file").order_by("name")
        choices = [*((source.slug, source.name) for source in sources), (NEW, "a new source")]
        self.fields["source"] = forms.ChoiceField(label="Into which source?", choices=choices)

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if cleaned.get("source") == NEW and not cleaned.get("new_source", "").strip():
            self.add_error("new_source", "Give the new source a name, such as the gateway's or the account's.")
        return cleaned


def options_of(post: QueryDict, trial: Trial) -> tuple[dict[str, Any], str]:
    """What the columns page sent as the options of a pull, and the format. Raises `BadInput`."""
    format_ = post.get("format", trial.format)
    options = reading_options(
        columns=_columns(post, trial, format_),
        constants={name: post.get(f"set-{name}", "").strip() for name in constants_for(format_)},
        zone=post.get("zone", ""),
        time_unit=post.get("time_unit", "") or trial.unit_guess,
        time_origin=post.get("time_origin", ""),
        again=post.get("again") == "1",
    )
    return options, format_


def constants_for(format_: str) -> list[str]:
    known = fields.FIELDS.get(format_, ())
    return [name for name in CONSTANTS if name in known]


def field_choices(format_: str) -> list[tuple[str, str]]:
    return [("", "not read"), *((name, words_of(name)) for name in fields.FIELDS.get(format_, ()))]


def zones() -> list[str]:
    return sorted(available_timezones(), key=lambda zone: (zone != "UTC", zone))


def _columns(post: QueryDict, trial: Trial, format_: str) -> dict[str, str]:
    """Field to column. A field that no column stands for is named with '' so that no column's own name gives it."""
    known = fields.FIELDS.get(format_)
    if known is None:
        return {}
    chosen: dict[str, str] = {}
    for at, column in enumerate(trial.columns):
        field = post.get(f"column-{at}", column.field)
        if field in known:
            chosen.setdefault(field, column.name)
    own_names = {column.name.lower() for column in trial.columns}
    return chosen | {field: "" for field in known if field not in chosen and field in own_names}


def twice(post: Mapping[str, Any], trial: Trial) -> str:
    """A field that two columns were given to: reading would quietly take the first."""
    seen: dict[str, str] = {}
    for at, column in enumerate(trial.columns):
        field = str(post.get(f"column-{at}", column.field))
        if field and field in seen:
            return f"{seen[field]} and {column.name} cannot both be the {words_of(field)}."
        seen[field] = column.name
    return ""

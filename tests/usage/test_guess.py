"""The first look at a file: format, fields, time unit and zone, guessed and explained, never applied silently."""

import json
from pathlib import Path

import pytest

from apps.usage.guess import preview
from apps.usage.reading import FileError


def written(folder: Path, text: str, name: str = "log.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_a_gateway_log_in_other_words(tmp_path: Path) -> None:
    text = (
        "startTime;api_key_alias;model_group;prompt_tokens;completion_tokens;request_duration_ms;http;vendor;prompt\n"
    )
    text += "2026-10-24 08:15:00;team-a;gpt-4o;100;20;840;200;openai;hello\n"
    seen = preview(written(tmp_path, text))
    assert (seen.kind, seen.format, seen.delimiter) == ("csv", "requests", ";")
    assert seen.mapping == {
        "time": "startTime",
        "usage_key": "api_key_alias",
        "model": "model_group",
        "input_tokens": "prompt_tokens",
        "output_tokens": "completion_tokens",
        "latency_ms": "request_duration_ms",
        "status": "http",
        "provider": "vendor",
    }
    assert (seen.missing, seen.time_unit, seen.zone_open) == ([], "iso", True)


def test_shortened_names_of_token_columns_are_known(tmp_path: Path) -> None:
    text = "ts,api_key_alias,vendor,model_id,prompt_tok,cache_tok,compl_tok\n2026-10-01T00:00:03Z,a,openai,m,9,1,2\n"
    seen = preview(written(tmp_path, text))
    told = {name: seen.mapping[name] for name in ("input_tokens", "cached_input_tokens", "output_tokens")}
    assert told == {"input_tokens": "prompt_tok", "cached_input_tokens": "cache_tok", "output_tokens": "compl_tok"}


def test_a_latency_in_seconds_is_not_taken_for_milliseconds(tmp_path: Path) -> None:
    text = (
        "ts,key,model,tokens_in,tokens_out,dur\n2026-10-24T08:15:00Z,a,m,1,2,0.84\n2026-10-24T08:15:00Z,a,m,1,2,12.5\n"
    )
    seen = preview(written(tmp_path, text))
    assert seen.mapping["latency_s"] == "dur"
    assert "latency_ms" not in seen.mapping
    (column,) = [column for column in seen.columns if column.name == "dur"]
    assert column.guess
    assert "seconds" in column.guess.note
    assert not seen.zone_open


@pytest.mark.parametrize(
    ("value", "unit", "needs_origin"),
    [("1792828800", "s", False), ("1792828800123", "ms", False), ("2400000", "ms", True), ("17.25", "s", True)],
)
def test_the_unit_of_times(tmp_path: Path, value: str, unit: str, needs_origin: bool) -> None:
    seen = preview(written(tmp_path, f"timestamp,key,model,tokens_in,tokens_out\n{value},a,m,1,2\n"))
    assert (seen.time_unit, seen.needs_origin) == (unit, needs_origin)


def test_the_public_traces(public_data: Path) -> None:
    azure = preview(public_data / "llm-traces" / "azure_llm_2023_code.csv.gz")
    assert azure.mapping == {"time": "TIMESTAMP", "input_tokens": "ContextTokens", "output_tokens": "GeneratedTokens"}
    assert (azure.missing, azure.zone_open, azure.packed) == (["usage_key", "model"], True, True)
    mooncake = preview(public_data / "llm-traces" / "mooncake_conversation_first40min.jsonl.gz")
    assert mooncake.mapping == {"time": "timestamp", "input_tokens": "input_length", "output_tokens": "output_length"}
    assert (mooncake.kind, mooncake.time_unit, mooncake.needs_origin) == ("json", "ms", True)
    servegen = preview(public_data / "llm-traces" / "servegen_m-small_hourly.csv.gz")
    assert (servegen.format, servegen.time_unit, servegen.needs_origin) == ("usage", "h", True)
    assert servegen.mapping["usage_key"] == "client"


def test_a_bill_is_seen_by_its_columns(public_data: Path) -> None:
    bill = preview(public_data / "focus" / "focus_1.0_sample_aws_until_2024-09-21.csv")
    assert (bill.format, bill.missing, bill.zone_open) == ("focus", [], True)  # it names no zone
    assert len(bill.rows) == 20


def test_objects_inside_json_lines_are_columns_with_a_dot(tmp_path: Path) -> None:
    call = {"created_at": "2026-10-24T08:15:00Z", "team": "a", "model": "m"}
    line = json.dumps(call | {"usage": {"prompt_tokens": 5, "completion_tokens": 2}})
    seen = preview(written(tmp_path, line, "log.jsonl"))
    assert seen.mapping["input_tokens"] == "usage.prompt_tokens"
    assert seen.mapping["usage_key"] == "team"


def test_a_secret_in_the_key_column_is_pointed_out(tmp_path: Path) -> None:
    text = "ts,api_key,model,tokens_in,tokens_out\n2026-10-24T08:15:00Z,sk-abcdefghijklmnopqrstuvwx,m,1,2\n"
    assert any("secrets" in note for note in preview(written(tmp_path, text)).notes)


def test_no_data_is_no_preview(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no data"):
        preview(written(tmp_path, "ts,key,model\n"))

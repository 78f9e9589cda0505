"""`manage.py ingest` on real traffic and real bills: every figure stands here as a literal from outside."""

import json
import subprocess
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from apps.core.models import Organisation
from apps.costs import services as costs
from apps.sources.models import Pull, Source
from apps.usage.models import Hour, Identity, Series
from tests.books import unproved

Ingest = Callable[..., dict[str, Any]]
CALLS = "time,usage_key,provider,model,input_tokens,output_tokens"
AZURE = (
    "--format=requests", "--column=time=TIMESTAMP", "--column=input_tokens=ContextTokens",
    "--column=output_tokens=GeneratedTokens", "--set=usage_key=code", "--set=provider=openai",
    "--set=model=gpt-4o-2024-08-06",
)  # fmt: skip


@pytest.fixture
def ingest(db: None, capsys: pytest.CaptureFixture[str]) -> Ingest:
    """Runs the command and returns what `--json` prints."""

    def run(path: Path | str, *options: str) -> dict[str, Any]:
        capsys.readouterr()
        call_command("ingest", str(path), "--json", *options)
        return dict(json.loads(capsys.readouterr().out))

    return run


def write(folder: Path, name: str, *rows: str, header: str = CALLS) -> Path:
    path = folder / name
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def call_at(time: str, key: str = "A", tokens: int = 100) -> str:
    return f"{time},{key},openai,gpt-4o,{tokens},10"


def stored(part: str) -> dict[tuple[str, str], int]:
    """What the ledger holds of a part: (key, hour) -> requests."""
    series = {row.pk: row.identity.label for row in Series.objects.filter(part__name=part).select_related("identity")}
    hours = Hour.objects.filter(series_id__in=series)
    return {(series[hour.series_id], f"{hour.hour:%d %H:%M}"): hour.requests for hour in hours}


# --- Real files -------------------------------------------------------------------------------------------------------


def test_the_azure_code_trace_costs_what_its_list_price_says(ingest: Ingest, public_data: Path) -> None:
    result = ingest(public_data / "llm-traces/azure_llm_2023_code.csv.gz", "--source=azure", *AZURE)
    assert (result["rows_read"], result["rows_rejected"], result["requests"]) == (8819, 0, 8819)
    assert (result["input_tokens"], result["output_tokens"]) == (18_059_974, 245_896)
    assert result["cached_input_tokens"] is None
    # 18,059,974 x 2.50 + 245,896 x 10.00 per million
    assert Decimal(result["computed_cost"]) == Decimal("47.608895")
    assert result["currency"] == "USD"
    assert (result["first_hour"], result["last_hour"]) == ("2023-11-16T18:00:00Z", "2023-11-16T19:00:00Z")
    assert result["hours_written"] > 0
    assert result["billed_cost"] is None
    assert result["unpriced_models"] == []
    assert Decimal(result["unallocated_share"]) == 1


def test_the_same_file_twice_writes_nothing(ingest: Ingest, public_data: Path) -> None:
    path = public_data / "llm-traces/azure_llm_2023_code.csv.gz"
    first = ingest(path, "--source=azure", *AZURE)
    second = ingest(path, "--source=azure", *AZURE)
    assert (second["hours_written"], second["hours_unchanged"]) == (0, first["hours_written"])
    assert second["computed_cost"] == first["computed_cost"]


def test_mooncake_counts_its_milliseconds_from_a_start(ingest: Ingest, public_data: Path) -> None:
    result = ingest(
        public_data / "llm-traces/mooncake_conversation_first40min.jsonl.gz",
        *("--source=mooncake", "--format=requests", "--time-unit=ms", "--time-origin=2026-10-01T00:00:00Z"),
        *("--column=time=timestamp", "--column=input_tokens=input_length", "--column=output_tokens=output_length"),
        *("--set=usage_key=chat", "--set=model=kimi-k2"),
    )
    assert (result["rows_read"], result["requests"]) == (7851, 7851)
    assert (result["input_tokens"], result["output_tokens"]) == (97_571_920, 2_724_903)
    assert (result["first_hour"], result["last_hour"]) == ("2026-10-01T00:00:00Z", "2026-10-01T00:00:00Z")


def test_relative_times_without_an_origin_are_refused_with_the_hint(ingest: Ingest, public_data: Path) -> None:
    with pytest.raises(CommandError, match="--time-origin"):
        ingest(
            public_data / "llm-traces/mooncake_conversation_first40min.jsonl.gz",
            *("--source=mooncake", "--format=requests", "--time-unit=ms"),
            *("--column=time=timestamp", "--column=input_tokens=input_length", "--column=output_tokens=output_length"),
            *("--set=usage_key=chat", "--set=model=kimi-k2"),
        )
    assert Hour.objects.count() == 0


@pytest.mark.parametrize(
    ("name", "rows", "requests", "tokens_in", "tokens_out"),
    [
        ("m-small", 5705, 613_549_778, 73_422_849_640, 9_136_292_903),
        ("m-large", 14967, 148_588_305, 135_851_014_286, 23_044_936_542),
        ("deepseek-r1", 625, 1_383_669, 1_754_837_741, 2_113_442_998),
    ],
)
def test_servegen_hours_add_up_beyond_32_bits(
    ingest: Ingest, public_data: Path, name: str, rows: int, requests: int, tokens_in: int, tokens_out: int
) -> None:
    result = ingest(
        public_data / f"llm-traces/servegen_{name}_hourly.csv.gz",
        *(f"--source={name}", "--format=usage", "--time-unit=h", "--time-origin=2026-09-01T00:00:00Z"),
        *("--column=period_start=hour", "--column=usage_key=client", "--column=model=workload"),
    )
    assert result["rows_read"] == rows
    assert (result["requests"], result["input_tokens"], result["output_tokens"]) == (requests, tokens_in, tokens_out)


def test_the_aws_bill_is_stored_to_the_last_digit_and_out_of_scope(ingest: Ingest, public_data: Path) -> None:
    result = ingest(public_data / "focus/focus_1.0_sample_aws_until_2024-09-21.csv", "--source=aws", "--format=focus")
    assert (result["rows_read"], result["rows_rejected"]) == (592, 0)
    assert Decimal(result["billed_cost"]) == Decimal("9.7926566798")
    assert Decimal(result["in_scope_cost"]) == 0
    assert result["requests"] is None


@pytest.mark.parametrize(
    ("name", "rows", "billed", "effective"),
    [
        ("cached_tokens_via_csp_marketplace", 2, "47.5", "47.5"),
        ("drawdown_via_prepayment_ai_model_api", 3, "500000", "50"),
        ("multi_model_usage", 4, "104.5", "104.5"),
        ("per_token_ai_model_api", 2, "94.5", "94.5"),
    ],
)
def test_the_focus_ai_examples_count_what_they_say(
    ingest: Ingest, public_data: Path, name: str, rows: int, billed: str, effective: str
) -> None:
    """A drawdown: 500,000 were billed in advance, 50 of it were used; full cost takes what was used."""
    result = ingest(public_data / f"focus/spec-ai-billing/{name}.csv", "--source=bill", "--format=focus")
    assert (result["rows_read"], result["rows_rejected"], result["hours_written"]) == (rows, 0, rows)
    assert Decimal(result["billed_cost"]) == Decimal(billed)
    assert Decimal(result["effective_cost"]) == Decimal(effective)
    assert Decimal(result["in_scope_cost"]) == Decimal(effective)
    assert result["currency"] == "USD"


def test_rows_that_come_late_go_to_the_hour_of_their_usage(ingest: Ingest, tmp_path: Path) -> None:
    """3, 40 and 400 days late: a signed month gets a correction, an open one its row; only before 2015 is too late."""
    now = timezone.now().replace(minute=0, second=0, microsecond=0)
    late = [now - timedelta(days=days) for days in (3, 40, 400)]
    calls = [call_at(f"{hour:%Y-%m-%dT%H:%M:%SZ}") for hour in late]
    ingest(write(tmp_path, "a.csv", *calls), "--source=logs", "--format=requests")
    with unproved():
        costs.sign_month(month=late[2].date().replace(day=1), pack_sha256="ab" * 32)
    path = write(tmp_path, "late.csv", *calls, call_at("2014-12-31T23:00:00Z"))
    result = ingest(path, "--source=logs", "--format=requests")
    assert (result["rows_read"], result["rows_rejected"], result["hours_written"]) == (4, 1, 3)
    series = Series.objects.filter(part__name="late.csv").values("pk")
    found = Hour.objects.filter(series_id__in=series).order_by("-hour").values_list("hour", "revision")
    assert list(found) == [(late[0], 0), (late[1], 0), (late[2], 1)]
    assert [reject["reason"] for reject in Pull.objects.latest("pk").totals["rejects"]] == ["time: before 2015"]


BILL = "ChargePeriodStart,ChargePeriodEnd,ChargeCategory,ServiceCategory,BilledCost,EffectiveCost,BillingCurrency"


def charge_in(currency: str, billed: str = "100", effective: str = "100") -> str:
    period = "2024-11-15T00:00:00Z,2024-11-16T00:00:00Z"
    return f"{period},Usage,AI and Machine Learning,{billed},{effective},{currency}"


def test_a_foreign_bill_keeps_its_currency_beside_the_organisations(ingest: Ingest, tmp_path: Path) -> None:
    """1 EUR was 1.0583 USD on 15 November 2024."""
    result = ingest(write(tmp_path, "b.csv", charge_in("EUR"), header=BILL), "--source=bill", "--format=focus")
    assert (result["billed_cost"], result["effective_cost"], result["billed_currency"]) == ("100", "100", "EUR")
    assert (result["in_scope_cost"], result["currency"], result["unconverted"]) == ("105.83", "USD", 0)


def test_a_bill_whose_currency_has_no_rate_is_unknown_and_not_zero(
    ingest: Ingest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, "b.csv", charge_in("CLP"), header=BILL)
    result = ingest(path, "--source=bill", "--format=focus")
    assert (result["in_scope_cost"], result["unallocated_share"], result["unconverted"]) == (None, None, 1)
    assert (result["billed_cost"], result["billed_currency"]) == ("100", "CLP")
    call_command("ingest", str(path), "--source=bill", "--format=focus")
    words = capsys.readouterr().out
    assert "Billed cost: 100 CLP\n" in words
    assert "In scope cost: unknown: 1 amount has no exchange rate" in words


def test_a_bill_in_two_currencies_says_each_and_what_of_it_is_known(
    ingest: Ingest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, "b.csv", charge_in("EUR"), charge_in("CLP", "7", "7"), header=BILL)
    result = ingest(path, "--source=bill", "--format=focus")
    assert (result["billed_cost"], result["billed_currency"]) == (None, None)
    assert {name: sums["billed_cost"] for name, sums in result["by_currency"].items()} == {"CLP": "7", "EUR": "100"}
    assert (result["in_scope_cost"], result["unconverted"]) == ("105.83", 1)
    call_command("ingest", str(path), "--source=bill", "--format=focus")
    assert "In scope cost: 105.83 USD, incomplete: 1 amount has no exchange rate" in capsys.readouterr().out


def test_naive_times_of_a_bill_are_read_as_utc_and_it_is_said(ingest: Ingest, tmp_path: Path) -> None:
    row = charge_in("USD").replace("Z", "").replace("T", " ")
    result = ingest(write(tmp_path, "b.csv", row, header=BILL), "--source=bill", "--format=focus")
    assert result["first_hour"] == "2024-11-15T00:00:00Z"
    assert "Times had no zone; read as UTC." in result["notes"]


# --- Parts ------------------------------------------------------------------------------------------------------------


def test_example_f_two_files_of_a_source_both_stay_whole(ingest: Ingest, tmp_path: Path) -> None:
    """File 1 = 1-15 Nov, key A; file 2 = 10-30 Nov, key B. File 2 again with fewer rows: only its rows change."""
    first = write(tmp_path, "one.csv", *[call_at(f"2025-11-{day:02}T10:00:00Z") for day in range(1, 16)])
    second = write(tmp_path, "two.csv", *[call_at(f"2025-11-{day:02}T10:00:00Z", "B") for day in range(10, 31)])
    options = ("--source=logs", "--format=requests")
    ingest(first, *options)
    ingest(second, *options)
    assert (len(stored("one.csv")), len(stored("two.csv"))) == (15, 21)

    write(tmp_path, "two.csv", *[call_at(f"2025-11-{day:02}T10:00:00Z", "B") for day in range(10, 13)])
    again = ingest(second, *options)
    assert (again["hours_written"], again["hours_unchanged"]) == (0, 3)
    assert (len(stored("one.csv")), len(stored("two.csv"))) == (15, 3)


def test_two_files_that_meet_at_half_past_add_up_in_their_hour(ingest: Ingest, tmp_path: Path) -> None:
    first = write(tmp_path, "a.csv", call_at("2025-11-03T14:10:00Z"), call_at("2025-11-03T14:29:59Z"))
    second = write(tmp_path, "b.csv", call_at("2025-11-03T14:30:00Z"))
    ingest(first, "--source=logs", "--format=requests")
    result = ingest(second, "--source=logs", "--format=requests")
    assert stored("a.csv") == {("A", "03 14:00"): 2}
    assert stored("b.csv") == {("A", "03 14:00"): 1}
    assert any("Part 'a.csv' has usage of 1 key too" in note for note in result["notes"])


def test_a_part_loaded_again_without_rows_in_an_hour_loses_that_hour(ingest: Ingest, tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", call_at("2025-11-03T14:10:00Z"), call_at("2025-11-04T09:00:00Z"))
    ingest(path, "--source=logs", "--format=requests")
    write(tmp_path, "a.csv", call_at("2025-11-04T09:00:00Z", tokens=5))
    ingest(path, "--source=logs", "--format=requests")
    assert stored("a.csv") == {("A", "04 09:00"): 1}


def test_the_same_bytes_under_another_name_are_refused_and_named(ingest: Ingest, tmp_path: Path) -> None:
    ingest(write(tmp_path, "a.csv", call_at("2025-11-03T14:10:00Z")), "--source=logs", "--format=requests")
    copy = write(tmp_path, "b.csv", call_at("2025-11-03T14:10:00Z"))
    with pytest.raises(CommandError, match=r"part 'a\.csv' of source logs"):
        ingest(copy, "--source=logs", "--format=requests")
    with pytest.raises(CommandError, match=r"part 'a\.csv' of source logs"):
        ingest(copy, "--source=other", "--format=requests")
    assert Hour.objects.count() == 1
    assert ingest(copy, "--source=logs", "--format=requests", "--again")["hours_written"] == 1


def test_a_folder_and_a_glob_are_one_part_each(ingest: Ingest, tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    write(tmp_path / "logs", "a.csv", call_at("2025-11-03T14:10:00Z"))
    write(tmp_path / "logs", "b.csv", call_at("2025-11-04T14:10:00Z"))
    write(tmp_path / "logs", "notes.md", "nothing")
    assert ingest(tmp_path / "logs", "--source=logs", "--format=requests")["requests"] == 2
    pattern = ingest(tmp_path / "logs" / "*.csv", "--source=other", "--format=requests", "--again")
    assert pattern["requests"] == 2
    assert set(Pull.objects.values_list("part__name", flat=True)) == {"logs", "*.csv"}


def test_columns_constants_and_the_name_of_the_part_are_taken(ingest: Ingest, tmp_path: Path) -> None:
    path = write(tmp_path, "x.csv", "2025-11-03 23:30:00,5,6", header="when,in,out")
    result = ingest(
        path,
        *("--source=logs", "--format=requests", "--part=november", "--zone=Europe/Berlin"),
        *("--column=time=when", "--column=input_tokens=in", "--column=output_tokens=out"),
        *("--set=usage_key=A", "--set=model=gpt-4o", "--set=provider=openai"),
    )
    assert result["first_hour"] == "2025-11-03T22:00:00Z"
    assert stored("november") == {("A", "03 22:00"): 1}


# --- Words and exits --------------------------------------------------------------------------------------------------


def test_rejected_rows_are_kept_with_line_and_reason_and_the_rest_loads(ingest: Ingest, tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", call_at("2025-11-03T14:10:00Z"), "2025-11-03T14:11:00Z,A,openai,gpt-4o,0x10,1")
    result = ingest(path, "--source=logs", "--format=requests")
    assert (result["rows_read"], result["rows_rejected"], result["requests"]) == (2, 1, 1)
    assert Path(result["rejected_file"]).exists()


def test_the_first_command_makes_organisation_and_source_and_says_so(
    db: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, "a.csv", call_at("2025-11-03T14:10:00Z"))
    call_command("ingest", str(path), "--source=logs", "--format=requests")
    out, err = capsys.readouterr()
    assert "Made the organisation 'My organisation' with USD and UTC" in err
    assert "Made the source 'logs'" in err
    assert "1 rows read, 0 rejected" in out
    assert Organisation.objects.get().currency == "USD"
    assert Source.objects.get().kind == "file"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--column=time"], "field=value"),
        (["--zone=Mars/Olympus"], "no time zone"),
        (["--engine=spark"], "spark cannot be used yet"),
        (["--time-origin=soon"], "no date and time"),
        (["--column=prompt=x"], "no field"),
        (["--column=time=x"], "no column"),
    ],
)
def test_a_wrong_option_is_one_clear_sentence(db: None, tmp_path: Path, options: list[str], sentence: str) -> None:
    path = write(tmp_path, "a.csv", call_at("2025-11-03T14:10:00Z"))
    with pytest.raises(CommandError, match=sentence):
        call_command("ingest", str(path), "--source=logs", "--format=requests", *options)
    assert Hour.objects.count() == 0


def test_a_process_ends_with_1_and_a_sentence_when_there_is_no_file(
    run_command: Callable[..., "subprocess.CompletedProcess[str]"],
) -> None:
    done = run_command("ingest", "/nowhere/x.csv", "--source=logs", "--format=requests")
    assert done.returncode == 1
    assert done.stderr.strip() == (
        "CommandError: There is no file at /nowhere/x.csv. Give a file, a folder or a glob such as 'logs/*.csv.gz'."
    )


def test_a_process_prints_nothing_but_json(
    run_command: Callable[..., "subprocess.CompletedProcess[str]"], tmp_path: Path
) -> None:
    path = write(tmp_path, "a.csv", call_at("2025-11-03T14:10:00Z"))
    done = run_command("ingest", str(path), "--source=logs", "--format=requests", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["requests"] == 1
    assert Identity.objects.get().label == "A"

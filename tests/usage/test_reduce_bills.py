"""Bills in FOCUS: exact sums, own periods, versions, what is rejected, and whether EffectiveCost means anything."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from apps.usage.job import Job, Reduction
from apps.usage.reading import FileError
from apps.usage.reduce import reduce_files

HEADER = "ChargePeriodStart,ChargePeriodEnd,ChargeCategory,BilledCost,EffectiveCost,BillingCurrency"
HOUR = "2026-10-24T00:00:00Z,2026-10-24T01:00:00Z"


def reduce_path(path: Path, folder: Path, **given: Any) -> Reduction:
    job = {
        "paths": [str(path)],
        "format": "focus",
        "work_dir": str(folder / "work"),
        "now": "2026-11-24T12:00:00Z",
        **given,
    }
    return reduce_files(Job(**job))


def reduce_text(folder: Path, text: str, **given: Any) -> Reduction:
    path = folder / "bill.csv"
    path.write_text(text)
    return reduce_path(path, folder, **given)


def charges(folder: Path, columns: str = "*") -> list[tuple[Any, ...]]:
    file = folder / "work" / "charges.parquet"
    return duckdb.sql(f"SELECT {columns} FROM '{file}' ORDER BY ALL").fetchall()


def test_the_aws_sample(tmp_path: Path, public_data: Path) -> None:
    result = reduce_path(public_data / "focus" / "focus_1.0_sample_aws_until_2024-09-21.csv", tmp_path)
    assert (result.rows_read, result.rows_rejected, result.charges) == (592, 0, 592)
    assert (result.billed_cost, result.list_cost) == ("9.7926566798", "9.8502566798")
    assert result.effective_cost_usable is False
    assert "Times had no zone; read as UTC." in result.notes
    assert (result.focus_version, result.currencies) == ("1.0", ["USD"])
    assert charges(tmp_path, "count(*) FILTER (service_category = 'AI and Machine Learning')") == [(0,)]
    assert charges(tmp_path, "count(*) FILTER (NOT contains(identity, 'tag:'))") == [(193,)]
    assert charges(tmp_path, "count(DISTINCT (row_digest, occurrence))") == [(592,)]


@pytest.mark.parametrize(
    ("name", "rows", "billed", "effective"),
    [
        ("cached_tokens_via_csp_marketplace", 2, "47.5", "47.5"),
        ("drawdown_via_prepayment_ai_model_api", 3, "500000", "50"),
        ("multi_model_usage", 4, "104.5", "104.5"),
        ("per_token_ai_model_api", 2, "94.5", "94.5"),
    ],
)
def test_the_ai_examples(tmp_path: Path, public_data: Path, name: str, rows: int, billed: str, effective: str) -> None:
    result = reduce_path(public_data / "focus" / "spec-ai-billing" / f"{name}.csv", tmp_path)
    assert (result.rows_read, result.rows_rejected) == (rows, 0)
    assert (result.billed_cost, result.effective_cost) == (billed, effective)
    assert (result.effective_cost_usable, result.focus_version) == (True, "1.3")


def test_a_charge_keeps_its_own_period_and_names_model_and_spender(tmp_path: Path, public_data: Path) -> None:
    reduce_path(public_data / "focus" / "spec-ai-billing" / "drawdown_via_prepayment_ai_model_api.csv", tmp_path)
    found = charges(tmp_path, "category, model, identity, date_diff('day', charge_start, charge_end), unit")
    spender = '[["credential","key_05SOLORASUPPLY"],["principal","supply-svc-acct"]]'
    assert found == [
        ("Purchase", None, '[["resource","subscription:aaaa/provider/solora-ai/tokens/1111"]]', 365, "USD"),
        ("Usage", "solora-saturn-5.0", spender, 31, "Tokens"),
        ("Usage", "solora-saturn-5.0", spender, 31, "Tokens"),
    ]


@pytest.mark.parametrize(
    ("name", "read", "rejected", "billed", "effective"),
    [
        (
            "flexibility/one_hundred_percent_utilization_with_commitment_discount_flexibility_with_1_resource",
            3,
            0,
            "2.75",
            "2.75",
        ),
        (
            "flexibility/one_hundred_percent_utilization_with_commitment_discount_flexibility_with_2_resources",
            3,
            0,
            "2",
            "2",
        ),
        ("flexibility/one_hundred_percent_utilization_without_commitment_discount_flexibility", 2, 0, "1.5", "1.5"),
        ("flexibility/zero_percent_utilization_without_commitment_discount_flexibility", 3, 0, "3.5", "3.5"),
        ("scenarios/commitment_discount_purchase_scenario_1", 1, 0, "8760", "0"),
        ("scenarios/commitment_discount_purchase_scenario_2", 3, 1, "2", "0"),
        ("scenarios/commitment_discount_purchase_scenario_3", 4, 1, "4381", "0"),
        ("scenarios/commitment_discount_usage_scenario_1", 1, 0, "0", "1"),
        ("scenarios/commitment_discount_usage_scenario_2", 1, 0, "0", "1"),
        ("scenarios/commitment_discount_usage_scenario_3", 2, 0, "0", "1"),
        ("scenarios/commitment_discount_usage_scenario_4", 2, 0, "0.5", "1.5"),
    ],
)
def test_the_commitment_examples(
    tmp_path: Path, public_data: Path, name: str, read: int, rejected: int, billed: str, effective: str
) -> None:
    """The purchase scenarios 2 and 3 hold an hour 30, which no clock has: that row is rejected."""
    path = public_data / "focus" / "spec-examples" / f"commitment_discount_{name}.csv"
    result = reduce_path(path, tmp_path, currency="EUR")
    assert (result.rows_read, result.rows_rejected) == (read, rejected)
    assert (result.billed_cost, result.effective_cost, result.effective_cost_usable) == (billed, effective, True)
    assert result.currencies == ["EUR"]
    assert "The file has no BillingCurrency; read as EUR." in result.notes


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (f"{HOUR},Usage,-1,0,USD,", "BilledCost: negative, and no credit, tax, adjustment or correction"),
        (f"{HOUR},Credit,-1,-1,USD,", ""),
        (f"{HOUR},Tax,-1,-1,USD,NULL", ""),
        (f"{HOUR},Usage,-1,-1,USD,Correction", ""),
        (f"{HOUR},Usage,NULL,0,USD,", "BilledCost: empty"),
        (f"{HOUR},Usage,NaN,0,USD,", "BilledCost: not a number"),
        (f"{HOUR},Usage,0x10,0,USD,", "BilledCost: not a number"),
        (f"{HOUR},Usage,1e999,0,USD,", "BilledCost: too large"),
        (f"{HOUR},Credit,-1e18,0,USD,", "BilledCost: too large"),
        (f"{HOUR},Gift,1,0,USD,", "ChargeCategory: not one of FOCUS"),
        (f"{HOUR},,1,0,USD,", "ChargeCategory: empty"),
        (f"{HOUR},Usage,1,0,usd,", "BillingCurrency: not a code of three capitals"),
        (f"{HOUR},Usage,1,0,null,", "BillingCurrency: empty"),
        ("2026-10-24T01:00:00Z,2026-10-24T00:00:00Z,Usage,1,0,USD,", "ChargePeriodEnd: before ChargePeriodStart"),
        ("NULL,2026-10-24T00:00:00Z,Usage,1,0,USD,", "ChargePeriodStart: empty"),
    ],
)
def test_rows_of_a_bill_that_are_rejected(tmp_path: Path, row: str, reason: str) -> None:
    result = reduce_text(tmp_path, f"{HEADER},ChargeClass\n{HOUR},Usage,1,1,USD,\n{row}\n")
    assert [(reject.reason, reject.line) for reject in result.rejects] == ([(reason, 3)] if reason else [])


def test_money_is_exact_to_18_decimals(tmp_path: Path) -> None:
    result = reduce_text(
        tmp_path, f"{HEADER}\n{HOUR},Usage,1E-7,0.000000000000000001,USD\n{HOUR},Usage,1234567890123.1,1,USD\n"
    )
    assert result.billed_cost == "1234567890123.1000001"
    assert result.effective_cost == "1.000000000000000001"


@pytest.mark.parametrize(
    ("row", "usable"),
    [
        ("Usage,5,0,USD,", False),
        ("Usage,5,0,USD,commitment-1", True),
        ("Usage,0,0,USD,", True),
        ("Purchase,5,0,USD,", True),
        ("Usage,5,,USD,", False),
    ],
)
def test_one_used_row_without_effective_cost_makes_that_column_unusable(tmp_path: Path, row: str, usable: bool) -> None:
    result = reduce_text(tmp_path, f"{HEADER},CommitmentDiscountId\n{HOUR},Usage,1,1,USD,\n{HOUR},{row}\n")
    assert result.effective_cost_usable is usable


def test_bytes_run_to_larger_numbers_than_money(tmp_path: Path) -> None:
    rows = "".join(f"{HOUR},Usage,1,1,USD,{quantity},Bytes\n" for quantity in (10**15, 10**17))
    text = f"{HEADER},ConsumedQuantity,ConsumedUnit\n{rows}"
    result = reduce_text(tmp_path, text)
    assert [reject.reason for reject in result.rejects] == ["ConsumedQuantity: too large"]
    assert charges(tmp_path, "quantity, unit") == [(10**15, "Bytes")]


def test_currencies_are_summed_apart(tmp_path: Path) -> None:
    result = reduce_text(tmp_path, f"{HEADER}\n{HOUR},Usage,1,1,USD\n{HOUR},Usage,2,2,EUR\n")
    assert result.billed_cost is None
    assert {currency: sums["billed_cost"] for currency, sums in result.by_currency.items()} == {"EUR": "2", "USD": "1"}


def test_equal_rows_are_told_apart_by_their_number(tmp_path: Path) -> None:
    row = f"{HOUR},Usage,1,1,USD"
    reduce_text(tmp_path, f"{HEADER}\n{row}\n{row}\n{HOUR},Usage,1.0,1,USD\n{HOUR},Usage,2,1,USD\n")
    assert [occurrence for (occurrence,) in charges(tmp_path, "occurrence")] == [1, 1, 2, 3]


def test_the_digest_does_not_hang_on_the_order_of_columns(tmp_path: Path) -> None:
    reduce_text(tmp_path, f"{HEADER}\n{HOUR},Usage,1,1,USD\n")
    one = charges(tmp_path, "row_digest")
    reduce_text(
        tmp_path,
        "BillingCurrency,EffectiveCost,BilledCost,ChargeCategory,ChargePeriodEnd,ChargePeriodStart\n"
        "USD,1.00,1E0,Usage,2026-10-24 01:00:00,2026-10-24 00:00:00\n",
    )
    assert charges(tmp_path, "row_digest") == one


def test_custom_columns_are_kept_and_unknown_ones_are_not(tmp_path: Path) -> None:
    result = reduce_text(
        tmp_path, f"{HEADER},x_Team,Id,SkuMeter,Region Name\n{HOUR},Usage,1,1,USD,blue,77,Input Tokens,eu\n"
    )
    ((extra, meter),) = charges(tmp_path, "extra, meter")
    assert (json.loads(extra), meter) == ({"x_Team": "blue"}, "Input Tokens")
    assert result.focus_version == "1.1"


@pytest.mark.parametrize(
    ("column", "version"),
    [("Tags", "1.0"), ("ServiceSubcategory", "1.1"), ("InvoiceId", "1.2"), ("ServiceProviderName", "1.3")],
)
def test_the_version_is_told_by_the_columns(tmp_path: Path, column: str, version: str) -> None:
    assert reduce_text(tmp_path, f"{HEADER},{column}\n{HOUR},Usage,1,1,USD,\n").focus_version == version


def test_the_provider_is_the_newest_name_that_is_there(tmp_path: Path) -> None:
    reduce_text(
        tmp_path,
        f"{HEADER},PublisherName,ProviderName,ServiceProviderName\n{HOUR},Usage,1,1,USD,c,b,a\n{HOUR},Usage,1,1,USD,c,NULL,\n",
    )
    assert charges(tmp_path, "provider") == [("a",), ("c",)]


def test_parquet_with_doubles_maps_and_stamps(tmp_path: Path) -> None:
    stamp = pa.timestamp("ms")
    rows = {
        "ChargePeriodStart": pa.array([1_792_800_000_000], stamp),
        "ChargePeriodEnd": pa.array([1_792_803_600_000], stamp),
        "ChargeCategory": ["Usage"],
        "BilledCost": pa.array([0.1]),
        "EffectiveCost": pa.array([Decimal("0.100000000000000001")], pa.decimal128(38, 18)),
        "BillingCurrency": ["USD"],
        "Tags": pa.array([[("app", "bot"), ("team", "a/b~c")]], pa.map_(pa.string(), pa.string())),
        "SubAccountId": ["42"],
    }
    pq.write_table(pa.table(rows), tmp_path / "bill.parquet")
    result = reduce_path(tmp_path / "bill.parquet", tmp_path)
    assert (result.billed_cost, result.effective_cost) == ("0.1", "0.100000000000000001")
    assert charges(tmp_path, "identity") == [('[["sub_account","42"],["tag:app","bot"],["tag:team","a/b~c"]]',)]


def test_tags_that_are_no_object_name_nobody(tmp_path: Path) -> None:
    reduce_text(
        tmp_path,
        f"{HEADER},Tags,BillingAccountId\n{HOUR},Usage,1,1,USD,not json,acct\n"
        f'{HOUR},Usage,1,1,USD,"{{""a/b"": ""c"", ""d"": null}}",acct\n',
    )
    assert charges(tmp_path, "identity") == [('[["billing_account","acct"]]',), ('[["tag:a/b","c"]]',)]


def test_a_mandatory_column_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no column for BilledCost and ChargeCategory"):
        reduce_text(tmp_path, "ChargePeriodStart,ChargePeriodEnd,Cost\n")

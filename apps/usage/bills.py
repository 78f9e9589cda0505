"""Bills in FOCUS 1.0 to 1.3: every row keeps its own charge period and comes out cleaned, in charges.parquet.

All columns are optional when a file is read; what is mandatory is checked in words. Empty text and the text NULL are
both null. Money is read to 18 decimals, from text or by the shortest text of a float.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import ibis.expr.types as ir
from ibis.backends.duckdb import Backend

from apps.usage import fields, rejects
from apps.usage.job import Reduction, Reject, plain
from apps.usage.parsing import (
    LARGEST_SIZE,
    Checked,
    Clock,
    Problems,
    check_moment,
    check_number,
    check_range,
    exact,
    is_naive,
    moment,
    text,
)
from apps.usage.reading import FileError, Layout, copy, engine, identifier, literal
from apps.usage.running import run
from apps.usage.task import ORIGIN_HINT, Task

MONEY = ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost")
QUANTITIES = ("ConsumedQuantity", "PricingQuantity")
TIMES = ("ChargePeriodStart", "ChargePeriodEnd", "BillingPeriodStart")
MAY_BE_NEGATIVE = ("Tax", "Credit", "Adjustment")
REPORTED = (*fields.TIME_FIELDS[fields.FOCUS], "ChargeCategory", "ChargeClass", *MONEY, "BillingCurrency", *QUANTITIES)
TEN_YEARS = 10 * 366 * 86_400
AI_CATEGORY = "AI and Machine Learning"
MODEL_COLUMNS = ("x_ModelId", "x_Model", "x_ModelName")
MODEL_DETAILS = ("ModelId", "x_ModelId", "ModelName", "Model")
# What names a spender; the account that pays only where nothing else does.
SPENDERS = {
    "sub_account": "SubAccountId",
    "principal": "PrincipalId",
    "credential": "CredentialId",
    "resource": "ResourceId",
}
STORED = {
    *TIMES, *MONEY, *SPENDERS.values(), "ChargeCategory", "ChargeClass", "ServiceCategory", "ServiceSubcategory",
    "ServiceProviderName", "SkuMeter", "ConsumedQuantity", "ConsumedUnit", "BillingCurrency", "Tags",
}  # fmt: skip


def reduce_bill(task: Task) -> Reduction:
    """Clean a bill's rows; like a log, it is read once, and again only for the lines of rejected rows."""
    read = task.work_dir / "grouped.parquet"
    with engine(task.work_dir, task.layouts, memory_mb=task.job.max_memory_mb) as db:
        bill = _opened(task, db, task.layouts)
        checked = check_bill(db.table("raw"), task.clock)
        task.tell(2, "reading")
        sql = f"SELECT *, {_digest(bill)} AS row_digest FROM ({db.compile(checked.rows)})"
        run(db.con, copy(sql, read), task.watch, lambda share: task.tell(2, "reading", share))
        db.raw_sql(f"CREATE VIEW rows AS SELECT * FROM read_parquet({literal(str(read))})")
        broken = rejects.count_broken(db.con)
        counts = dict(db.con.execute("SELECT reason, count(*) FROM rows GROUP BY reason").fetchall())
        _refuse_useless(counts, checked.reasons, broken)
        run(db.con, copy(_charges(bill), task.work_dir / "charges.parquet"), task.watch, lambda _: None)
        sums = _sums(db, bill)
    rejected = sum(counts.values()) - counts.get(0, 0) + broken
    found = rejects.reject(task, _opened, check_bill, REPORTED) if rejected else []
    return _reduction(task, bill, sums, rejected, sum(counts.values()) + broken, found)


def spenders(task: Task, db: Backend) -> list[tuple[str, datetime, datetime]]:
    """The spenders of the good rows, their pairs as JSON text, with the first and the last start of their charges."""
    bill = _opened(task, db, task.layouts)
    checked = db.compile(check_bill(db.table("raw"), task.clock).rows)
    sql = f"SELECT {_identity(bill)}, min(start_), max(start_) FROM ({checked}) WHERE reason = 0 GROUP BY 1 ORDER BY 1"
    return list(db.con.execute(sql).fetchall())


@dataclass(frozen=True)
class Bill:
    """The FOCUS and x_ columns that a bill has, after constants."""

    columns: frozenset[str]

    def has(self, name: str) -> bool:
        return name in self.columns

    def first(self, *names: str) -> str:
        """The first of these columns that is not null, in SQL; NULL where the bill has none of them."""
        there = [identifier(name) for name in names if self.has(name)]
        return f"coalesce({', '.join(there)})" if there else "NULL::VARCHAR"

    @property
    def version(self) -> str:
        return next((version for version, since in fields.FOCUS_SINCE.items() if self.columns & set(since)), "1.0")


def check_bill(raw: ir.Table, clock: Clock) -> Checked:
    """Read money, times and quantities of every charge, and find what is wrong with it."""
    numbers = [name for name in (*MONEY, *QUANTITIES) if name in raw.columns]
    start, end = moment(raw.ChargePeriodStart, clock), moment(raw.ChargePeriodEnd, clock)
    naive = is_naive(raw.ChargePeriodStart, clock) | is_naive(raw.ChargePeriodEnd, clock)
    billing = moment(raw.BillingPeriodStart, clock) if "BillingPeriodStart" in raw.columns else start
    rows = raw.mutate(
        start_=start,
        end_=end,
        billing_=billing,
        naive_=naive,
        **{f"{name}_": exact(raw[name]) for name in numbers},
    )
    problems = Problems()
    if "broken_json" in raw.columns:
        problems.add("line: not a JSON object", raw.broken_json)
    check_moment(problems, "ChargePeriodStart", raw.ChargePeriodStart, rows.start_)
    check_moment(problems, "ChargePeriodEnd", raw.ChargePeriodEnd, rows.end_)
    check_range(problems, "ChargePeriodStart", rows.start_, _without_future(clock))
    problems.add("ChargePeriodEnd: before ChargePeriodStart", rows.end_ < rows.start_)
    problems.add("ChargeCategory: empty", raw.ChargeCategory.isnull())
    problems.add("ChargeCategory: not one of FOCUS", ~raw.ChargeCategory.isin(fields.CHARGE_CATEGORIES))
    for name in numbers:
        largest = LARGEST_SIZE if name in QUANTITIES else fields.LARGEST
        check_number(problems, name, raw[name], rows[f"{name}_"], negative=True, largest=largest)
    problems.add("BilledCost: empty", rows.BilledCost_.isnull())
    _check_signs(problems, raw, rows)
    problems.add("BillingCurrency: empty", raw.BillingCurrency.isnull())
    problems.add("BillingCurrency: not a code of three capitals", ~raw.BillingCurrency.re_search("^[A-Z]{3}$"))
    return Checked(rows.mutate(reason=problems.number()), problems.reasons)


def _check_signs(problems: Problems, raw: ir.Table, rows: ir.Table) -> None:
    corrects = text(raw.ChargeClass).fill_null("") == "Correction" if "ChargeClass" in raw.columns else False
    allowed = raw.ChargeCategory.isin(MAY_BE_NEGATIVE) | corrects
    for name in MONEY:
        if f"{name}_" in rows.columns:
            reason = f"{name}: negative, and no credit, tax, adjustment or correction"
            problems.add(reason, (rows[f"{name}_"] < 0) & ~allowed)


def _without_future(clock: Clock) -> Clock:
    """Bills hold purchases for years to come; only a log can be in the future."""
    return replace(clock, latest=clock.latest + TEN_YEARS)


def _opened(task: Task, db: Backend, layouts: list[Layout], *, numbered: bool = False) -> Bill:
    """Make the view `raw` of a bill: known columns under FOCUS' names, x_ columns under their own, null where empty."""
    custom = {name: name for layout in layouts for name in layout.columns if name.lower().startswith("x_")}
    constants = dict(task.job.constants)
    if "BillingCurrency" not in {**task.columns, **constants}:
        constants["BillingCurrency"] = task.job.currency
    written = task.raw(layouts, {**task.columns, **custom}, constants)
    db.raw_sql(f"CREATE VIEW written AS {written}")
    schema = db.table("written").schema()
    listed = ", ".join(f"{_nullable(name, kind)} AS {identifier(name)}" for name, kind in schema.items())
    number = ", row_number() OVER () AS row_no" if numbered else ""
    db.raw_sql(f"CREATE VIEW raw AS SELECT {listed}{number} FROM written")
    return Bill(frozenset(schema.names))


def _nullable(name: str, kind: Any) -> str:
    column = identifier(name)
    if kind.is_string():
        return f"CASE WHEN lower(trim({column})) NOT IN ('', 'null') THEN trim({column}) END"
    if kind.is_map() or kind.is_struct() or kind.is_array() or kind.is_json():
        return f"to_json({column})::VARCHAR"
    return column


def _digest(bill: Bill) -> str:
    """SHA-256 of a row whatever the order of its columns and the spelling of its numbers and times."""
    spelled = {name: f"{identifier(name + '_')}" for name in (*MONEY, *QUANTITIES)}
    spelled |= {"ChargePeriodStart": "start_", "ChargePeriodEnd": "end_", "BillingPeriodStart": "billing_"}
    parts = [
        f"{literal(name + '=')} || {spelled.get(name, identifier(name))}::VARCHAR"
        for name in sorted(bill.columns - {"broken_json"})
    ]
    return f"sha256(concat_ws(chr(31), {', '.join(parts)}))"


def _charges(bill: Bill) -> str:
    """The ledger's columns of every good row."""
    quantity = "coalesce(" + ", ".join(_money(bill, name) for name in QUANTITIES) + ")"
    unit = f"CASE WHEN {_money(bill, 'ConsumedQuantity')} IS NOT NULL THEN {bill.first('ConsumedUnit')} "
    unit += f"ELSE {bill.first('PricingUnit')} END"
    return f"""
        SELECT start_ AS charge_start, end_ AS charge_end, date_trunc('month', billing_)::DATE AS billing_month,
            "ChargeCategory" AS category, {bill.first("ChargeClass")} AS class, {_identity(bill)} AS identity,
            {bill.first("ServiceProviderName", "ProviderName", "PublisherName")} AS provider, {_model(bill)} AS model,
            {bill.first("ServiceCategory")} AS service_category,
            {bill.first("ServiceSubcategory")} AS service_subcategory,
            {bill.first("SkuMeter", "SkuId", "ChargeDescription")} AS meter, {quantity} AS quantity, {unit} AS unit,
            "BilledCost_" AS billed, {_money(bill, "EffectiveCost")} AS effective, {_money(bill, "ListCost")} AS list,
            {_money(bill, "ContractedCost")} AS contracted, "BillingCurrency" AS currency, row_digest,
            row_number() OVER (PARTITION BY row_digest)::INTEGER AS occurrence, {_extra(bill)} AS extra
        FROM rows WHERE reason = 0"""


def _money(bill: Bill, name: str) -> str:
    return identifier(f"{name}_") if bill.has(name) else "NULL::DECIMAL(38, 18)"


def _identity(bill: Bill) -> str:
    """Sorted (kind, value) pairs as JSON text."""
    pairs = [f"[{literal(kind)}, {identifier(name)}::VARCHAR]" for kind, name in SPENDERS.items() if bill.has(name)]
    if bill.has("CredentialDetails"):
        pairs.append(f"['credential_name', {_inside('CredentialDetails', 'Name')}]")
    named = f"list_filter([{', '.join(pairs)}]::VARCHAR[][], lambda pair: pair[2] IS NOT NULL)"
    if bill.has("Tags"):
        named = f"list_concat({named}, {_tags()})"
    payer = f"[['billing_account', {bill.first('BillingAccountId')}::VARCHAR]]"
    fallback = f"CASE WHEN {bill.first('BillingAccountId')} IS NULL THEN [] ELSE {payer} END"
    return f"to_json(list_sort(CASE WHEN len({named}) > 0 THEN {named} ELSE {fallback} END))::VARCHAR"


def _tags() -> str:
    """Tags of a JSON object as pairs; a value that is null names nobody."""
    tags = "CASE WHEN TRY(json_type(\"Tags\")) = 'OBJECT' THEN \"Tags\" ELSE '{}' END"
    pointer = "'/' || replace(replace(key, '~', '~0'), '/', '~1')"
    pairs = f"list_transform(json_keys({tags}), lambda key: ['tag:' || key, json_extract_string({tags}, {pointer})])"
    return f"list_filter({pairs}, lambda pair: pair[2] IS NOT NULL)"


def _model(bill: Bill) -> str:
    found = [_inside("SkuPriceDetails", key) for key in MODEL_DETAILS if bill.has("SkuPriceDetails")]
    found += [identifier(name) + "::VARCHAR" for name in MODEL_COLUMNS if bill.has(name)]
    if bill.has("ResourceName") and bill.has("ServiceCategory"):
        is_use = f"\"ServiceCategory\" = '{AI_CATEGORY}' AND \"ChargeCategory\" = 'Usage'"
        found.append(f'CASE WHEN {is_use} THEN "ResourceName" END')
    return f"coalesce({', '.join(found)})" if found else "NULL::VARCHAR"


def _inside(column: str, key: str) -> str:
    return f"TRY(json_extract_string({identifier(column)}, {literal('/' + key)}))"


def _extra(bill: Bill) -> str:
    """Everything else that the row says, as a JSON object without nulls."""
    names = sorted(bill.columns - STORED - {"broken_json"})
    listed = ", ".join(f"{literal(name)}, {identifier(name)}::VARCHAR" for name in names)
    return f"json_merge_patch('{{}}', json_object({listed}))::VARCHAR"


def _refuse_useless(counts: dict[int, int], reasons: list[str], broken: int) -> None:
    if not sum(counts.values()) + broken:
        raise FileError("There is no data: the file has a header line and no row.", "Export it again with its rows.")
    too_early = "ChargePeriodStart: before 2015"
    if not counts.get(0) and any(reasons[number - 1] == too_early for number in counts):
        raise FileError("Its times lie before 2015.", ORIGIN_HINT)


def _sums(db: Backend, bill: Bill) -> list[tuple[Any, ...]]:
    """Per currency: rows, billed, effective, list, and whether EffectiveCost means anything in these rows."""
    effective = _money(bill, "EffectiveCost")
    committed = bill.first("CommitmentDiscountId")
    wrong = f"""{effective} IS NULL
        OR ("ChargeCategory" = 'Usage' AND {effective} = 0 AND "BilledCost_" <> 0 AND {committed} IS NULL)"""
    found: list[tuple[Any, ...]] = db.con.execute(f"""
        SELECT "BillingCurrency", count(*), sum("BilledCost_"), sum({effective}), sum({_money(bill, "ListCost")}),
            NOT bool_or({wrong}), min(start_), max(start_), bool_or(naive_)
        FROM rows WHERE reason = 0 GROUP BY ALL ORDER BY ALL""").fetchall()
    return found


def _reduction(
    task: Task, bill: Bill, sums: list[tuple[Any, ...]], rejected: int, read: int, found: list[Reject]
) -> Reduction:
    by_currency = {
        row[0]: {"billed_cost": plain(row[2]), "effective_cost": plain(row[3]), "list_cost": plain(row[4])}
        for row in sums
    }
    only = next(iter(by_currency.values())) if len(by_currency) == 1 else {}
    usable = bool(sums) and all(row[5] for row in sums)
    return Reduction(
        rows_read=read,
        rows_rejected=rejected,
        rejects=found,
        rejected_file="rejected.csv.gz" if rejected else None,
        charges=sum(row[1] for row in sums),
        first_hour=min((f"{row[6]:%Y-%m-%dT%H:%M:%SZ}" for row in sums), default=None),
        last_hour=max((f"{row[7]:%Y-%m-%dT%H:%M:%SZ}" for row in sums), default=None),
        currencies=list(by_currency),
        missing_fields=[name for name in fields.FOCUS_EXPECTED if not bill.has(name)],
        notes=_notes(task, bill, usable=usable, naive=any(row[8] for row in sums)),
        billed_cost=only.get("billed_cost"),
        effective_cost=only.get("effective_cost"),
        list_cost=only.get("list_cost"),
        by_currency=by_currency,
        focus_version=bill.version,
        effective_cost_usable=usable,
    )


def _notes(task: Task, bill: Bill, *, usable: bool, naive: bool) -> list[str]:
    notes = [fields.NOTES[fields.Flag.ZONE_ASSUMED].format(zone=task.job.zone)] if naive else []
    if "BillingCurrency" not in {**task.columns, **task.job.constants}:
        notes.append(f"The file has no BillingCurrency; read as {task.job.currency}.")
    if not bill.has("ServiceCategory"):
        notes.append("The file has no ServiceCategory; its rows are in scope only where a binding claims them.")
    if not usable:
        notes.append("EffectiveCost means nothing in this file; BilledCost is used for all of its rows.")
    return notes

"""Calls to hours: one Ibis expression, the same on DuckDB and on any other engine.

A row is read, checked, and added to the hour of its key in one pass; rows that are rejected are counted in that pass
under the number of their reason (0 for a good row), so that nothing has to be read twice to know the totals.
"""

from collections.abc import Callable, Iterator
from functools import reduce
from operator import and_

import ibis
import ibis.expr.types as ir

from apps.catalog import edges
from apps.usage import fields
from apps.usage.fields import Flag
from apps.usage.parsing import (
    EXACT,
    Checked,
    Clock,
    Problems,
    check_moment,
    check_number,
    check_range,
    exact,
    is_naive,
    milliseconds,
    milliseconds_of_seconds,
    moment,
    present,
    proves_counts,
    proves_range,
    quick,
    says_zone,
    text,
    whole,
    zone_of,
)

KEY = ("usage_key", "provider", "model", "call_kind", "service_tier", "prompt_band", "hour")
CALL_KINDS = (fields.TOKEN, fields.RETRY_FAILED, fields.FALLBACK)
TIERS = (*fields.SERVICE_TIERS, fields.UNKNOWN)
AMOUNTS = ("gpu_seconds", "gpu_busy_seconds", "cost")
COUNT = "decimal(38, 0)"  # a sum of counts may go beyond 64 bits
ReadDuration = Callable[[ir.Value, ir.IntegerValue | None], ir.IntegerValue]


@ibis.udf.scalar.builtin  # type: ignore[untyped-decorator]
def trim(words: str) -> str:  # type: ignore[empty-body]
    """Without blanks at the ends. Ibis' strip() minds tabs and line ends as well, at three times the time."""


def check_requests(raw: ir.Table, clock: Clock) -> Checked:
    """Read every call of a request log and find what is wrong with it."""
    raw = _seen(raw, clock)
    rows = raw.mutate(
        at=moment(raw.time, clock, raw.zone),
        who=_trimmed(raw, "usage_key"),
        which=_trimmed(raw, "model"),
        delivered=_delivered(raw),
        **_counts(raw),
        **{f"{name}_ms_": read(raw[column], _seen_as(raw, column)) for name, column, read in _durations(raw)},
        **({"attempt_": whole(raw.attempt, _seen_as(raw, "attempt"))} if "attempt" in raw.columns else {}),
    )
    problems = Problems()
    _check_source_line(problems, raw)
    check_moment(problems, "time", raw.time, rows.at)
    check_range(problems, "time", rows.at, clock)
    problems.add("usage_key: empty", rows.who == "")
    _check_counts(problems, raw, rows)
    for name, column, _ in _durations(raw):
        check_number(problems, column, raw[column], rows[f"{name}_ms_"])
    if "attempt" in raw.columns:
        check_number(problems, "attempt", raw.attempt, rows.attempt_)
    return Checked(rows.mutate(reason=problems.number(_proof(raw, rows, clock))), problems.reasons)


def requests_to_hours(checked: Checked, clock: Clock) -> ir.Table:
    """Add calls up by key and hour, with the counts of their latencies."""
    rows = checked.rows
    keyed = rows.mutate(
        **_key(rows),
        call_kind=_call_kind(rows),
        prompt_band=_prompt_band(rows.input_tokens_),
        hour=rows.at.truncate("h"),
        bucket=_bucket(rows, "latency_ms_"),
        first_bucket=_bucket(rows, "ttft_ms_"),
    )
    unknown_tokens = keyed.input_tokens_.isnull() | keyed.output_tokens_.isnull()
    marks = {
        Flag.STATUS_ASSUMED: keyed.delivered.isnull() if "status" in rows.columns else True,
        Flag.UPPER_BOUND: _unknown(keyed, "cached_input_tokens_"),
        Flag.TOKENS_MISSING: unknown_tokens & (keyed.call_kind != CALL_KINDS.index(fields.RETRY_FAILED)),
        Flag.ZONE_ASSUMED: is_naive(keyed.time, clock, keyed.zone),
    }
    grouped = keyed.group_by(["reason", *KEY]).agg(
        rows=keyed.count(),
        requests=keyed.count().cast(COUNT),
        **_token_sums(keyed),
        **_amounts(keyed),
        latency_counts=_histogram(keyed, "bucket", "latency_ms_"),
        latency_sum_ms=_sum(keyed, "latency_ms_").cast(COUNT),
        ttft_counts=_histogram(keyed, "first_bucket", "ttft_ms_"),
        flags=_flags(keyed, marks),
    )
    return _in_words(grouped)


def check_usage(raw: ir.Table, clock: Clock) -> Checked:
    """Read every row of ready usage (sums of calls in a period) and find what is wrong with it."""
    until = moment(raw.period_end, clock) if "period_end" in raw.columns else ibis.null("timestamp")
    amounts = [name for name in AMOUNTS if name in raw.columns]
    counts = [name for name in ("requests", "failed_requests") if name in raw.columns]
    rows = raw.mutate(
        at=moment(raw.period_start, clock),
        until=until,
        who=_trimmed(raw, "usage_key"),
        which=_trimmed(raw, "model"),
        **_counts(raw),
        **{f"{name}_": whole(raw[name]) for name in counts},
        **{f"{name}_": exact(raw[name]) for name in amounts},
    )
    problems = Problems()
    _check_source_line(problems, raw)
    check_moment(problems, "period_start", raw.period_start, rows.at)
    check_range(problems, "period_start", rows.at, clock)
    _check_period(problems, raw, rows)
    problems.add("usage_key: empty", rows.who == "")
    _check_counts(problems, raw, rows)
    for name in (*counts, *amounts):
        check_number(problems, name, raw[name], rows[f"{name}_"])
    if len(counts) == 2:
        problems.add("failed_requests: more than requests", rows.failed_requests_ > rows.requests_)
    if "cost" in raw.columns:
        _check_currency(problems, raw, rows)
    return Checked(rows.mutate(reason=problems.number()), problems.reasons)


def usage_to_hours(checked: Checked, clock: Clock) -> ir.Table:
    """Add ready usage up by key and hour. Failed calls get an hour of their own kind; their tokens are unknown."""
    rows = checked.rows
    delivered = rows.mutate(
        lines_=1, calls_=_calls(rows), call_kind=ibis.literal(CALL_KINDS.index(fields.TOKEN), "int8")
    )
    hours = _usage_hours(delivered, clock)
    if "failed_requests_" not in rows.columns:
        return hours
    unknown = [f"{name}_" for name in (*fields.TOKEN_FIELDS, *AMOUNTS) if f"{name}_" in rows.columns]
    failed = rows.filter((rows.reason == 0) & (rows.failed_requests_ > 0)).mutate(
        lines_=0,
        calls_=rows.failed_requests_,
        call_kind=ibis.literal(CALL_KINDS.index(fields.RETRY_FAILED), "int8"),
        **{name: ibis.null(rows[name].type()) for name in unknown},
    )
    return hours.union(_usage_hours(failed, clock))


def _usage_hours(rows: ir.Table, clock: Clock) -> ir.Table:
    keyed = rows.mutate(
        **_key(rows),
        prompt_band=ibis.literal(edges.UNKNOWN_BAND, "int8"),
        hour=rows.at.truncate("h"),
        money=_currency(rows),
    )
    has_tokens = "input_tokens_" in keyed.columns
    marks = {
        Flag.UPPER_BOUND: has_tokens and _unknown(keyed, "cached_input_tokens_"),
        Flag.BAND_UNKNOWN: has_tokens,
        Flag.COARSE_PERIOD: _is_coarse(keyed) if "period_end" in rows.columns else False,
        Flag.ZONE_ASSUMED: is_naive(keyed.period_start, clock),
        Flag.BUSY_UNKNOWN: _busy_unknown(keyed),
    }
    grouped = keyed.group_by(["reason", *KEY]).agg(
        rows=keyed.lines_.sum(),
        requests=_sum(keyed, "calls_").cast(COUNT),
        **_token_sums(keyed),
        **_amounts(keyed),
        latency_counts=ibis.null("array<int64>"),
        latency_sum_ms=ibis.null(COUNT),
        ttft_counts=ibis.null("array<int64>"),
        flags=_flags(keyed, marks),
    )
    return _in_words(grouped)


def _seen(raw: ir.Table, clock: Clock) -> ir.Table:
    """What texts are at first sight, in columns of their own, since several values are made of each."""
    numbers = [*fields.TOKEN_FIELDS, "latency_ms", "ttft_ms", "attempt"]
    texts = [name for name in numbers if name in raw.columns and raw[name].type().is_string()]
    zone = zone_of(raw.time) if says_zone(raw.time, clock) else ibis.null("int8")
    return raw.mutate(zone=zone, **{f"{name}_seen": quick(raw[name]) for name in texts})


def _seen_as(raw: ir.Table, name: str) -> ir.IntegerValue | None:
    return raw[f"{name}_seen"] if f"{name}_seen" in raw.columns else None


def _counts(raw: ir.Table) -> dict[str, ir.IntegerValue]:
    return {f"{name}_": whole(raw[name], _seen_as(raw, name)) for name in fields.TOKEN_FIELDS if name in raw.columns}


def _durations(
    raw: ir.Table,
) -> Iterator[tuple[str, str, Callable[[ir.Value, ir.IntegerValue | None], ir.IntegerValue]]]:
    """Measured times: what was measured, the column that has it, and how that becomes milliseconds."""
    for name in ("latency", "ttft"):
        if f"{name}_ms" in raw.columns:
            yield name, f"{name}_ms", milliseconds
        elif f"{name}_s" in raw.columns:
            yield name, f"{name}_s", milliseconds_of_seconds


def _check_source_line(problems: Problems, raw: ir.Table) -> None:
    if "broken_json" in raw.columns:
        problems.add("line: not a JSON object", raw.broken_json)


def _check_counts(problems: Problems, raw: ir.Table, rows: ir.Table) -> None:
    for name in fields.TOKEN_FIELDS:
        if name in raw.columns:
            check_number(problems, name, raw[name], rows[f"{name}_"])
    for reason, part, whole_part in _parts(rows):
        problems.add(reason, part > whole_part)


def _parts(rows: ir.Table) -> Iterator[tuple[str, ir.IntegerValue, ir.IntegerValue]]:
    """Counts that are a part of another one: the reason if they are not, the part, the whole."""

    def count(name: str) -> ir.IntegerValue:
        return rows[f"{name}_"].fill_null(0) if f"{name}_" in rows.columns else ibis.literal(0)

    there = {name for name in fields.TOKEN_FIELDS if f"{name}_" in rows.columns}
    if there & {"cached_input_tokens", "cache_write_tokens"}:
        cache = count("cached_input_tokens") + count("cache_write_tokens")
        yield "cached and cache-write tokens: more than input_tokens", cache, count("input_tokens")
    if "cache_write_1h_tokens" in there:
        reason = "cache_write_1h_tokens: more than cache_write_tokens"
        yield reason, count("cache_write_1h_tokens"), count("cache_write_tokens")
    if "reasoning_tokens" in there:
        yield "reasoning_tokens: more than output_tokens", count("reasoning_tokens"), count("output_tokens")


def _proof(raw: ir.Table, rows: ir.Table, clock: Clock) -> ir.BooleanValue:
    """What holds for a good call and is quick to see; see Problems.number."""
    counted = {name: f"{name}_" for name in (*fields.TOKEN_FIELDS, "attempt") if name in raw.columns}
    counted |= {column: f"{name}_ms_" for name, column, _ in _durations(raw)}
    proof = proves_range(rows.at, clock) & (rows.who != "")
    proof &= proves_counts([raw[name] for name in counted], [rows[name] for name in counted.values()])
    return reduce(and_, (part <= whole_part for _, part, whole_part in _parts(rows)), proof)


def _check_period(problems: Problems, raw: ir.Table, rows: ir.Table) -> None:
    if "period_end" not in raw.columns:
        return
    problems.add("period_end: not a time", rows.until.isnull() & present(raw.period_end))
    problems.add("period_end: not after period_start", rows.until <= rows.at)
    coarse = _is_coarse(rows)
    problems.add("period_start: not at a full hour", coarse & (rows["at"] != rows["at"].truncate("h")))
    longest = ibis.interval(days=fields.LONGEST_PERIOD_DAYS)
    reason = f"period_end: more than {fields.LONGEST_PERIOD_DAYS} days after period_start"
    problems.add(reason, rows.until > rows.at + longest)


def _check_currency(problems: Problems, raw: ir.Table, rows: ir.Table) -> None:
    named = text(raw.currency).fill_null("") if "currency" in raw.columns else ibis.literal("")
    problems.add("currency: empty", rows.cost_.notnull() & (named == ""))
    problems.add("currency: not a code of three capitals", (named != "") & ~named.re_search("^[A-Z]{3}$"))


def _is_coarse(rows: ir.Table) -> ir.BooleanValue:
    return rows.until > rows.at + ibis.interval(hours=1)


def _currency(rows: ir.Table) -> ir.StringValue:
    if not {"currency", "cost_"} <= set(rows.columns):
        return ibis.null("string")
    return ibis.cases((rows.cost_.notnull(), text(rows.currency)))


def _calls(rows: ir.Table) -> ir.IntegerValue:
    if "requests_" not in rows.columns:
        return ibis.null("int64")
    return rows.requests_ - rows.failed_requests_.fill_null(0) if "failed_requests_" in rows.columns else rows.requests_


def _key(rows: ir.Table) -> dict[str, ir.Value]:
    """Who and what."""
    return {
        "service_tier": _service_tier(rows),
        "usage_key": rows.who,
        "provider": _trimmed(rows, "provider").lower(),
        "model": ibis.ifelse(rows.which == "", fields.UNKNOWN, rows.which),
    }


def _trimmed(rows: ir.Table, name: str) -> ir.StringValue:
    """A name without blanks around it, empty where there is none."""
    if name not in rows.columns:
        return ibis.literal("")
    words = rows[name] if rows[name].type().is_string() else rows[name].cast("string")
    return trim(words.fill_null(""))


def _delivered(raw: ir.Table) -> ir.BooleanValue:
    """Whether the answer arrived; NULL where the log does not say."""
    if "status" not in raw.columns:
        return ibis.null("boolean")
    if raw.status.type().is_integer():
        code = raw.status
        return ibis.cases((code.between(200, 299), True), (code.between(300, 599), False))
    word = text(raw.status)
    low = word.lower()
    return ibis.cases(
        (word == "200", True),  # what nearly all rows say, known without looking for patterns
        (word.re_search(r"^2[0-9]{2}(\.0)?$"), True),
        (word.re_search(r"^[345][0-9]{2}(\.0)?$"), False),
        (low.isin(fields.DELIVERED_WORDS), True),
        (low.isin(fields.FAILED_WORDS), False),
    )


def _call_kind(raw: ir.Table) -> ir.IntegerValue:
    """One kind a call: an attempt that was not delivered is a failed one, whichever attempt it was."""
    kinds = [(~raw.delivered, CALL_KINDS.index(fields.RETRY_FAILED))]
    if "fallback_from" in raw.columns:
        kinds.append((present(raw.fallback_from), CALL_KINDS.index(fields.FALLBACK)))
    return ibis.cases(*kinds, else_=CALL_KINDS.index(fields.TOKEN)).cast("int8")


def _service_tier(raw: ir.Table) -> ir.IntegerValue:
    if "service_tier" not in raw.columns:
        return ibis.literal(TIERS.index(fields.UNKNOWN), "int8")
    word = text(raw.service_tier).strip().lower()
    named = [(word == tier, TIERS.index(tier)) for tier in fields.SERVICE_TIERS]
    standard = (word.isin(fields.STANDARD_WORDS), TIERS.index("standard"))
    return ibis.cases(standard, *named, else_=TIERS.index(fields.UNKNOWN)).cast("int8")


def _prompt_band(tokens: ir.IntegerValue) -> ir.IntegerValue:
    bands = [(tokens <= edge, band) for band, edge in enumerate(edges.PROMPT_BAND_EDGES)]
    over_all = (tokens.notnull(), len(edges.PROMPT_BAND_EDGES))
    return ibis.cases(*bands, over_all, else_=edges.UNKNOWN_BAND).cast("int8")


def _bucket(rows: ir.Table, name: str) -> ir.IntegerValue:
    if name not in rows.columns:
        return ibis.null("int8")
    buckets = [(rows[name] <= edge, number) for number, edge in enumerate(edges.LATENCY_EDGES_MS)]
    return ibis.cases(*buckets, (rows[name].notnull(), len(buckets))).cast("int8")


def _histogram(rows: ir.Table, bucket: str, measured: str) -> ir.ArrayValue:
    """Counts by bucket; NULL for an hour without any. Counting under a condition is four times as fast as summing."""
    if measured not in rows.columns:
        return ibis.null("array<int64>")
    numbers = range(len(edges.LATENCY_EDGES_MS) + 1)
    counts = ibis.array([rows.count(where=rows[bucket] == ibis.literal(number, "int8")) for number in numbers])
    return ibis.cases((rows[measured].sum().notnull(), counts))


def _token_sums(rows: ir.Table) -> dict[str, ir.Value]:
    """Disjoint sums of the file's inclusive figures. What no row knows is NULL: unknown, not zero."""
    sums = {
        "input": _less(rows, "input_tokens_", "cached_input_tokens_", "cache_write_tokens_"),
        "cached": _sum(rows, "cached_input_tokens_"),
        "cache_write": _less(rows, "cache_write_tokens_", "cache_write_1h_tokens_"),
        "cache_write_1h": _sum(rows, "cache_write_1h_tokens_"),
        "output": _less(rows, "output_tokens_", "reasoning_tokens_"),
        "reasoning": _sum(rows, "reasoning_tokens_"),
    }
    return {name: value.cast(COUNT) for name, value in sums.items()}


def _less(rows: ir.Table, total: str, *parts: str) -> ir.NumericValue:
    value = _sum(rows, total)
    for part in parts:
        if part in rows.columns:
            value = value - _sum(rows, part).fill_null(0)
    return value


def _sum(rows: ir.Table, name: str) -> ir.NumericValue:
    return rows[name].sum() if name in rows.columns else ibis.null("int64")


def _amounts(rows: ir.Table) -> dict[str, ir.Value]:
    has_money = "money" in rows.columns
    return {
        "gpu_seconds": _sum(rows, "gpu_seconds_").cast(EXACT),
        "gpu_busy_seconds": _busy_seconds(rows).cast(EXACT),
        "reported_cost": _sum(rows, "cost_").cast(EXACT),
        "currency": rows.money.min() if has_money else ibis.null("string"),
        "other_currency": rows.money.max() if has_money else ibis.null("string"),
    }


def _busy_seconds(rows: ir.Table) -> ir.NumericValue:
    """NULL where no row tells its busy share; where some do, the allocated time of the others is busy."""
    if "gpu_busy_seconds_" not in rows.columns or "gpu_seconds_" not in rows.columns:
        return _sum(rows, "gpu_busy_seconds_")
    busy = rows.gpu_busy_seconds_
    return ibis.cases((busy.count() > 0, busy.fill_null(rows.gpu_seconds_).sum()))


def _busy_unknown(rows: ir.Table) -> ir.BooleanValue | bool:
    if "gpu_seconds_" not in rows.columns:
        return False
    return rows.gpu_seconds_.notnull() & _unknown(rows, "gpu_busy_seconds_")


def _unknown(rows: ir.Table, name: str) -> ir.BooleanValue | bool:
    return rows[name].isnull() if name in rows.columns else True


def _flags(rows: ir.Table, marks: dict[Flag, ir.BooleanValue | bool]) -> ir.IntegerValue:
    """One number of all marks that hold for some row; what the file alone decides costs nothing by row."""
    fixed = sum(int(flag) for flag, condition in marks.items() if condition is True)
    bits = [
        ibis.ifelse(rows.count(where=mark) > 0, int(flag), 0)
        for flag, mark in marks.items()
        if not isinstance(mark, bool)
    ]
    return sum(bits, ibis.literal(fixed)).cast("int32")


def _in_words(grouped: ir.Table) -> ir.Table:
    """The key's small numbers in words, once an hour and not once a call."""
    tier = grouped.service_tier
    assumed = ibis.ifelse(tier == TIERS.index(fields.UNKNOWN), int(Flag.TIER_ASSUMED), 0)
    return grouped.mutate(
        call_kind=ibis.cases(*[(grouped.call_kind == number, word) for number, word in enumerate(CALL_KINDS)]),
        service_tier=ibis.cases(*[(tier == number, word) for number, word in enumerate(TIERS)]),
        flags=(grouped.flags + assumed).cast("int32"),
    )

"""From a raw column to a value, and to the reason why there is none: Ibis expressions that any engine can run.

Text is never trusted to an engine's own cast: one reads 0x10 as 16, another 1_000 as 1000. A value is believed only
where one anchored ASCII pattern has matched, or where the number read is written again as the very same text. Where a
file's type already proves a value (integers of Parquet) nothing is looked at.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import reduce
from operator import or_

import ibis
import ibis.expr.types as ir

from apps.usage.fields import CLOCK, DAY, IN_UTC, LARGEST, NAIVE, OFFSET, SHIFT
from apps.usage.zones import Change, changes

NUMBER = r"^[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$"
EXACT = "decimal(38, 18)"
LARGEST_SIZE = 10**16  # bytes of a bill run to larger numbers
PLAINLY_SMALL = 2**43 - 1  # the largest number of ones in a row below it
LARGEST_EXACT_FLOAT = 2**53

NO_ZONE, IS_UTC, HAS_OFFSET = 0, 1, 2
UTC_ENDS = ("Z", "+00:00", "+00")
ENDS_IN_UTC = rf"^{DAY}[T ]{CLOCK} ?(Z|\+00(:00)?)$"

SECONDS = {"s": 1, "ms": 1000, "h": 3600}
EARLIEST = 1_420_070_400  # 2015-01-01, in seconds since 1970
LEEWAY = timedelta(days=2)
TOO_EARLY = "before 2015"


@dataclass
class Problems:
    """Reasons to reject a row, in the order in which they are looked for; a row has the number of the first."""

    reasons: list[str] = field(default_factory=list)
    conditions: list[ir.BooleanValue] = field(default_factory=list)

    def add(self, reason: str, condition: ir.BooleanValue) -> None:
        self.reasons.append(reason)
        self.conditions.append(condition)

    def number(self, proof: ir.BooleanValue | None = None) -> ir.IntegerValue:
        """0 for a good row, else the reason's place counted from 1.

        `proof` holds for nearly all good rows and for no bad one. It is a handful of comparisons where the reasons are
        dozens, which are then looked at for few rows only; looking at all of them takes as long as adding up.
        """
        branches = [(condition, number) for number, condition in enumerate(self.conditions, start=1)]
        return ibis.cases(*([] if proof is None else [(proof, 0)]), *branches, else_=0).cast("int16")


@dataclass(frozen=True)
class Checked:
    """Rows with their values read; `reason` is 0 or the place in `reasons`, counted from 1."""

    rows: ir.Table
    reasons: list[str]


@dataclass(frozen=True)
class Clock:
    """How times of a file are to be read. `origin` in seconds since 1970, `latest` the end of what is not future."""

    unit: str
    zone: str
    origin: int | None
    latest: int


Check = Callable[[ir.Table, Clock], Checked]


def text(raw: ir.Value) -> ir.StringValue:
    return raw if raw.type().is_string() else raw.cast("string")


def present(raw: ir.Value) -> ir.BooleanValue:
    """Whether the file has anything there. What has a type is not turned into text to find out."""
    return (raw.fill_null("") != "") if raw.type().is_string() else raw.notnull()


def exact(raw: ir.Value) -> ir.DecimalValue:
    """An amount to 18 decimals. Floats go by their shortest text, so that 0.1 stays 0.1."""
    if raw.type().is_integer():
        return raw.try_cast(EXACT)
    words = text(raw)
    return ibis.cases((words.re_search(NUMBER), words.try_cast(EXACT)))


def quick(raw: ir.StringValue) -> ir.IntegerValue:
    """What the engine's own cast makes of a text, to be believed where its digits are the text again (`is_quick`).

    It is to be a column of its own, or it would be computed wherever it is used.
    """
    return raw.try_cast("int64")


def whole(raw: ir.Value, seen: ir.IntegerValue | None = None) -> ir.IntegerValue:
    """A count; NULL where there is none or it cannot be read. `seen` is a column with `quick` of a text."""
    if raw.type().is_integer():
        return _wide(raw)
    amount = exact(raw)
    slow = (amount == amount.floor(), amount.try_cast("int64"))
    if raw.type().is_floating():
        fast = (raw.abs() <= LARGEST_EXACT_FLOAT) & (raw == raw.floor())
        return ibis.cases((fast, raw.try_cast("int64")), slow)
    words = text(raw)
    return ibis.cases(_believed(words, seen), slow)


def _believed(words: ir.StringValue, seen: ir.IntegerValue | None) -> tuple[ir.BooleanValue, ir.IntegerValue]:
    """The number of a text that is written as the engine itself writes numbers: half the time of a pattern."""
    number = quick(words) if seen is None else seen
    return number.cast("string") == words, number


def _wide(raw: ir.IntegerValue) -> ir.IntegerValue:
    """64 bits; NULL for what an unsigned number has beyond them."""
    return raw.try_cast("int64") if raw.type().is_unsigned_integer() else raw.cast("int64")


def milliseconds(raw: ir.Value, seen: ir.IntegerValue | None = None) -> ir.IntegerValue:
    """Whole milliseconds. Edges are whole and inclusive, so rounding up never moves a call to another bucket."""
    if raw.type().is_integer():
        return _wide(raw)
    slow = exact(raw).ceil().try_cast("int64")
    if raw.type().is_floating():
        return ibis.cases((raw.abs() <= LARGEST_EXACT_FLOAT, raw.ceil().try_cast("int64")), else_=slow)
    return ibis.cases(_believed(text(raw), seen), else_=slow)


def milliseconds_of_seconds(raw: ir.Value, _: ir.IntegerValue | None = None) -> ir.IntegerValue:
    amount = exact(raw)
    return ibis.cases((amount.abs() <= LARGEST, (amount * 1000).ceil().try_cast("int64")))


def check_number(
    problems: Problems,
    name: str,
    raw: ir.Value,
    value: ir.NumericValue,
    *,
    negative: bool = False,
    largest: int = LARGEST,
) -> None:
    """Say why a number is missing where the file has something; numbers are whole where `value` is an integer."""
    unread = value.isnull() & present(raw)
    if not raw.type().is_integer():
        problems.add(f"{name}: not a number", unread & ~text(raw).re_search(NUMBER))
        problems.add(f"{name}: too large", unread & (exact(raw).abs().fill_null(largest + 1) > largest))
        problems.add(f"{name}: not a whole number", unread)
    problems.add(f"{name}: too large", unread | (value.abs() > largest))
    if not negative:
        problems.add(f"{name}: negative", value < 0)


def proves_counts(raws: Sequence[ir.Value], values: Sequence[ir.IntegerValue]) -> ir.BooleanValue:
    """Whether all counts are there and plainly small, in two comparisons: no high bit is set in any, and no sign."""
    known = [value.fill_null(0) if raw.type().is_integer() else value for raw, value in zip(raws, values, strict=True)]
    return reduce(or_, known).between(0, PLAINLY_SMALL) if known else ibis.literal(True)


def proves_range(value: ir.TimestampValue, clock: Clock) -> ir.BooleanValue:
    return value.between(_at(EARLIEST), _at(clock.latest))


def moment(raw: ir.Value, clock: Clock, zone: ir.IntegerValue | None = None) -> ir.TimestampValue:
    """The UTC time as a naive timestamp, to the minute for text (ledgers keep hours, so leap seconds fall in place).

    `zone` is a column that holds `zone_of` already; text is then not looked at twice for it.
    """
    kind = raw.type()
    if kind.is_timestamp() and kind.timezone:
        return raw.cast("timestamp")
    if kind.is_timestamp() or kind.is_date():
        return _from_zone(raw.cast("timestamp"), clock)
    if clock.unit != "iso":
        return _at(0) + seconds(raw, clock).as_interval("s")
    return _written(text(raw), clock, zone_of(raw) if zone is None else zone)


def seconds(raw: ir.Value, clock: Clock) -> ir.IntegerValue:
    """Seconds since 1970 of a number in the clock's unit; NULL where it is no number or beyond all calendars."""
    amount = exact(raw)
    since = amount / 1000 if clock.unit == "ms" else amount * SECONDS[clock.unit]
    read = ibis.cases((amount.abs() <= LARGEST, since.floor().try_cast("int64") + (clock.origin or 0)))
    return ibis.cases((read.between(-clock.latest, 10 * clock.latest), read))


def zone_of(raw: ir.Value) -> ir.IntegerValue:
    """How the text of a time says its zone: NO_ZONE, IS_UTC, HAS_OFFSET, or NULL where it is no time at all.

    One pattern takes as long as reading the time, so the last letters tell which one to look for first.
    """
    words = text(raw)
    ends = reduce(or_, (words.endswith(end) for end in UTC_ENDS))
    return ibis.cases(
        (ends, ibis.cases((words.re_search(ENDS_IN_UTC), IS_UTC))),
        (words.re_search(NAIVE), NO_ZONE),
        (words.re_search(IN_UTC), IS_UTC),
        (words.re_search(OFFSET), HAS_OFFSET),
    ).cast("int8")


def says_zone(raw: ir.Value, clock: Clock) -> bool:
    """Whether each value must say itself which zone it is in, as text does; else the kind of time decides it."""
    kind = raw.type()
    return not (kind.is_timestamp() or kind.is_date()) and clock.unit == "iso"


def is_naive(raw: ir.Value, clock: Clock, zone: ir.IntegerValue | None = None) -> ir.BooleanValue | bool:
    """Whether a time says no zone; a plain bool where the kind of time decides it for all rows."""
    if says_zone(raw, clock):
        return text(raw).re_search(NAIVE) if zone is None else zone == NO_ZONE
    kind = raw.type()
    return (kind.is_timestamp() and not kind.timezone) or kind.is_date()


def check_moment(problems: Problems, name: str, raw: ir.Value, value: ir.TimestampValue) -> None:
    problems.add(f"{name}: empty", ~present(raw))
    problems.add(f"{name}: not a time", value.isnull())


def check_range(problems: Problems, name: str, value: ir.TimestampValue, clock: Clock) -> None:
    problems.add(f"{name}: {TOO_EARLY}", value < _at(EARLIEST))
    problems.add(f"{name}: in the future", value > _at(clock.latest))


def _at(epoch: int) -> ir.TimestampScalar:
    return ibis.literal(datetime.fromtimestamp(epoch, UTC).replace(tzinfo=None), "timestamp")


def _written(words: ir.StringValue, clock: Clock, zone: ir.IntegerValue) -> ir.TimestampValue:
    """Read an ISO time. The first 16 characters are the minute; the rest can only move it by an offset."""
    minute = words.substr(0, 16).try_cast("timestamp")
    return ibis.cases(
        (zone == NO_ZONE, _from_zone(minute, clock)),
        (zone == IS_UTC, minute),
        (zone == HAS_OFFSET, minute - _offset_minutes(words).as_interval("m")),
    )


def _offset_minutes(words: ir.StringValue) -> ir.IntegerValue:
    sign, hours, minutes = (words.substr(16).re_extract(SHIFT, group) for group in (1, 2, 3))
    size = hours.try_cast("int64") * 60 + minutes.nullif("").try_cast("int64").fill_null(0)
    return ibis.ifelse(sign == "-", -size, size)


def _from_zone(local: ir.TimestampValue, clock: Clock) -> ir.TimestampValue:
    if clock.zone == "UTC":
        return local
    first, last = (datetime.fromtimestamp(epoch, UTC) for epoch in (EARLIEST, clock.latest))
    oldest, *later = changes(clock.zone, first - LEEWAY, last + LEEWAY)
    branches = [(local >= change.local, _minus(local, change)) for change in reversed(later)]
    return ibis.cases(*branches, else_=_minus(local, oldest)) if branches else _minus(local, oldest)


def _minus(local: ir.TimestampValue, change: Change) -> ir.TimestampValue:
    return local - ibis.interval(seconds=int(change.offset.total_seconds()))

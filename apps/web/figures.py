"""How figures read: one function a kind, plain text out, `None` in means unknown and comes out as an en dash.

Rules: whole units from 100, cents under; three significant digits for prices below one; a real minus sign before the
currency; never scientific notation. Rounding happens here and only here, half to even.
"""

from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal

from django.utils import timezone

from apps.core.currencies import SYMBOLS

Number = Decimal | int | float

UNKNOWN = "–"
LONGEST_SENTENCE = 120
MINUS = "\u2212"
WITHOUT_CENTS = frozenset({"JPY", "KRW", "CLP", "VND", "ISK"})
SCALES = ((Decimal(10) ** 12, "T"), (Decimal(10) ** 9, "B"), (Decimal(10) ** 6, "M"), (Decimal(10) ** 3, "k"))
CENT = Decimal("0.01")
# The ledger keeps 38 digits; Python's own context would round to 28 on the way to the screen.
EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)


def exact(value: Number | None) -> Decimal | None:
    """The number as a Decimal; None for unknown, which includes a float that is not a number."""
    if value is None:
        return None
    number = value if isinstance(value, Decimal) else Decimal(str(value))
    return number if number.is_finite() else None


def money(value: Number | None, currency: str) -> str:
    """$352,108 from 100 on, $57.20 under it; an amount below a cent keeps three digits, since it is not nothing."""
    amount = exact(value)
    if amount is None:
        return UNKNOWN
    return _with_currency(amount, _amount_digits(amount.copy_abs(), currency), currency)


def money_exact(value: Number | None, currency: str) -> str:
    """To the cent at least, and to the last digit that is stored."""
    amount = exact(value)
    if amount is None:
        return UNKNOWN
    size = amount.copy_abs()
    places = max(0 if currency in WITHOUT_CENTS else 2, _places(size))
    return _with_currency(amount, f"{_rounded(size, places):,f}", currency)


def unit_price(value: Number | None, currency: str) -> str:
    """Price of one: three significant digits below 1 ($0.0300), cents from there ($7.20)."""
    price = exact(value)
    if price is None:
        return UNKNOWN
    size = price.copy_abs()
    text = _amount_digits(size, currency) if size >= 1 or size == 0 else f"{_significant(size, 3):f}"
    return _with_currency(price, text, currency)


def compact(value: Number | None, currency: str) -> str:
    """$117k, $1.26M: for charts, side columns and small screens only."""
    amount = exact(value)
    if amount is None:
        return UNKNOWN
    size = amount.copy_abs()
    text = _scaled(size) if _rounded(size, 0) >= 1000 else _amount_digits(size, currency)
    return _with_currency(amount, text, currency)


def count(value: Number | None) -> str:
    """2,113,880"""
    number = exact(value)
    return UNKNOWN if number is None else _signed(number, f"{_rounded(number.copy_abs(), 0):,f}")


def tokens(value: Number | None) -> str:
    """41.2M; below ten thousand every token counts."""
    number = exact(value)
    if number is None:
        return UNKNOWN
    return count(number) if number.copy_abs() < 10_000 else _signed(number, _scaled(number.copy_abs()))


def percent(ratio: Number | None, digits: int = 1) -> str:
    """4.1% of a ratio of 0.041; a share too small for its digits keeps one of its own (0.06%)."""
    share = exact(ratio)
    if share is None:
        return UNKNOWN
    size = share.copy_abs() * 100
    is_tiny = digits > 0 and 0 < size < Decimal(1).scaleb(-digits)
    rounded = _significant(size, 1) if is_tiny else _rounded(size, digits)
    return _signed(share if rounded else Decimal(0), f"{rounded:,f}%")


def percent_short(ratio: Number | None) -> str:
    """3%, 2.5%: a limit that somebody chose, as they wrote it."""
    share = exact(ratio)
    return UNKNOWN if share is None else f"{_trimmed(share * 100)}%"


def delta(ratio: Number | None) -> str:
    """+4.8%, −1.8%: a change always carries its sign."""
    change = exact(ratio)
    if change is None:
        return UNKNOWN
    text = percent(change)
    return f"+{text}" if change > 0 else text


def latency(milliseconds: Number | None) -> str:
    """842 ms, 2.64 s, 10 min."""
    duration = exact(milliseconds)
    if duration is None:
        return UNKNOWN
    whole = _rounded(duration, 0)
    if whole < 1000:
        return f"{whole:f} ms"
    seconds = duration / 1000
    if seconds < 120:
        return f"{_trimmed(_significant(seconds, 3))} s"
    return f"{_trimmed(_rounded(seconds / 60, 1))} min"


def day(value: date | datetime | None) -> str:
    """12 Nov 2026, in the zone that the request activated."""
    if value is None:
        return UNKNOWN
    local = _local(value)
    return f"{local.day} {local:%b %Y}"


def last_day(end: datetime | None) -> str:
    """The last day of what holds before `end`: what ends at midnight does not hold on the day that begins there."""
    return day(end - timedelta(microseconds=1) if end else None)


def day_short(value: date | datetime | None) -> str:
    """12 Nov"""
    if value is None:
        return UNKNOWN
    local = _local(value)
    return f"{local.day} {local:%b}"


def moment(value: datetime | None) -> str:
    """12 Nov, 09:40; the year is said once it is not this one."""
    if value is None:
        return UNKNOWN
    local = timezone.localtime(value)
    is_this_year = local.year == timezone.localtime(timezone.now()).year
    return f"{day_short(value) if is_this_year else day(value)}, {local:%H:%M}"


def ago(value: datetime | None, now: datetime | None = None) -> str:
    """4 min ago, 6 h ago, 2 days ago."""
    if value is None:
        return UNKNOWN
    minutes = int(((now or datetime.now(UTC)) - value).total_seconds() // 60)
    if minutes < 1:
        return "just now"
    if minutes < 60:
        return f"{minutes} min ago"
    if minutes < 48 * 60:
        return f"{minutes // 60} h ago"
    return f"{minutes // (24 * 60)} days ago"


def first_sentence(text: str) -> str:
    """The first sentence of a reason, cut where it is long: what an overview has room for."""
    first = text.partition(". ")[0].rstrip(".")
    if len(first) >= LONGEST_SENTENCE:
        return f"{first[:LONGEST_SENTENCE]} …"
    return f"{first}." if first else ""


def month_name(value: date | None) -> str:
    """October 2026"""
    return UNKNOWN if value is None else f"{value:%B %Y}"


def _local(value: date | datetime) -> date:
    return timezone.localtime(value).date() if isinstance(value, datetime) else value


def _amount_digits(size: Decimal, currency: str) -> str:
    if size == 0:
        return "0"
    if currency in WITHOUT_CENTS or _rounded(size, 2) >= 100:
        return f"{_rounded(size, 0):,f}"
    return f"{_rounded(size, 2):f}" if _rounded(size, 2) >= CENT else f"{_significant(size, 3):f}"


def _with_currency(amount: Decimal, digits: str, currency: str) -> str:
    symbol = SYMBOLS.get(currency)
    return _signed(amount, f"{symbol}{digits}" if symbol else f"{currency}\u00a0{digits}")


def _signed(number: Decimal, text: str) -> str:
    return f"{MINUS}{text}" if number < 0 else text


def _scaled(size: Decimal) -> str:
    """Three significant digits with k, M, B or T; 999,950 becomes 1.00M, not 1000k."""
    rounded = _significant(size, 3)
    for scale, letter in SCALES:
        if rounded >= scale:
            return f"{_significant(rounded / scale, 3):f}{letter}"
    return f"{rounded:f}"


def _significant(size: Decimal, digits: int) -> Decimal:
    """Rounded to so many significant digits, with trailing zeros kept."""
    if size == 0:
        return size
    rounded = _rounded(size, digits - 1 - size.adjusted())
    # 0.9996 grows by a digit when rounded and would show four.
    return rounded if rounded.adjusted() == size.adjusted() else _rounded(size, digits - 2 - size.adjusted())


def _rounded(number: Decimal, places: int) -> Decimal:
    step = Decimal(1).scaleb(-places)
    rounded = number.quantize(step, context=EXACT)
    return rounded.quantize(Decimal(1)) if places < 0 else rounded


def _places(size: Decimal) -> int:
    exponent = size.normalize(EXACT).as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _trimmed(number: Decimal) -> str:
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text

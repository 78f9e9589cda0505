"""From the names that sources report to offerings, in bulk and with prices at first sight."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final, TypeAlias

from django.db import connection, transaction
from django.utils import timezone

from apps.catalog import names, rates
from apps.catalog.models import Offering, OfferingAlias
from apps.catalog.names import Match
from apps.catalog.prices import listed_prices
from apps.core import audit
from apps.core.actor import Actor

Pair: TypeAlias = tuple[str | None, str | None]
Key: TypeAlias = tuple[str, str]
SEEING_LOCK: Final = 7_301_003  # an advisory lock of ours
IMPORTS: Final = Actor.system("catalogue")


def resolve(
    provider: str | None, model: str | None, *, actor: Actor = IMPORTS, now: datetime | None = None
) -> Offering:
    """The offering behind a provider and model as reported; made, and priced if the list knows it, at first sight."""
    return resolve_many([(provider, model)], actor=actor, now=now)[provider, model]


def resolve_many(pairs: Iterable[Pair], *, actor: Actor = IMPORTS, now: datetime | None = None) -> dict[Pair, Offering]:
    """The offerings behind (provider, model) pairs as reported: one query when all were seen before, else about ten.

    Call it in a short transaction of its own: while one importer takes in new names, another one waits.
    """
    keys = {pair: _key(*pair) for pair in pairs}
    known = _known(keys.values())
    missing = {key: names.clean(model) for (_, model), key in keys.items() if key not in known}
    if missing:
        known |= _see(missing, actor, now or timezone.now())
    return {pair: known[key] for pair, key in keys.items()}


def _key(provider: str | None, model: str | None) -> Key:
    """Names differ in case between sources and mean the same."""
    return names.clean(provider).lower(), names.clean(model).lower()


def _known(keys: Iterable[Key]) -> dict[Key, Offering]:
    wanted = set(keys)
    aliases = OfferingAlias.objects.filter(model__in={model for _, model in wanted}).select_related("offering")
    found = {(alias.provider, alias.model): alias.offering for alias in aliases}
    return {key: found[key] for key in wanted & found.keys()}


@transaction.atomic
def _see(spelled: Mapping[Key, str], actor: Actor, now: datetime) -> dict[Key, Offering]:
    """Make offerings of names that no source has reported before."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [SEEING_LOCK])
    known = _known(spelled)
    matches = {key: names.match(key[0], model) for key, model in spelled.items() if key not in known}
    offerings = _ensure_offerings(matches.values(), actor, now)
    made = [
        OfferingAlias(
            provider=provider,
            model=model,
            offering=offerings[match.provider, match.name],
            rule=match.rule,
            candidates=list(match.candidates),
        )
        for (provider, model), match in matches.items()
    ]
    OfferingAlias.objects.bulk_create(made)
    return known | {(alias.provider, alias.model): alias.offering for alias in made}


def _ensure_offerings(matches: Iterable[Match], actor: Actor, now: datetime) -> dict[Key, Offering]:
    by_key = {(match.provider, match.name): match for match in matches}
    names_of = {name for _, name in by_key}
    before = {(row.provider, row.name) for row in Offering.objects.filter(name__in=names_of)} & by_key.keys()
    new = [match for key, match in by_key.items() if key not in before]
    Offering.objects.bulk_create([_offering(match) for match in new])
    offerings = {(row.provider, row.name): row for row in Offering.objects.filter(name__in=names_of)}
    _price([match for match in new if match.listed], offerings, now)
    if new:
        seen = [{"offering": f"{match.provider}/{match.name}", "rule": match.rule} for match in new]
        audit.record(actor=actor, verb="saw offerings", data={"offerings": seen})
    return offerings


def _offering(match: Match) -> Offering:
    listed_name = match.listed.id if match.listed else ""
    return Offering(provider=match.provider, name=match.name, listed_by=match.listed_by, listed_name=listed_name)


def _price(matches: Iterable[Match], offerings: Mapping[Key, Offering], now: datetime) -> None:
    listed = {
        offerings[match.provider, match.name]: listed_prices(match.listed, with_variants=match.is_own_list)
        for match in matches
        if match.listed
    }
    priced = {offering: rows for offering, rows in listed.items() if rows}
    rates.store_first_prices(priced, now=now)
    for offering in priced:
        offering.state = Offering.State.KNOWN

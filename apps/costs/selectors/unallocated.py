"""What nobody claims: keys by money, with a guess whose they are, and the share of the full cost over a year."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from django.db import connection

from apps.accounts import rights
from apps.accounts.rights import Right
from apps.core import periods
from apps.core.actor import Actor
from apps.core.errors import NotFound
from apps.costs.selectors.scope import LINE_MEASURES, CostScope, Measures, Sql, line_conditions, measures_of, sums
from apps.costs.suggestions import Candidate, Guesser, Spender, Suggestion, words_of
from apps.sources.models import Source
from apps.usage.models import Identity
from apps.workloads.models import Binding, Workload

SORTS: Final = {"cost": "g.cost", "first_seen": "i.first_seen", "key": "i.pairs::text", "source": "lower(s.name)"}


@dataclass(frozen=True, slots=True)
class KeyFilters:
    """None and "" filter nothing. `new_since`: first seen on that day or later; `unguessed`: nobody can tell whose."""

    source_id: int | None = None
    offering_id: int | None = None
    words: str = ""
    new_since: date | None = None
    unguessed: bool = False

    @property
    def is_filtering(self) -> bool:
        return self != KeyFilters()


@dataclass(frozen=True, slots=True)
class UnallocatedKey:
    """One spender that nobody claims. `share` is of all that is unallocated in the period."""

    identity: Identity
    source: Source
    money: Measures
    share: Decimal | None
    offerings: tuple[int, ...]
    suggestion: Suggestion | None
    suggested: Workload | None

    @property
    def cost(self) -> Decimal | None:
        return self.money.cost

    @property
    def kinds(self) -> str:
        """In a word how the source names it: API key, project, namespace."""
        return ", ".join(KIND_WORDS.get(kind, kind.replace("_", " ")) for kind, _ in self.identity.pairs)


KIND_WORDS: Final = {"key": "usage key", "api_key": "API key", "k8s_namespace": "namespace", "user": "person"}


@dataclass(frozen=True, slots=True)
class UnallocatedPage:
    """A page of keys, most money first, and what all keys of the filter come to."""

    rows: list[UnallocatedKey]
    count: int
    new: int
    total: Measures


@dataclass(frozen=True, slots=True)
class ShareOfMonth:
    """How much of a month's full cost nobody claims; None where the month has no cost."""

    month: date
    unallocated: Decimal
    full_cost: Decimal

    @property
    def share(self) -> Decimal | None:
        return self.unallocated / self.full_cost if self.full_cost > 0 else None


def unallocated_keys(
    *,
    actor: Actor,
    scope: CostScope,
    filters: KeyFilters | None = None,
    new_from: datetime,
    sort: str = "-cost",
    limit: int | None = None,
    offset: int = 0,
) -> UnallocatedPage:
    """Keys with unallocated usage in the period. `new_from` counts those first seen from then on."""
    rights.require(actor, Right.SEE_UNALLOCATED)
    filters = filters or KeyFilters()
    only = _unguessed(actor, scope, filters, new_from) if filters.unguessed else None
    found, count, new, total = _grouped(actor, scope, filters, new_from, sort, limit, offset, only)
    identities = Identity.objects.select_related("source").in_bulk([row[0] for row in found])
    guesses = _guesses([(identities[pk], offerings) for pk, offerings, _ in found])
    workloads = Workload.objects.in_bulk({guess.workload_id for guess in guesses.values()})
    keys = [
        _key(identities[pk], measures_of(values), offerings, total, guesses.get(pk), workloads)
        for pk, offerings, values in found
    ]
    return UnallocatedPage(rows=keys, count=count, new=new, total=total)


def get_identity_for(*, actor: Actor, pk: int) -> Identity:
    """A usage key, for those who may see what is unallocated."""
    if not rights.rights_of(actor).may(Right.SEE_UNALLOCATED):
        raise NotFound("This usage key does not exist.")
    identity = Identity.objects.select_related("source").filter(pk=pk).first()
    if identity is None:
        raise NotFound("This usage key does not exist.")
    return identity


def suggestion_for(identity: Identity) -> tuple[Suggestion, Workload] | None:
    """The guess for one key, from the models it ever used."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT offering_id FROM usage_series WHERE identity_id = %s", [identity.pk])
        offerings = tuple(row[0] for row in cursor.fetchall())
    guess = _guesses([(identity, offerings)]).get(identity.pk)
    return (guess, Workload.objects.get(pk=guess.workload_id)) if guess else None


def shares_by_month(*, actor: Actor, months: Sequence[date]) -> list[ShareOfMonth]:
    """The unallocated share of each month's full cost, for months in a row; one statement on the daily sums."""
    rights.require(actor, Right.SEE_UNALLOCATED)
    with connection.cursor() as cursor:
        cursor.execute(_SHARES, [months[0], periods.next_month(months[-1])])
        found = {month: (unallocated, full_cost) for month, unallocated, full_cost in cursor.fetchall()}
    nothing = (Decimal(0), Decimal(0))
    return [ShareOfMonth(month, *found.get(month, nothing)) for month in months]


def count_keys(*, actor: Actor, month: date) -> int:
    """How many keys of a month nobody claims; 0 for those who may not see them."""
    if not rights.rights_of(actor).may(Right.SEE_UNALLOCATED):
        return 0
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, [month, periods.next_month(month)])
        return int(cursor.fetchone()[0])


def _grouped(
    actor: Actor,
    scope: CostScope,
    filters: KeyFilters,
    new_from: datetime,
    sort: str,
    limit: int | None,
    offset: int,
    only: list[int] | None = None,
) -> tuple[list[tuple[int, tuple[int, ...], tuple[Any, ...]]], int, int, Measures]:
    """Keys of the page with their sums, and count, new ones and sums of all: one statement."""
    lines = line_conditions(actor, _narrowed(scope, filters))
    narrowed = _identity_conditions(filters, only)
    statement = f"""
        WITH grouped AS (
            SELECT x.identity_id, array_remove(array_agg(DISTINCT x.offering_id), NULL) AS offerings, {sums()}
            FROM (SELECT t.identity_id, {LINE_MEASURES} FROM costs_line t
                WHERE {lines.text} AND t.identity_id IS NOT NULL) x GROUP BY 1
        ), kept AS (
            SELECT g.*, row_number() OVER (ORDER BY {_order(sort)}, g.identity_id) AS place, i.first_seen
            FROM grouped g JOIN usage_identity i ON i.id = g.identity_id JOIN sources_source s ON s.id = i.source_id
            WHERE {narrowed.text}
        ), total AS (
            SELECT count(*) AS number, count(*) FILTER (WHERE x.first_seen >= %s) AS new, {sums()} FROM kept x
        )
        SELECT k.identity_id, k.offerings, {_columns("k")}, t.number, t.new, {_columns("t")}
        FROM total t LEFT JOIN kept k ON k.place > %s AND (%s::bigint IS NULL OR k.place <= %s) ORDER BY k.place
    """
    last = None if limit is None else offset + limit
    with connection.cursor() as cursor:
        cursor.execute(statement, [*lines.values, *narrowed.values, new_from, offset, last, last])
        rows = cursor.fetchall()
    width = len(_MEASURES)
    found = [(row[0], tuple(row[1]), row[2 : 2 + width]) for row in rows if row[0] is not None]
    count, new, *total = rows[0][2 + width :]
    return found, count, new, measures_of(total)


def _narrowed(scope: CostScope, filters: KeyFilters) -> CostScope:
    return CostScope(
        scope.first, scope.end, allocated=False, source_id=filters.source_id, offering_id=filters.offering_id
    )


def _unguessed(actor: Actor, scope: CostScope, filters: KeyFilters, new_from: datetime) -> list[int]:
    """Keys of the filter for which there is no guess; guesses are made here and not in the database."""
    found, *_ = _grouped(actor, scope, filters, new_from, "-cost", None, 0)
    known = Identity.objects.in_bulk([row[0] for row in found])
    guesses = _guesses([(known[pk], offerings) for pk, offerings, _ in found])
    return [pk for pk in known if pk not in guesses]


def _identity_conditions(filters: KeyFilters, only: list[int] | None) -> Sql:
    parts: list[str] = ["true"]
    values: list[Any] = []
    if only is not None:
        parts.append("i.id = ANY(%s)")
        values.append(only)
    if filters.words:
        parts.append("(i.pairs::text ILIKE %s OR s.name ILIKE %s)")
        pattern = "%" + filters.words.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        values += [pattern, pattern]
    if filters.new_since:
        parts.append("i.first_seen >= %s")
        values.append(filters.new_since)
    return Sql(" AND ".join(parts), tuple(values))


def _order(sort: str) -> str:
    return f"{SORTS[sort.lstrip('-')]} {'DESC' if sort.startswith('-') else 'ASC'} NULLS LAST"


def _key(
    identity: Identity,
    money: Measures,
    offerings: tuple[int, ...],
    total: Measures,
    guess: Suggestion | None,
    workloads: dict[int, Workload],
) -> UnallocatedKey:
    share = money.cost / total.cost if money.cost is not None and total.cost else None
    suggested = workloads.get(guess.workload_id) if guess else None
    return UnallocatedKey(identity, identity.source, money, share, offerings, guess if suggested else None, suggested)


# --- Guesses ----------------------------------------------------------------------------------------------------------


def _guesses(spenders: Sequence[tuple[Identity, tuple[int, ...]]]) -> dict[int, Suggestion]:
    """Identity -> whose it may be. As many queries for one key as for all."""
    if not spenders:
        return {}
    guesser, claims = _known()
    found = {}
    for identity, offerings in spenders:
        pairs = tuple(sorted((kind, value) for kind, value in identity.pairs))
        spender = Spender(
            words=words_of(*(value for _, value in pairs)),
            models=frozenset(offerings),
            claimed_by=claims.get((identity.source_id, pairs)),
        )
        guess = guesser.guess(spender)
        if guess is not None:
            found[identity.pk] = guess
    return found


def _known() -> tuple[Guesser, dict[tuple[int, Any], int]]:
    """What guesses are made from. Thousands of workloads are read once, and again when one of their marks differs."""
    with connection.cursor() as cursor:
        cursor.execute(_MARKS)
        marks = (connection.settings_dict["NAME"], *cursor.fetchone())
    kept = _kept.get("guesser")
    if kept is None or kept[0] != marks:
        candidates, claims = _candidates()
        kept = _kept["guesser"] = (marks, Guesser(candidates), claims)
    return kept[1], kept[2]


def _candidates() -> tuple[list[Candidate], dict[tuple[int, Any], int]]:
    known = Workload.objects.active().exclude(state=Workload.State.CLOSED)
    workloads = list(known.values("pk", *_CANDIDATE_TEXTS, *_CANDIDATE_PLACE, "registered_for"))
    with connection.cursor() as cursor:
        cursor.execute(_MODELS_OF_WORKLOADS)
        models = {workload: frozenset(offerings) for workload, offerings in cursor.fetchall()}
    keys: dict[int, set[frozenset[str]]] = {}
    for workload_id, pairs in Binding.objects.in_force().values_list("workload_id", "pairs"):
        keys.setdefault(workload_id, set()).add(words_of(*(value for _, value in pairs)))
    candidates = [
        Candidate(
            workload_id=row["pk"],
            name=words_of(*(row[name] for name in _CANDIDATE_TEXTS)),
            place=words_of(*(row[name] or "" for name in _CANDIDATE_PLACE)),
            models=models.get(row["pk"], frozenset()),
            keys=tuple(sorted(keys.get(row["pk"], set()), key=sorted)),
        )
        for row in workloads
    ]
    claims = {_claim(row["registered_for"]): row["pk"] for row in workloads if row["registered_for"]}
    return candidates, claims


def _claim(claim: dict[str, Any]) -> tuple[int, Any]:
    return claim["source_id"], tuple(sorted((kind, value) for kind, value in claim["pairs"]))


# One entry, replaced as a whole: threads that meet here build the same thing twice at worst.
_kept: dict[str, tuple[tuple[Any, ...], Guesser, dict[tuple[int, Any], int]]] = {}
# Every change of a register, a binding or a cost centre moves one of these, and so does new usage.
_MARKS: Final = """
SELECT (SELECT count(*) FROM workloads_workload), (SELECT max(updated_at) FROM workloads_workload),
    (SELECT sum(version) FROM workloads_workload), (SELECT count(*) FROM workloads_binding),
    (SELECT count(*) FROM workloads_binding WHERE ended_at IS NULL AND superseded_by_id IS NULL),
    (SELECT max(id) FROM workloads_binding), (SELECT sum(hashtext(code || name)) FROM accounts_cost_centre),
    (SELECT sum(lines) FROM costs_month
     WHERE charge_month >= (SELECT max(charge_month) FROM costs_month) - interval '2 months')
"""
_CANDIDATE_TEXTS: Final = ("name", "output_unit", "slug")
_CANDIDATE_PLACE: Final = ("cost_centre__name", "cost_centre__code")
_MEASURES: Final = tuple(Measures.__slots__)  # in the order of `sums`


def _columns(of: str) -> str:
    return ", ".join(f"{of}.{name}" for name in _MEASURES)


_SHARES = """
SELECT date_trunc('month', day)::date, coalesce(sum(amount_org) FILTER (WHERE NOT allocated), 0),
    coalesce(sum(amount_org), 0)
FROM costs_day WHERE day >= %s AND day < %s AND role = 'counts' AND basis <> 'billed' GROUP BY 1
"""
_COUNT = """
SELECT count(DISTINCT identity_id) FROM costs_line
WHERE day >= %s AND day < %s AND workload_id IS NULL AND identity_id IS NOT NULL
  AND role = 'counts' AND basis <> 'billed'
"""
_MODELS_OF_WORKLOADS = """
SELECT workload_id, array_agg(DISTINCT offering_id) FROM costs_month
WHERE workload_id IS NOT NULL AND offering_id IS NOT NULL
  AND charge_month >= (SELECT max(charge_month) FROM costs_month) - interval '2 months'
GROUP BY workload_id
"""

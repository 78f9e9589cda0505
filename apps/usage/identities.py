"""Who spends, as a source names it: known from the first row on, and attributed at once."""

import hashlib
import json
from datetime import datetime

from django.db import connection

from apps.usage.models import Identity
from apps.workloads.attribution import IdentityRef, resolve_attribution


def record_identities(source_id: int, seen: dict[str, datetime]) -> dict[str, int]:
    """Know every spender of a source by its pairs (canonical JSON -> first seen); returns their ids.

    New ones are attributed at once, so that no identity is ever without an answer to whose it is.
    """
    digests = {digest_of(pairs): pairs for pairs in sorted(seen)}
    with connection.cursor() as cursor:
        cursor.execute(
            _UPSERT_IDENTITIES,
            [source_id, list(digests.values()), list(digests), [seen[pairs] for pairs in digests.values()]],
        )
        fresh = {row[0] for row in cursor.fetchall() if row[1]}
    known = Identity.objects.filter(source_id=source_id, digest__in=list(digests))
    by_pairs = {digests[identity.digest]: identity for identity in known}
    resolve_attribution(
        IdentityRef(identity.pk, source_id, [tuple(pair) for pair in identity.pairs])
        for identity in by_pairs.values()
        if identity.pk in fresh
    )
    return {pairs: identity.pk for pairs, identity in by_pairs.items()}


def pairs_of_key(usage_key: str) -> str:
    """The canonical pairs of a plain usage key, as JSON text."""
    return json.dumps([["key", usage_key]], ensure_ascii=False, separators=(",", ":"))


def canonical_pairs(pairs: str) -> str:
    """Pairs in one spelling, whatever their writer's spaces and order were."""
    return json.dumps(sorted(json.loads(pairs)), ensure_ascii=False, separators=(",", ":"))


def digest_of(pairs: str) -> str:
    """By which an identity of a source is found; of canonical pairs."""
    return hashlib.sha256(pairs.encode()).hexdigest()


# xmax is 0 only in rows that this statement inserted.
_UPSERT_IDENTITIES = """
INSERT INTO usage_identity (source_id, pairs, digest, first_seen)
SELECT %s, pairs::jsonb, digest, first_seen
FROM unnest(%s::text[], %s::text[], %s::timestamptz[]) AS new (pairs, digest, first_seen)
ON CONFLICT (source_id, digest) DO UPDATE SET first_seen = least(usage_identity.first_seen, excluded.first_seen)
RETURNING id, xmax = 0
"""

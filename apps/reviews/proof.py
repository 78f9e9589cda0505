"""The whole proof, from the ledger up to signed packs: every night, before a restore, by `manage.py check_ledger`."""

from typing import Final

from apps.approvals.proof import CHECKS as OF_DECISIONS
from apps.costs import proof as ledger
from apps.costs.proof import Broken, Check

_BODY: Final = """
SELECT c.month || ' revision ' || p.revision FROM reviews_pack p JOIN reviews_cycle c ON c.id = p.cycle_id
WHERE p.sha256 <> encode(sha256(convert_to(p.body, 'UTF8')), 'hex') ORDER BY 1"""
_SIGNED: Final = """
SELECT c.month::text FROM reviews_cycle c JOIN core_period m ON m.month = c.month
LEFT JOIN reviews_pack p ON p.cycle_id = c.id AND p.revision = c.revision
WHERE c.revision > 0 AND m.pack_sha256 IS DISTINCT FROM p.sha256 ORDER BY 1"""
# The trail is chained: what it says was signed cannot be rewritten with the pack.
_TOLD: Final = """
SELECT c.month || ' revision ' || p.revision FROM reviews_pack p JOIN reviews_cycle c ON c.id = p.cycle_id
WHERE NOT EXISTS (
    SELECT FROM core_audit_event e WHERE e.subject_kind = 'reviews.cycle' AND e.subject_id = c.id::text
        AND e.verb = 'signed month' AND e.data ->> 'sha256' = p.sha256)
ORDER BY 1"""

CHECKS: Final = (
    *OF_DECISIONS,
    Check("every pack has the SHA-256 of its text", _BODY),
    Check("every signed month has the pack of its signature", _SIGNED),
    Check("every pack is the one that the trail says was signed", _TOLD),
)
PROMISES: Final = ledger.PROMISES + len(CHECKS)


def prove() -> list[Broken]:
    """Everything that does not hold together; empty where it does."""
    return [*ledger.prove(), *ledger.broken(CHECKS)]

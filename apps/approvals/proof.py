"""Proof that what was decided is what was seen: triggers hold it against the application, this tells of their owner."""

from typing import Final

from apps.costs.proof import Check

# Columns against statement and digest are CHECK constraints, which a restored table brings with it and proves.
_STATEMENT: Final = """
SELECT 'confirmation ' || id FROM approvals_confirmation
WHERE digest <> encode(sha256(convert_to(statement, 'UTF8')), 'hex') OR statement::jsonb <> jsonb_build_object(
    'kind', kind, 'subject_kind', subject_kind, 'subject_id', subject_id, 'key', key,
    'workload', workload_id, 'standing', standing, 'proposed', proposed)
ORDER BY id"""
_DECISION: Final = """
SELECT 'confirmation ' || c.id FROM approvals_confirmation c JOIN approvals_decision d ON d.confirmation_id = c.id
WHERE d.digest <> c.digest ORDER BY c.id"""
_SETTLED: Final = """
SELECT 'confirmation ' || c.id FROM approvals_confirmation c
LEFT JOIN approvals_decision d ON d.confirmation_id = c.id
WHERE (c.state IN ('confirmed', 'refused')) <> (d.id IS NOT NULL)
    OR c.state <> CASE d.verdict WHEN 'confirm' THEN 'confirmed' WHEN 'refuse' THEN 'refused' ELSE c.state END
ORDER BY c.id"""

CHECKS: Final = (
    Check("every confirmation has the digest of its statement", _STATEMENT),
    Check("every decision is about the digest of its confirmation", _DECISION),
    Check("every confirmation is settled as it was decided", _SETTLED),
)

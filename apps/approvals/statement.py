"""What exactly is decided, as one canonical text, and its SHA-256: two people who see the same digest saw the same."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

Values = dict[str, Any]


def canonical(value: object, *, plain: Callable[[Any], str] | None = None) -> str:
    """JSON with sorted keys and without spaces; equal values have equal texts. `plain` says what JSON does not know."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=plain)


def digest_of(statement: str) -> str:
    return hashlib.sha256(statement.encode()).hexdigest()


def statement_of(
    *,
    kind: str,
    subject_kind: str,
    subject_id: int,
    key: str,
    workload_id: int | None,
    standing: Values,
    proposed: Values,
) -> str:
    """The fields of a confirmation that a decision covers; the database compares them with the columns."""
    return canonical(
        {
            "kind": kind,
            "subject_kind": subject_kind,
            "subject_id": subject_id,
            "key": key,
            "workload": workload_id,
            "standing": standing,
            "proposed": proposed,
        }
    )

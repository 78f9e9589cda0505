"""Every write to the review: opening and keeping it, deciding its items, signing and reopening the month."""

from apps.reviews.services.cycles import (
    attend,
    attest_figures,
    months_to_open,
    open_cycle,
    open_due,
    refresh,
    refresh_due,
    take_facilitation,
)
from apps.reviews.services.items import (
    StaleItem,
    Told,
    close_action,
    facts_of,
    hand_over_action,
    preview,
    record_disposition,
)
from apps.reviews.services.letters import letters_due, send_letters
from apps.reviews.services.signing import Blocked, reopen, sign, waive, why_not_sign

__all__ = (
    "Blocked",
    "StaleItem",
    "Told",
    "attend",
    "attest_figures",
    "close_action",
    "facts_of",
    "hand_over_action",
    "letters_due",
    "months_to_open",
    "open_cycle",
    "open_due",
    "preview",
    "record_disposition",
    "refresh",
    "refresh_due",
    "reopen",
    "send_letters",
    "sign",
    "take_facilitation",
    "waive",
    "why_not_sign",
)

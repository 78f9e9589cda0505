"""Every write to the register and to the bindings."""

from apps.workloads.services.bindings import add_binding, end_binding, supersede
from apps.workloads.services.register import (
    StaleEdit,
    activate,
    change_confirmed,
    change_revision,
    discard_draft,
    draft_slug,
    edit,
    may_edit,
    may_report,
    missing_of,
    new_token,
    register,
    save_draft,
    start_draft,
)
from apps.workloads.services.tighten import reviews_for, tighten, why_not_tighten

__all__ = (
    "StaleEdit",
    "activate",
    "add_binding",
    "change_confirmed",
    "change_revision",
    "discard_draft",
    "draft_slug",
    "edit",
    "end_binding",
    "may_edit",
    "may_report",
    "missing_of",
    "new_token",
    "register",
    "reviews_for",
    "save_draft",
    "start_draft",
    "supersede",
    "tighten",
    "why_not_tighten",
)

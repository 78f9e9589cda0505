"""Every write about people, roles, cost centres, tokens and saved views; one file a noun."""

from apps.accounts.services.cost_centres import (
    change_cost_centre_activity,
    make_cost_centre,
    move_cost_centre,
    rename_cost_centre,
)
from apps.accounts.services.invitations import accept_invitation, find_invitation, invite, resend, withdraw_invitation
from apps.accounts.services.people import (
    deactivate_person,
    end_sessions,
    erase_person,
    first_administrator,
    make_account,
    make_person,
    password_changed,
    rename_person,
    skip_second_person,
)
from apps.accounts.services.resets import ask_for_reset, send_resets
from apps.accounts.services.roles import check_role, end_role, grant_role, is_founding, is_party, pass_on
from apps.accounts.services.tokens import create_token, mark_used, revoke_token
from apps.accounts.services.views import delete_view, save_view

__all__ = [
    "accept_invitation",
    "ask_for_reset",
    "change_cost_centre_activity",
    "check_role",
    "create_token",
    "deactivate_person",
    "delete_view",
    "end_role",
    "end_sessions",
    "erase_person",
    "find_invitation",
    "first_administrator",
    "grant_role",
    "invite",
    "is_founding",
    "is_party",
    "make_account",
    "make_cost_centre",
    "make_person",
    "mark_used",
    "move_cost_centre",
    "pass_on",
    "password_changed",
    "rename_cost_centre",
    "rename_person",
    "resend",
    "revoke_token",
    "save_view",
    "send_resets",
    "skip_second_person",
    "withdraw_invitation",
]

"""What we write to people. Where it goes (SMTP, console and folder) is a matter of settings."""

from django.core.mail import send_mail
from django.utils import timezone

from apps.accounts.models import Invitation, Person, RoleGrant

_INVITATION = """Hello {name},

{inviter} invites you to Tollgate, where {organisation} keeps what its uses of AI cost and who answers for them.

Choose your password here:
{link}

The link works once, until {until:%d %B %Y, %H:%M} UTC. Do not pass it on: whoever opens it first chooses your password.
"""

_PASSED_ON = """Hello {name},

while {holder} is away you act as {role}, {where}, from {since:%-d %B %Y, %H:%M} to {until:%-d %B %Y, %H:%M} ({zone}).

You decide what {holder} could decide, except where one of you had a hand in it. What waits for you:
{link}

You can give it back on your own page at any time.
"""


def send_passed_on(*, grant: RoleGrant, holder: Person, link: str) -> None:
    """Tell somebody that they act for somebody else. Errors of the server reach the caller; the role counts."""
    if not grant.person.email:
        return
    since, until = timezone.localtime(grant.valid_from), timezone.localtime(grant.valid_to)
    body = _PASSED_ON.format(
        name=grant.person.name,
        holder=holder.name,
        role=grant.get_role_display(),
        where=grant.cost_centre or "the whole organisation",
        since=since,
        until=until,
        zone=timezone.get_current_timezone_name(),
        link=link,
    )
    subject = f"Tollgate: you act for {holder.name} while they are away"
    send_mail(subject, body, from_email=None, recipient_list=[grant.person.email])


def send_invitation(*, invitation: Invitation, link: str, organisation: str) -> None:
    """Send the one-time link. Errors of the server reach the caller; the invitation stands and can be sent again."""
    inviter = invitation.invited_by.name if invitation.invited_by else "An administrator"
    body = _INVITATION.format(
        name=invitation.person.name,
        inviter=inviter,
        organisation=organisation,
        link=link,
        until=invitation.expires_at,
    )
    send_mail(f"Tollgate: {inviter} invites you", body, from_email=None, recipient_list=[invitation.email])

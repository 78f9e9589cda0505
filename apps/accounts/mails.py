"""What we write to people. Where it goes (SMTP, console and folder) is a matter of settings."""

from django.core.mail import send_mail

from apps.accounts.models import Invitation

_INVITATION = """Hello {name},

{inviter} invites you to Tollgate, where {organisation} keeps what its uses of AI cost and who answers for them.

Choose your password here:
{link}

The link works once, until {until:%d %B %Y, %H:%M} UTC. Do not pass it on: whoever opens it first chooses your password.
"""


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

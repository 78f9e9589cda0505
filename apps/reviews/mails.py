"""What the review writes to people. Where it goes (SMTP, console and folder) is a matter of settings."""

from dataclasses import dataclass
from typing import Final

from django.conf import settings
from django.core.mail import send_mail

from apps.accounts.models import Person
from apps.reviews.models import Cycle

MOST_NAMES: Final = 12

_ATTEST = """Hello {name},

the review of {month} is open. You own what follows; please look at its figures and say that they are right, or write
to whoever prepares the review if they are not:

{workloads}

{link}

Whoever attests figures of a month does not sign it. This is all that is asked of you.
"""
_ESCALATE = """Hello {name},

the review of {month} has been open since {opened:%d %B %Y} and is not signed off. If whoever usually signs is away,
you can:

{link}
"""


@dataclass(frozen=True, slots=True)
class Letter:
    """Somebody who is to be written to about a cycle, and which of their workloads wait for their word."""

    cycle: Cycle
    person: Person
    number: int
    workloads: tuple[str, ...]
    is_escalation: bool = False


def send(letter: Letter) -> None:
    """Send one letter; errors of the server reach the caller."""
    month = f"{letter.cycle.month:%B %Y}"
    link = f"{settings.TOLLGATE_PUBLIC_URL}/reviews/{letter.cycle.month:%Y-%m}/"
    if letter.is_escalation:
        subject = f"Tollgate: {month} waits to be signed off"
        body = _ESCALATE.format(name=letter.person.name, month=month, opened=letter.cycle.opened_at, link=link)
    else:
        subject = f"Tollgate: please look at your figures of {month}"
        body = _ATTEST.format(
            name=letter.person.name, month=month, workloads=_listed(letter.workloads), link=f"{link}figures/"
        )
    send_mail(subject, body, from_email=None, recipient_list=[letter.person.email])


def _listed(names: tuple[str, ...]) -> str:
    more = len(names) - MOST_NAMES
    lines = [f"- {' '.join(name.split())}" for name in names[:MOST_NAMES]]
    return "\n".join([*lines, *([f"- and {more} more"] if more > 0 else [])])

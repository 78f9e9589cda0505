"""What we write about confirmations. Subjects hold no words of anybody; what people typed is one plain line each."""

from collections.abc import Sequence
from typing import Any, Final

from django.conf import settings
from django.core.mail import send_mail

from apps.accounts import rights
from apps.accounts.models import Person
from apps.approvals import selectors
from apps.approvals.models import Confirmation, Letter
from apps.approvals.selectors import Proposal, Seat, Table

LONGEST_LINE: Final = 200
_ASKED: Final = """Hello,

{asker} asks: {name}: {title}
“{reason}”

You may decide it until {until:%d %B %Y}. One decision is enough; whoever is first decides.

{link}
"""
_NOBODY: Final = """Hello,

{asker} asks: {name}: {title}
“{reason}”

Nobody can decide it now: it takes the role {roles}, held by somebody who had no hand in it. You can give that role; it
counts for what is asked after that.

{link}
"""
_HALF: Final = """Hello,

{name}: {title}

{asker} asked for this on {asked:%d %B %Y}, and nobody has decided it. It waits until {until:%d %B %Y} and never happens
by itself. {who}

{link}
"""
_EXPIRED: Final = """Hello {asker},

nobody decided what you asked for on {asked:%d %B %Y}, and it waits no longer. Nothing has changed.

{name}: {title}

You can ask once more:

{link}
"""


def send(letter: Letter) -> int:
    """One message; 0 where it is settled by now, or nobody has an address. Errors of the server reach the caller."""
    about = letter.confirmation
    if letter.occasion != Letter.Occasion.EXPIRED and not about.is_waiting:
        return 0
    table = selectors.table_of(about)
    recipients = _addresses(_readers(letter, table))
    if not recipients:
        return 0
    subject, body = _message(letter, table)
    send_mail(subject, body, from_email=None, recipient_list=recipients)
    return 1


def _readers(letter: Letter, table: Table) -> list[int]:
    if letter.occasion == Letter.Occasion.EXPIRED:
        return [letter.confirmation.asked_by_id]
    if letter.occasion == Letter.Occasion.ASKED and table.may:
        return [seat.person_id for seat in table.may]
    return list(rights.administrators().values_list("pk", flat=True))


def _addresses(ids: Sequence[int]) -> list[str]:
    found = Person.objects.filter(pk__in=ids, active=True).exclude(email="")
    return sorted(found.values_list("email", flat=True))


def _message(letter: Letter, table: Table) -> tuple[str, str]:
    about = letter.confirmation
    (proposal,) = selectors.proposals([about])
    facts = {**_facts(about, proposal), "roles": table.roles, "who": _who(table)}
    if letter.occasion == Letter.Occasion.EXPIRED:
        return f"Tollgate: {about.ref} has waited too long", _EXPIRED.format(**facts)
    if letter.occasion == Letter.Occasion.HALF:
        return f"Tollgate: {about.ref} still waits for a decision", _HALF.format(**facts)
    if table.may:
        return f"Tollgate: {about.ref} waits for your decision", _ASKED.format(**facts)
    return f"Tollgate: nobody can decide {about.ref}", _NOBODY.format(**facts)


def _facts(about: Confirmation, proposal: Proposal) -> dict[str, Any]:
    return {
        "asker": _line(about.asked_by.name),
        "name": _line(proposal.name),
        "title": _line(proposal.title),
        "reason": _line(about.reason),
        "asked": about.asked_at,
        "until": about.expires_at,
        "link": f"{settings.TOLLGATE_PUBLIC_URL}/inbox/{about.pk}/",
    }


def _who(table: Table) -> str:
    if not table.may:
        return f"Nobody can: it takes the role {table.roles}, held by somebody who had no hand in it."
    return f"These may: {', '.join(_seat(seat) for seat in table.may)}."


def _seat(seat: Seat) -> str:
    return f"{_line(seat.name)} for {_line(seat.acts_for)}" if seat.acts_for else _line(seat.name)


def _line(text: str) -> str:
    """What somebody typed, as one line that reads in the order in which it is stored."""
    plain = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(plain.split())[:LONGEST_LINE]

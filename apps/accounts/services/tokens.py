"""API tokens: shown once, kept as a digest, scoped, always expiring."""

from collections.abc import Sequence
from datetime import timedelta

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from apps.accounts import rights
from apps.accounts.models import ApiToken, Person, TokenScope
from apps.accounts.rights import Right
from apps.accounts.secrets import TOKEN_PREFIX, new_secret
from apps.core import audit
from apps.core.actor import Actor
from apps.core.errors import BadInput, Conflict, NotAllowed

LONGEST_DAYS = 366
SHOWN_CHARACTERS = 10
# Writing each use would turn every read of the API into a write; to the minute is exact enough.
USE_NOTED_EVERY = timedelta(minutes=1)


@transaction.atomic
def create_token(
    *,
    actor: Actor,
    name: str,
    scopes: Sequence[str],
    valid_days: int,
    source_slug: str = "",
    person: Person | None = None,
) -> tuple[ApiToken, str]:
    """Make a token for oneself; returns it with its plain text, which nobody can read again.

    `valid_days` is at most 366. `person` is for the machine's own commands, which have no person of their own.
    """
    rights.require(actor, Right.MANAGE_TOKENS)
    owner_id = _owner_of(actor, person)
    plain, sha256 = new_secret(TOKEN_PREFIX)
    token = ApiToken.objects.create(
        person_id=owner_id,
        name=_clean_name(name),
        prefix=plain[:SHOWN_CHARACTERS],
        sha256=sha256,
        scopes=_clean_scopes(scopes),
        source_slug=source_slug,
        expires_at=Now() + timedelta(days=_clean_days(valid_days)),
    )
    token.refresh_from_db()
    evidence = {"scopes": token.scopes, "source": source_slug, "expires_at": token.expires_at}
    audit.record(actor=actor, verb="made token", subject=token, data=evidence)
    return token, plain


@transaction.atomic
def revoke_token(*, actor: Actor, token: ApiToken) -> ApiToken:
    """Stop a token now: one's own, or as an administrator anybody's."""
    if token.person_id != actor.person_id:
        rights.require(actor, Right.MANAGE_PEOPLE)
    if not ApiToken.objects.filter(pk=token.pk, revoked_at__isnull=True).update(revoked_at=Now()):
        raise Conflict("This token is revoked already.")
    token.refresh_from_db()
    audit.record(actor=actor, verb="revoked token", subject=token)
    return token


def mark_used(token: ApiToken) -> None:
    """Note that the token was used; no audit event, because a use is no change."""
    stale = Q(last_used_at__isnull=True) | Q(last_used_at__lt=Now() - USE_NOTED_EVERY)
    ApiToken.objects.filter(stale, pk=token.pk).update(last_used_at=Now())


def _owner_of(actor: Actor, person: Person | None) -> int:
    if actor.person_id is not None:
        if person is not None and person.pk != actor.person_id:
            raise NotAllowed("A token is made by the person who will answer for it.")
        return actor.person_id
    if person is None:
        raise BadInput("A token belongs to a person.")
    return person.pk


def _clean_name(name: str) -> str:
    name = " ".join(name.split())
    if not name or len(name) > 80:
        raise BadInput("Give the token a name of 1 to 80 characters, so that you know it again.")
    return name


def _clean_scopes(scopes: Sequence[str]) -> list[str]:
    wrong = set(scopes) - set(TokenScope.values)
    if wrong or not scopes:
        raise BadInput("Choose what the token may do.", hint=f"Possible: {', '.join(TokenScope.values)}.")
    return sorted(set(scopes))


def _clean_days(days: int) -> int:
    if not 1 <= days <= LONGEST_DAYS:
        raise BadInput(f"A token is valid for 1 to {LONGEST_DAYS} days.")
    return days

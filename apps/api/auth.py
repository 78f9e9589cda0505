"""Who calls the API: a bearer token of a person, with scopes. No session counts here, so no cookie can be misused.

REST framework loads this module while it loads its own views, so they cannot be imported here.
"""

from dataclasses import dataclass

from django.core.cache import cache
from rest_framework import authentication, exceptions, permissions
from rest_framework.request import Request

from apps.accounts import services as accounts
from apps.accounts.models import ApiToken, Person, TokenScope
from apps.accounts.secrets import TOKEN_PREFIX, digest
from apps.core.actor import Actor
from apps.core.errors import NotAllowed

KEYWORD = "bearer"
MOST_WRONG, WRONG_SECONDS = 30, 60


@dataclass(frozen=True, slots=True)
class Caller:
    """What DRF calls the user: the person behind a token, who is not logged in anywhere."""

    person: Person
    is_authenticated: bool = True
    is_active: bool = True

    @property
    def pk(self) -> int:
        return self.person.pk


class TokenAuthentication(authentication.BaseAuthentication):
    """`Authorization: Bearer tg_...`. Unknown, expired and revoked tokens get the same answer."""

    def authenticate(self, request: Request) -> tuple[Caller, ApiToken] | None:
        _refuse_token_in_url(request)
        plain = _bearer(request)
        if plain is None:
            return None
        token = ApiToken.objects.usable().select_related("person").filter(sha256=digest(plain)).first()
        if token is None:
            _slow_down(request)
            raise exceptions.AuthenticationFailed("The token is unknown, expired or revoked.")
        accounts.mark_used(token)
        return Caller(token.person), token

    def authenticate_header(self, request: Request) -> str:  # noqa: ARG002
        """Its presence makes DRF answer 401 instead of 403."""
        return 'Bearer realm="tollgate"'


def actor_of(request: Request) -> Actor:
    """The actor for services and querysets: the token's person, through the door of the API."""
    token = request.auth
    if not isinstance(token, ApiToken):
        return Actor(person_id=None, label="somebody without a token", channel="api")
    return Actor(person_id=token.person_id, label=f"token {token.prefix}", channel="api")


def scope(needed: TokenScope) -> type[permissions.BasePermission]:
    """For `permission_classes`: the token must have the scope. What its person may not do, it may not do either."""

    class HasScope(permissions.BasePermission):
        def has_permission(self, request: Request, view: object) -> bool:  # noqa: ARG002
            token = request.auth
            if not isinstance(token, ApiToken):
                raise exceptions.NotAuthenticated("A token is missing.")
            if needed not in token.scopes:
                hint = f"Make one with the scope '{needed.value}' under Settings, My tokens."
                raise NotAllowed(f"This token may not do this: {needed.label.lower()}.", hint=hint)
            return True

    return HasScope


def require_source(request: Request, slug: str) -> None:
    """Refuse a token that is limited to another source."""
    token = request.auth
    if isinstance(token, ApiToken) and token.source_slug and token.source_slug != slug:
        raise NotAllowed(f"This token is for the source '{token.source_slug}' only.")


def _bearer(request: Request) -> str | None:
    words = request.headers.get("Authorization", "").split()
    if not words or words[0].lower() != KEYWORD:
        return None
    if len(words) != 2:
        raise exceptions.AuthenticationFailed("The header reads: Authorization: Bearer TOKEN.")
    return words[1]


def _slow_down(request: Request) -> None:
    """Count wrong tokens by address, in the cache that all processes share, and refuse more than so many a minute.

    Good ones are never refused: behind a proxy everybody has one address, and nobody guesses a token.
    """
    key = f"wrong-token-{request.META.get('REMOTE_ADDR', '')}"
    number = cache.get(key, 0) + 1
    cache.set(key, number, WRONG_SECONDS)
    if number > MOST_WRONG:
        raise exceptions.Throttled(WRONG_SECONDS, "Too many wrong tokens come from this address.")


def _refuse_token_in_url(request: Request) -> None:
    """Addresses end up in logs and histories; a token there is as good as published."""
    if any(str(value).startswith(TOKEN_PREFIX) for value in request.GET.values()):
        raise exceptions.AuthenticationFailed("A token stands in the address. Revoke it, and send it in the header.")

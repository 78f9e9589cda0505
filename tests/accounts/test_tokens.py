"""API tokens are shown once, kept as a digest, scoped, and end."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.decorators import api_view, permission_classes
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory

from apps.accounts import services as accounts
from apps.accounts.models import ApiToken, TokenScope
from apps.accounts.selectors import tokens_for
from apps.api.auth import actor_of, require_source, scope
from apps.core.errors import BadInput, Conflict, NotAllowed
from apps.core.models import AuditEvent
from tests.world import World, actor


@api_view(["GET", "POST"])
@permission_classes([scope(TokenScope.USAGE_WRITE)])
def echo(request: Request) -> Response:
    """An endpoint of the tests: who am I, and is this source mine?"""
    require_source(request, request.query_params.get("source", "logs"))
    return Response({"person": actor_of(request).person_id, "channel": actor_of(request).channel})


def make_token(world: World, *, scopes: tuple[str, ...] = ("usage:write",), source: str = "") -> tuple[ApiToken, str]:
    return accounts.create_token(
        actor=actor(world.cleo), name="Nightly", scopes=scopes, valid_days=30, source_slug=source
    )


def call(plain: str = "", *, header: str = "", path: str = "/echo") -> Response:
    headers = {"Authorization": header or f"Bearer {plain}"} if plain or header else {}
    response = echo(APIRequestFactory().get(path, headers=headers))
    response.render()
    return response


def test_a_token_is_shown_once_and_kept_as_a_digest(world: World) -> None:
    token, plain = make_token(world)

    assert plain.startswith("tg_")
    assert plain not in str(ApiToken.objects.values().get(pk=token.pk))
    assert plain not in str(list(AuditEvent.objects.values_list("data", flat=True)))
    assert plain.startswith(token.prefix)


def test_a_call_with_a_token_acts_for_its_person_and_leaves_a_trace(world: World) -> None:
    token, plain = make_token(world)

    response = call(plain)

    assert response.data == {"person": world.cleo.pk, "channel": "api"}
    token.refresh_from_db()
    assert token.last_used_at is not None


def test_noting_the_use_costs_no_write_of_its_own_within_the_minute(world: World) -> None:
    token, plain = make_token(world)
    call(plain)
    first = ApiToken.objects.get(pk=token.pk).last_used_at
    call(plain)

    assert ApiToken.objects.get(pk=token.pk).last_used_at == first


@pytest.mark.parametrize("header", ["Bearer tg_invented", "Bearer", "Bearer a b", "Basic YTpi", "tg_x"])
def test_what_is_no_token_answers_401_as_a_problem(world: World, header: str) -> None:
    response = call(header=header)

    assert response.status_code == 401
    assert response["Content-Type"] == "application/problem+json"
    assert response["WWW-Authenticate"].startswith("Bearer")
    assert response.data["status"] == 401


def test_expired_revoked_and_orphaned_tokens_answer_like_unknown_ones(world: World) -> None:
    expired, plain_expired = make_token(world)
    ApiToken.objects.filter(pk=expired.pk).update(created_at=past(2), expires_at=past(1))
    revoked, plain_revoked = make_token(world)
    accounts.revoke_token(actor=actor(world.cleo), token=revoked)
    _, plain_orphaned = make_token(world)
    assert call(plain_orphaned).status_code == 200
    accounts.deactivate_person(actor=actor(world.ada), person=world.cleo)

    details = [call(plain).data["detail"] for plain in (plain_expired, plain_revoked, plain_orphaned, "tg_unknown")]
    assert set(details) == {"The token is unknown, expired or revoked."}


def past(days: int) -> object:
    return timezone.now() - timedelta(days=days)


def test_a_token_does_only_what_its_scopes_say(world: World) -> None:
    _, plain = make_token(world, scopes=("read",))

    response = call(plain)

    assert response.status_code == 403
    assert response.data["detail"] == "This token may not do this: send usage."


def test_a_token_for_one_source_is_refused_at_another(world: World) -> None:
    _, plain = make_token(world, source="gateway")

    assert call(plain, path="/echo?source=gateway").status_code == 200
    assert call(plain, path="/echo?source=other").status_code == 403


def test_a_token_in_the_address_is_refused_and_said_to_be_burnt(world: World) -> None:
    _, plain = make_token(world)

    response = call(plain, path=f"/echo?token={plain}")

    assert response.status_code == 401
    assert "Revoke it" in response.data["detail"]


def test_authentication_takes_one_query_and_at_most_one_note(world: World) -> None:
    _, plain = make_token(world)
    with CaptureQueriesContext(connection) as queries:
        call(plain)

    assert len(queries) == 2


@pytest.mark.parametrize("name", ["ben", "eve", "finn", "gus", "hana"])
def test_only_those_who_run_things_make_tokens(world: World, name: str) -> None:
    with pytest.raises(NotAllowed):
        accounts.create_token(actor=actor(world.people[name]), name="x", scopes=["read"], valid_days=1)


@pytest.mark.parametrize("days", [0, -1, 367, 10**9])
def test_a_token_always_ends(world: World, days: int) -> None:
    with pytest.raises(BadInput, match="1 to 366 days"):
        accounts.create_token(actor=actor(world.dan), name="x", scopes=["read"], valid_days=days)


@pytest.mark.parametrize("scopes", [[], ["admin"], ["read", "everything"]])
def test_a_token_never_administers(world: World, scopes: list[str]) -> None:
    with pytest.raises(BadInput):
        accounts.create_token(actor=actor(world.ada), name="x", scopes=scopes, valid_days=1)


def test_the_database_refuses_a_token_without_end(world: World) -> None:
    token, _ = make_token(world)
    with pytest.raises(IntegrityError), transaction.atomic():
        ApiToken.objects.filter(pk=token.pk).update(expires_at=None)


def test_nobody_makes_a_token_in_the_name_of_somebody_else(world: World) -> None:
    with pytest.raises(NotAllowed):
        accounts.create_token(actor=actor(world.ada), name="x", scopes=["read"], valid_days=1, person=world.cleo)


def test_others_tokens_are_revoked_by_administrators_only(world: World) -> None:
    token, _ = make_token(world)

    with pytest.raises(NotAllowed):
        accounts.revoke_token(actor=actor(world.dan), token=token)
    accounts.revoke_token(actor=actor(world.ada), token=token)
    with pytest.raises(Conflict, match="revoked already"):
        accounts.revoke_token(actor=actor(world.ada), token=token)


def test_tokens_are_seen_by_their_person_and_by_those_who_see_people(world: World) -> None:
    make_token(world)

    seen = {name: tokens_for(actor(person)).count() for name, person in world.people.items()}
    assert {name for name, count in seen.items() if count} == {"ada", "cleo", "finn"}

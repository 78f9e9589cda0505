"""Tokens lift nobody: the API shows and takes what the person behind the token may, within the token's scope."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from apps.sources.models import Event
from tests.rights.asking import ask, client_of
from tests.rights.cast import Cast, Who, make_token
from tests.rights.table import ADMINISTRATOR, MANAGES_SOURCES, OWNER, SEES_ANY_MONEY
from tests.rights.test_rights import given_away
from tests.rights.urls import every_address

SCOPES = {
    "api:usage": "usage:write",
    "api:outcomes": "outcomes:write",
    "api:workloads": "read",
    "api:costs": "read",
    "api:budgets": "read",
    "api:economics": "read",
}
PUBLIC = {"api:schema", "api:docs"}
EVENT = {
    "specversion": "1.0",
    "type": "tollgate.usage",
    "source": "push",
    "id": "one",
    "data": {"period_start": "2026-10-01T00:00:00Z", "usage_key": "k", "model": "gpt-4o", "requests": 1},
}
READS = [
    "/api/v1/workloads/",
    "/api/v1/costs/?from=2026-10-01&to=2026-11-01",
    "/api/v1/budgets/?month=2026-10",
    "/api/v1/economics/?month=2026-10",
]


def read(path: str, token: str) -> Any:
    return Client().get(path, headers={"Authorization": f"Bearer {token}"})


def send(token: str, body: dict[str, Any] = EVENT) -> Any:
    return Client().post(
        "/api/v1/usage/", body, content_type="application/json", headers={"Authorization": f"Bearer {token}"}
    )


def test_every_endpoint_has_its_scope_in_this_file() -> None:
    found = {one.name for one in every_address() if one.name.startswith("api:")}

    assert found == set(SCOPES) | PUBLIC, "Say here which scope a new endpoint needs, and test who may call it."


@pytest.mark.parametrize("who", [who for who in Who if who is not Who.VISITOR])
def test_usage_is_taken_from_those_who_manage_sources(cast: Cast, who: Who) -> None:
    response = send(cast.tokens["care", who])

    assert response.status_code == (201 if who in MANAGES_SOURCES else 403), response.content
    assert Event.objects.exists() is (who in MANAGES_SOURCES)


@pytest.mark.parametrize("who", [who for who in Who if who is not Who.VISITOR])
@pytest.mark.parametrize("path", READS)
def test_reading_shows_what_the_person_may_see(cast: Cast, who: Who, path: str) -> None:
    for side in cast.sides:
        given = ask(Client(), "get", path, Authorization=f"Bearer {cast.tokens[side.name, who]}")
        may = who in SEES_ANY_MONEY or path.startswith("/api/v1/workloads/")
        assert given.status == (200 if may else 403), given.text
        assert not list(given_away(cast, side, who, given))


def test_the_owner_reads_the_cost_of_the_own_workload_and_no_other(cast: Cast) -> None:
    own = f"{READS[1]}&workload={cast.care.objects['workload']}"

    assert read(own, cast.tokens["care", Who.OWNER]).json()["total"]["cost"] == "777331"
    assert read(own, cast.tokens["legal", Who.OWNER]).status_code == 404


@pytest.mark.parametrize(
    "values",
    [
        {"scopes": ["usage:write"]},
        {"expires_at": timezone.now() - timedelta(seconds=1), "created_at": timezone.now() - timedelta(days=1)},
        {"revoked_at": timezone.now()},
    ],
    ids=["wrong scope", "expired", "revoked"],
)
@pytest.mark.parametrize("path", READS)
def test_a_token_that_does_not_fit_reads_nothing(cast: Cast, path: str, values: dict[str, Any]) -> None:
    token = make_token(cast.world.ada, **values)

    assert read(path, token).status_code == (403 if "scopes" in values else 401)


def test_a_token_that_does_not_fit_sends_nothing(cast: Cast) -> None:
    ada, now = cast.world.ada, timezone.now()
    day = timedelta(days=1)

    assert send(make_token(ada, scopes=["read"])).status_code == 403
    assert send(make_token(ada, source_slug="another")).status_code == 403
    assert send(make_token(ada, revoked_at=now)).status_code == 401
    assert send(make_token(ada, created_at=now - 2 * day, expires_at=now - day)).status_code == 401
    assert not Event.objects.exists()


def test_a_token_of_somebody_who_has_left_opens_nothing(cast: Cast) -> None:
    token = make_token(cast.world.cleo)
    cast.world.cleo.active = False
    cast.world.cleo.save()

    assert send(token).status_code == 401


@pytest.mark.parametrize("path", [*READS, "/api/v1/usage/", "/api/v1/outcomes/"])
def test_a_session_is_no_token(cast: Cast, path: str) -> None:
    method = "post" if path.endswith(("usage/", "outcomes/")) else "get"

    assert ask(client_of(cast, cast.care, Who.ADMINISTRATOR), method, path).status == 401


@pytest.mark.parametrize("who", [who for who in Who if who is not Who.VISITOR])
def test_outcomes_are_taken_from_owners_and_from_those_who_allocate_there(cast: Cast, who: Who) -> None:
    body = {"id": "one", "period_start": "2026-10-01", "produced": 2, "accepted": 1}
    for side in cast.sides:
        sent = Client().post(
            "/api/v1/outcomes/",
            {**body, "workload": side.objects["workload"]},
            content_type="application/json",
            headers={"Authorization": f"Bearer {cast.tokens[side.name, who]}"},
        )
        may = who in OWNER | {Who.ANALYST} | ADMINISTRATOR
        assert sent.status_code == (201 if may else 403), sent.content


def test_outcomes_need_their_own_scope(cast: Cast) -> None:
    token = make_token(cast.world.ada, scopes=["read", "usage:write"])
    headers = {"Authorization": f"Bearer {token}"}

    assert Client().post("/api/v1/outcomes/", {}, content_type="application/json", headers=headers).status_code == 403


@pytest.mark.parametrize("path", ["/api/v1/schema/", "/api/v1/docs/"])
def test_the_shape_of_the_api_is_public_and_holds_nothing_of_a_user(cast: Cast, path: str) -> None:
    given = ask(Client(), "get", path)

    assert given.status == 200
    assert not list(given_away(cast, cast.care, Who.MEMBER, given))


def test_fields_that_are_nobodys_to_set_are_refused(cast: Cast) -> None:
    """Mass assignment: a name that the schema does not know is told, not taken."""
    for name in ("pull_id", "source_id", "folded_at", "in_scope", "workload", "amount", "status"):
        body = {**EVENT, "data": {**EVENT["data"], name: 1}}
        assert send(cast.tokens["care", Who.ADMINISTRATOR], body).status_code == 400

"""Programs send usage as CloudEvents: once is once, whatever the network does."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from apps.accounts import services as accounts
from apps.accounts.models import ApiToken
from apps.core.models import AuditEvent
from apps.sources import services as sources
from apps.sources.models import Event, Receipt, Source
from tests.world import MACHINE, World, actor

URL = "/api/v1/usage/"
NAN_BODY = '{"specversion": "1.0", "type": "t", "source": "bot", "id": "1", "data": {"requests": NaN}}'


@pytest.fixture
def bot(world: World) -> Source:
    return sources.create_source(actor=MACHINE, name="Bot", slug="bot", kind="push")


@pytest.fixture
def token(world: World) -> str:
    return make_token(world)


def make_token(
    world: World, *, scopes: tuple[str, ...] = ("usage:write",), source: str = "", person: str = "dan"
) -> str:
    given = {"name": "Bot", "scopes": scopes, "valid_days": 30, "source_slug": source}
    return accounts.create_token(actor=actor(world.people[person]), **given)[1]


def event(
    event_id: str = "1", *, source: str = "bot", time: str = "2026-10-24T08:59:59Z", **data: Any
) -> dict[str, Any]:
    usage = {"usage_key": "search", "provider": "openai", "model": "gpt-4o", "requests": 3, "input_tokens": 900, **data}
    return {
        "specversion": "1.0",
        "type": "tollgate.usage",
        "source": source,
        "id": event_id,
        "time": time,
        "data": usage,
    }


def send(token: str, body: Any, *, content_type: str = "application/cloudevents+json", **headers: str) -> Any:
    text = body if isinstance(body, str) else json.dumps(body)
    return Client().post(URL, text, content_type=content_type, headers={"Authorization": f"Bearer {token}", **headers})


def test_a_new_event_is_stored_in_the_hour_of_its_time(bot: Source, token: str) -> None:
    answer = send(token, event())
    assert (answer.status_code, answer.json()) == (201, {"new": 1, "same": 0})
    stored = Event.objects.get()
    assert stored.hour.isoformat() == "2026-10-24T08:00:00+00:00"
    assert stored.data["period_start"] == "2026-10-24T08:00:00Z"
    assert stored.data["input_tokens"] == 900
    assert AuditEvent.objects.filter(verb="received usage events").count() == 1


def test_the_same_event_again_changes_nothing(bot: Source, token: str) -> None:
    send(token, event())
    again = send(token, event(time="2026-10-24T08:10:00Z"))
    assert (again.status_code, again.json()) == (200, {"new": 0, "same": 1})
    assert Event.objects.count() == 1


def test_other_content_under_a_known_id_is_a_conflict(bot: Source, token: str) -> None:
    send(token, event())
    other = send(token, event(input_tokens=901))
    assert other.status_code == 409
    assert other["Content-Type"] == "application/problem+json"
    assert "'1'" in other.json()["detail"]
    assert Event.objects.get().data["input_tokens"] == 900


def test_a_batch_with_one_conflict_is_not_stored_at_all(bot: Source, token: str) -> None:
    send(token, event("1"))
    batch = [event("0"), event("1", input_tokens=5), event("2")]
    answer = send(token, batch, content_type="application/cloudevents-batch+json")
    assert answer.status_code == 409
    assert list(Event.objects.values_list("event_id", flat=True)) == ["1"]


def test_a_batch_of_new_and_known_events_is_taken(bot: Source, token: str) -> None:
    send(token, event("1"))
    answer = send(token, [event("1"), event("2")], content_type="application/cloudevents-batch+json")
    assert (answer.status_code, answer.json()) == (201, {"new": 1, "same": 1})


def test_a_batch_may_not_hold_two_events_of_one_id_and_other_content(bot: Source, token: str) -> None:
    answer = send(token, [event("1"), event("1", requests=9)], content_type="application/json")
    assert answer.status_code == 400
    assert Event.objects.count() == 0


def test_the_same_idempotency_key_gets_the_same_answer(bot: Source, token: str) -> None:
    first = send(token, event(), **{"Idempotency-Key": "k1"})
    second = send(token, event(), **{"Idempotency-Key": "k1"})
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json() == {"new": 1, "same": 0}
    assert Receipt.objects.count() == 1


def test_an_idempotency_key_belongs_to_one_body(bot: Source, token: str) -> None:
    send(token, event(), **{"Idempotency-Key": "k1"})
    assert send(token, event("2"), **{"Idempotency-Key": "k1"}).status_code == 422


def test_a_refused_request_leaves_no_receipt(bot: Source, token: str) -> None:
    send(token, event())
    assert send(token, event(requests=9), **{"Idempotency-Key": "k1"}).status_code == 409
    assert Receipt.objects.count() == 0


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"input_tokens": -1}, "input_tokens"),
        ({"input_tokens": 10**13 + 1}, "input_tokens"),
        ({"input_tokens": "0x10"}, "input_tokens"),
        ({"input_tokens": 1.5}, "input_tokens"),
        ({"cached_input_tokens": 901}, "input_tokens"),
        ({"output_tokens": 1, "reasoning_tokens": 2}, "output_tokens"),
        ({"failed_requests": 4}, "requests"),
        ({"cost": "1.50"}, "currency"),
        ({"prompt": "hello"}, "prompt"),
        ({"period_start": "2026-10-24T08:30:00Z"}, "period_start"),
        ({"period_start": "1970-01-01T00:00:00Z"}, "period_start"),
        ({"period_start": "2999-01-01T00:00:00Z"}, "period_start"),
        ({"usage_key": ""}, "usage_key"),
        ({"usage_key": " \t"}, "usage_key"),
        ({"usage_key": ["a"]}, "usage_key"),
        ({"model": None}, "model"),
        ({"model": {"name": "gpt-4o"}}, "model"),
        ({"input_tokens": "１００"}, "input_tokens"),
        ({"input_tokens": "٣"}, "input_tokens"),
        ({"input_tokens": "1_000"}, "input_tokens"),
        ({"input_tokens": "1,000"}, "input_tokens"),
        ({"input_tokens": "1.234,56"}, "input_tokens"),
        ({"input_tokens": " 5"}, "input_tokens"),
        ({"input_tokens": "NaN"}, "input_tokens"),
        ({"input_tokens": "Infinity"}, "input_tokens"),
        ({"input_tokens": "1e999"}, "input_tokens"),
        ({"input_tokens": 10**18}, "input_tokens"),
        ({"input_tokens": "9" * 400}, "input_tokens"),
        ({"input_tokens": True}, "input_tokens"),
        ({"input_tokens": ""}, "input_tokens"),
        ({"input_tokens": [5]}, "input_tokens"),
        ({"cost": "-0.01", "currency": "USD"}, "cost"),
        ({"cost": "NaN", "currency": "USD"}, "cost"),
        ({"cost": "１", "currency": "USD"}, "cost"),
        ({"cost": "1_0", "currency": "USD"}, "cost"),
        ({"cost": True, "currency": "USD"}, "cost"),
        ({"cost": "1e14", "currency": "USD"}, "cost"),
        ({"cost": "0.0000000000000000001", "currency": "USD"}, "cost"),
        ({"cost": "1", "currency": "usd"}, "currency"),
        ({"cost": "1", "currency": "Bitcoin"}, "currency"),
        ({"gpu_seconds": 5, "gpu_busy_seconds": 6}, "gpu_seconds"),
        ({"cache_write_1h_tokens": 5}, "cache_write_tokens"),
        ({"cache_write_1h_tokens": 5, "cache_write_tokens": 4}, "cache_write_tokens"),
        ({"period_start": "２０２６-10-24T08:00:00Z"}, "period_start"),
        ({"period_start": 1_792_828_800}, "period_start"),
        ({"period_start": "0001-01-01T00:00:00+14:00"}, "period_start"),
        ({"period_start": "9999-12-31T23:00:00-14:00"}, "period_start"),
        ({"period_start": "2026-10-24T08:00:00Z", "period_end": "2026-10-24T08:00:00Z"}, "period_end"),
        ({"period_start": "2026-10-24T08:00:00Z", "period_end": "2026-12-24T08:00:00Z"}, "period_end"),
    ],
)
def test_what_cannot_be_used_is_refused_and_named(bot: Source, token: str, data: dict[str, Any], field: str) -> None:
    answer = send(token, event(**data))
    assert answer.status_code == 400
    assert field in json.dumps(answer.json()["errors"])
    assert Event.objects.count() == 0


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("2026-10-24T08:15:00", "2026-10-24T06:00:00Z"),
        ("2026-10-24T08:15:00Z", "2026-10-24T08:00:00Z"),
        ("2026-10-24t08:15:00.123456789z", "2026-10-24T08:00:00Z"),
        ("2026-10-24T08:15:00+05:30", "2026-10-24T02:00:00Z"),
        ("2026-06-30T23:59:60Z", "2026-06-30T23:00:00Z"),
        ("2026-07-01T01:59:60", "2026-06-30T23:00:00Z"),
    ],
)
def test_a_time_without_a_zone_is_read_in_that_of_the_source(
    bot: Source, token: str, written: str, stored: str
) -> None:
    Source.objects.update(zone="Europe/Berlin")
    assert send(token, event(time=written)).status_code == 201
    assert Event.objects.get().data["period_start"] == stored


@pytest.mark.parametrize(
    "written",
    [
        "2026-1-4 8:15",
        "2026-W02-1",
        "20260105T0815",
        "2026-01-05T08:15:00Z\n",
        "2026-01-05-08:15",
        "2026-01-05T08:15:00+02:99",
        "2026-01-05T08:15:00+00:00:30",
        "2026-01-05T24:00:00Z",
        "2026-01-05T12:61:00Z",
        "2026-02-30",
        "2026-06-30T23:59:61Z",
        "epoch",
        "infinity",
        "-infinity",
        "now",
        "today",
    ],
)
def test_what_a_file_would_not_read_as_a_time_is_refused_here_too(bot: Source, token: str, written: str) -> None:
    for body, where in ((event(time=written), "time"), (event(period_start=written), "data")):
        answer = send(token, body)
        assert (answer.status_code, list(answer.json()["errors"])) == (400, [where])
    assert Event.objects.count() == 0


@pytest.mark.parametrize("number", ["3e2", "300", "300.0", '"300"', '"3E+2"'])
def test_a_count_in_another_spelling_is_the_same_content(bot: Source, token: str, number: str) -> None:
    send(token, event(input_tokens=300))
    body = json.dumps(event(input_tokens="here")).replace('"here"', number)
    assert (send(token, body).status_code, Event.objects.get().data["input_tokens"]) == (200, 300)


def test_money_is_exact_also_as_a_number(bot: Source, token: str) -> None:
    body = json.dumps(event(cost="here", currency="USD")).replace('"here"', "1234567890.123456789012345678")
    assert send(token, body).status_code == 201
    assert Event.objects.get().data["cost"] == "1234567890.123456789012345678"


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1", "1000000000000000000", "9" * 5000])
@pytest.mark.parametrize("field", ["input_tokens", "cost"])
def test_a_number_that_no_ledger_holds_is_refused(bot: Source, token: str, field: str, number: str) -> None:
    body = json.dumps(event(currency="USD", **{field: "here"})).replace('"here"', number)
    assert send(token, body).status_code == 400
    assert Event.objects.count() == 0


@pytest.mark.parametrize(
    "body",
    [
        "[" * 100_000,
        '{"a":' * 100_000,
        json.dumps(event()).replace('"id": "1"', '"id": "1", "id": "2"'),
        json.dumps(event()).replace('"requests": 3', '"requests": 3, "requests": 4'),
        json.dumps(event()).replace('"search"', '"\\u0000"'),
        json.dumps(event()).encode("utf-16").decode("latin-1"),
    ],
)
def test_json_that_two_readers_would_read_in_two_ways_is_refused(bot: Source, token: str, body: str) -> None:
    assert send(token, body).status_code == 400
    assert Event.objects.count() == 0


def test_a_half_good_batch_is_refused_whole_and_says_which_event(bot: Source, token: str) -> None:
    answer = send(token, [event("1"), event("2", input_tokens=-1), event("3")], content_type="application/json")
    assert answer.status_code == 400
    errors = answer.json()["errors"]
    assert (list(errors), list(errors["1"]["data"])) == (["1"], ["input_tokens"])  # counted from 0
    assert Event.objects.count() == 0


def test_events_that_no_hour_of_the_ledger_could_hold_are_refused_at_the_door(bot: Source, token: str) -> None:
    """An event never changes, so taking it would keep the hour out of the books for ever."""
    assert send(token, event("1", input_tokens=9 * 10**12)).status_code == 201
    refused = send(token, event("2", input_tokens=9 * 10**12))
    assert refused.status_code == 400
    assert "would reach more than 10,000,000,000,000 in the hour 2026-10-24T08:00Z" in refused.json()["detail"]
    assert send(token, event("2", input_tokens=9 * 10**12, usage_key="other")).status_code == 201
    assert send(token, event("3", cost="1", currency="USD", usage_key="c")).status_code == 201
    refused = send(token, event("4", cost="1", currency="EUR", usage_key="c"))
    assert "costs in two currencies" in refused.json()["detail"]
    assert sorted(Event.objects.values_list("event_id", flat=True)) == ["1", "2", "3"]


@pytest.mark.parametrize("body", [NAN_BODY, "{", "[]", "7", '"x"', "null", '{"id": "1"}', "[[]]", "[1]"])
def test_what_is_no_event_is_refused(bot: Source, token: str, body: str) -> None:
    assert send(token, body).status_code == 400


def test_another_content_type_is_refused(bot: Source, token: str) -> None:
    assert send(token, "a=1", content_type="application/x-www-form-urlencoded").status_code == 415


@pytest.mark.parametrize("megabytes", [2, 12])
def test_a_body_that_is_too_large_is_refused(bot: Source, token: str, megabytes: int) -> None:
    answer = send(token, json.dumps(event()) + " " * (megabytes * 1024**2))
    assert (answer.status_code, answer["Content-Type"]) == (413, "application/problem+json")


def test_a_million_events_are_refused(bot: Source, token: str) -> None:
    assert send(token, "[" + ",".join(["{}"] * 1_000_000) + "]").status_code == 413
    assert send(token, "[" + ",".join(["{}"] * 500_000) + "]").status_code == 400


def test_a_batch_that_is_too_long_is_refused(bot: Source, token: str) -> None:
    assert send(token, [event(str(number)) for number in range(1001)]).status_code == 400


def test_without_a_token_nothing_is_taken(bot: Source) -> None:
    answer = Client().post(URL, event(), content_type="application/json")
    assert answer.status_code == 401
    assert answer["Content-Type"] == "application/problem+json"


def test_an_address_of_the_api_that_does_not_exist_answers_as_a_problem(bot: Source) -> None:
    for path in ("/api/v1/nothing/", "/api/v2/usage/"):
        answer = Client().get(path)
        assert (answer.status_code, answer["Content-Type"]) == (404, "application/problem+json")
    assert Client().get("/nothing/")["Content-Type"].startswith("text/html")


def test_who_tries_many_wrong_tokens_is_asked_to_wait_and_a_good_one_still_counts(bot: Source, token: str) -> None:
    answers = [send(f"tg_wrong{number}", event()).status_code for number in range(31)]
    assert (answers[:30], answers[30]) == ([401] * 30, 429)
    slowed = send("tg_wrong", event())
    assert (slowed["Retry-After"], slowed["Content-Type"]) == ("60", "application/problem+json")
    assert send(token, event()).status_code == 201


def test_a_token_needs_the_scope(world: World, bot: Source) -> None:
    assert send(make_token(world, scopes=("read",)), event()).status_code == 403


def test_a_token_is_for_its_source_only(world: World, bot: Source) -> None:
    assert send(make_token(world, source="other"), event()).status_code == 403


def test_a_revoked_or_expired_token_is_nobody(world: World, bot: Source, token: str) -> None:
    now = timezone.now()
    ApiToken.objects.update(created_at=now - timedelta(days=2), expires_at=now - timedelta(seconds=1))
    assert send(token, event()).status_code == 401
    ApiToken.objects.update(expires_at=now + timedelta(days=1))
    assert send(token, event()).status_code == 201
    accounts.revoke_token(actor=actor(world.dan), token=ApiToken.objects.get())
    assert send(token, event("2")).status_code == 401
    assert send(token.upper(), event("2")).status_code == 401
    assert Event.objects.count() == 1


def test_a_token_may_do_no_more_than_its_person(world: World, bot: Source, token: str) -> None:
    world.dan.grants.update(valid_to=timezone.now())
    assert send(token, event()).status_code == 403


def test_a_source_that_does_not_exist_is_not_found(bot: Source, token: str) -> None:
    assert send(token, event(source="nobody")).status_code == 404


def test_a_source_of_files_takes_no_events(bot: Source, token: str) -> None:
    sources.create_source(actor=MACHINE, name="Logs", slug="logs")
    assert send(token, event(source="logs")).status_code == 400

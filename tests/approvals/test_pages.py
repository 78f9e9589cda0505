"""The inbox in a browser's eyes: what waits, one decision, and every stale, double or late click."""

import time
from typing import Any

import pytest
from allauth.account.authentication import AUTHENTICATION_METHODS_SESSION_KEY
from django.test import Client
from django.urls import reverse

from apps.accounts import services as accounts
from apps.accounts.models import Person, Role, RoleGrant
from apps.approvals.models import Confirmation, Decision
from apps.catalog.models import Rate
from apps.workloads.selectors import promise_of
from tests.approvals.deciding import approver, ask_tier, confirm, registered, state_of
from tests.books import make_offering, prices
from tests.world import MACHINE, PASSWORD, World, give, log_in, make_member

pytestmark = pytest.mark.django_db


def at_the_desk(person: Person, *, minutes_ago: float = 1) -> Client:
    """A browser whose session gave the password some minutes ago."""
    client = log_in(person)
    session = client.session
    session["account_authentication_methods_user"] = str(person.accounts.earliest("pk").pk)
    session[AUTHENTICATION_METHODS_SESSION_KEY] = [{"method": "password", "at": time.time() - 60 * minutes_ago}]
    session.save()
    return client


def page(client: Client, confirmation: Confirmation) -> str:
    return client.get(reverse("inbox:detail", args=[confirmation.pk])).content.decode()


def press(client: Client, button: str, confirmation: Confirmation, **told: Any) -> Any:
    address = reverse(f"inbox:{button}", args=[confirmation.pk])
    return client.post(address, {"digest": confirmation.digest, **told})


def test_the_inbox_shows_what_waits_and_the_first_decision_beside_it(world: World) -> None:
    gia, waiting = approver(world), ask_tier(registered(world), world.ben)
    text = at_the_desk(gia).get(reverse("inbox:list")).content.decode()

    assert waiting.ref in text
    assert "Value tier: T1" in text
    assert "“Agents rely on it”" in text
    for words in ("<del", "T3 standard", "T1 critical", "Cannot decide", "asked for it"):
        assert words in text
    assert '<span class="tg-hidden">1 waiting</span>' in text


def test_home_says_what_waits(world: World) -> None:
    gia, _ = approver(world), ask_tier(registered(world), world.ben)

    assert "Decide: Value tier: T1" in log_in(gia).get("/").content.decode()
    assert "Decide:" not in log_in(world.ben).get("/").content.decode()


def test_confirming_at_the_page_changes_what_stands(world: World) -> None:
    workload, gia = registered(world), approver(world)
    waiting = ask_tier(workload, world.ben)

    assert press(at_the_desk(gia), "confirm", waiting).status_code == 302

    assert promise_of(workload).value_tier_id == "T1"
    assert "Nothing waits for you" in at_the_desk(gia).get(reverse("inbox:list")).content.decode()


def test_an_old_session_gives_the_password_first_and_then_presses_again(world: World) -> None:
    gia, waiting = approver(world), ask_tier(registered(world), world.ben)
    client = at_the_desk(gia, minutes_ago=16)

    answer = press(client, "confirm", waiting)
    assert answer["Location"] == f"/accounts/reauthenticate/?next=%2Finbox%2F{waiting.pk}%2F"
    assert state_of(waiting) == "waiting"
    back = client.post("/accounts/reauthenticate/", {"password": PASSWORD, "next": f"/inbox/{waiting.pk}/"})
    assert back["Location"] == f"/inbox/{waiting.pk}/"
    press(client, "confirm", waiting)
    assert state_of(waiting) == "confirmed"


def test_a_session_without_a_log_in_of_its_own_decides_nothing(world: World) -> None:
    gia, waiting = approver(world), ask_tier(registered(world), world.ben)

    assert "/reauthenticate/" in press(log_in(gia), "confirm", waiting)["Location"]
    assert state_of(waiting) == "waiting"


def test_whoever_may_not_reads_why_and_gets_no_button(world: World) -> None:
    waiting = ask_tier(registered(world), world.ben)
    client = at_the_desk(world.dan)

    text = page(client, waiting)
    assert "You own the use case, or did in the last 90 days; somebody else decides." in text
    assert reverse("inbox:confirm", args=[waiting.pk]) not in text
    assert press(client, "confirm", waiting).status_code == 403
    assert press(at_the_desk(make_member("Sam Stone")), "confirm", waiting).status_code == 404


def test_a_refusal_is_read_by_whoever_asked(world: World) -> None:
    gia, waiting = approver(world), ask_tier(registered(world), world.ben)
    client = at_the_desk(gia)

    assert press(client, "refuse", waiting).status_code == 400
    assert press(client, "refuse", waiting, reason="T2 is enough").status_code == 302

    assert "T2 is enough" in page(log_in(world.ben), waiting)


def test_double_click_and_back_button_decide_once(world: World) -> None:
    gia, waiting = approver(world), ask_tier(registered(world), world.ben)
    client = at_the_desk(gia)

    assert [press(client, "confirm", waiting).status_code for _ in range(2)] == [302, 302]
    late = press(client, "refuse", waiting, reason="On second thoughts")

    assert late.status_code == 409
    assert "This was confirmed in the meantime." in late.content.decode()
    assert Decision.objects.count() == 1


def test_a_stale_tab_is_shown_what_took_the_place(world: World) -> None:
    workload, gia = registered(world), approver(world)
    seen = ask_tier(workload, world.ben, "T1")
    now = ask_tier(workload, world.ben, "T2")
    client = at_the_desk(gia)

    answer = press(client, "confirm", seen)
    assert answer.status_code == 409
    assert "This was replaced in the meantime." in answer.content.decode()
    assert f"Read {now.ref}" in page(client, seen)
    forged = client.post(reverse("inbox:confirm", args=[now.pk]), {"digest": seen.digest})
    assert forged.status_code == 409
    assert "This is not what you saw." in forged.content.decode()
    assert promise_of(workload).value_tier_id == "T3"


def test_a_role_taken_away_between_page_and_click_is_a_403(world: World) -> None:
    gia, waiting = approver(world), ask_tier(registered(world), world.ben)
    client = at_the_desk(gia)
    assert reverse("inbox:confirm", args=[waiting.pk]) in page(client, waiting)
    RoleGrant.objects.filter(person=gia).update(valid_to=RoleGrant.objects.get(person=gia).valid_from)

    # Without the role she no longer sees the workload's money, and so not this either.
    assert press(client, "confirm", waiting).status_code == 404
    assert state_of(waiting) == "waiting"


def test_withdrawing_is_for_whoever_asked(world: World) -> None:
    gia, waiting = approver(world), ask_tier(registered(world), world.ben)

    assert press(at_the_desk(gia), "withdraw", waiting).status_code == 403
    assert press(log_in(world.ben), "withdraw", waiting).status_code == 302
    assert state_of(waiting) == "withdrawn"


def test_nobody_can_is_said_plainly_with_who_could_give_the_role(world: World) -> None:
    RoleGrant.objects.filter(person=world.hana).update(valid_to=RoleGrant.objects.get(person=world.hana).valid_from)
    waiting = ask_tier(registered(world), world.ben)

    text = page(log_in(world.ben), waiting)

    assert "Nobody can confirm this now." in text
    assert "Approver or Reviewer" in text
    assert "Ada Moss can give it" in text


def test_the_history_is_a_file_too(world: World) -> None:
    gia, waiting = approver(world), ask_tier(registered(world), world.ben)
    confirm(waiting, gia)

    answer = log_in(world.ben).get(reverse("inbox:list"), {"tab": "done", "format": "csv"})
    lines = b"".join(answer.streaming_content).decode().splitlines()

    assert len(lines) == 2
    assert lines[1].startswith(f"{waiting.ref},Value tier,Summaries,Value tier: T1,Ben Okoro,")
    assert waiting.digest in lines[1]
    assert "Gia Rossi" in lines[1]


# --- The pages that propose -------------------------------------------------------------------------------------------


def test_the_promise_page_proposes_and_shows_what_stands_until_then(world: World) -> None:
    workload = registered(world)
    client = log_in(world.ben)
    address = reverse("workloads:promise", args=[workload.slug])
    told = {"value_tier": "T1", "latency_band": "batch", "failure_severity": "little", "failure_cost": "2"}

    answer = client.post(address, {**told, "reason": "Agents rely on it"}, follow=True)

    assert answer.redirect_chain == [(address, 302)]
    text = answer.content.decode()
    assert "Waiting for confirmation by somebody else" in text
    assert promise_of(workload).value_tier_id == "T3"
    assert [c.kind for c in Confirmation.objects.all()] == ["tier"]


def test_a_mandate_is_proposed_on_the_same_page(world: World) -> None:
    workload = registered(world)
    address = reverse("workloads:mandate", args=[workload.slug])
    told = {
        "mandated_reason": "The law",
        "mandated_by": world.ben.pk,
        "mandated_until": "2099-12-31",
        "reason": "x",
    }

    assert log_in(world.ben).post(address, {**told, "mandated_until": "2001-01-01"}).status_code == 422
    assert log_in(world.ben).post(address, told).status_code == 302
    assert Confirmation.objects.get().kind == "mandate"
    assert log_in(world.eve).post(address, told).status_code == 403


def test_a_role_given_on_the_page_of_a_person_waits_once_there_are_two_administrators(world: World) -> None:
    client, address = log_in(world.ada), reverse("people:grant", args=[world.eve.pk])
    assert client.post(address, {"role": "administrator"}).status_code == 302
    assert RoleGrant.objects.filter(person=world.eve).exists()

    address = reverse("people:grant", args=[world.ben.pk])
    answer = log_in(world.ada).post(address, {"role": "analyst", "reason": "Joins the team"}, follow=True)
    assert "FinOps analyst for Ben Okoro" in answer.content.decode()
    assert not RoleGrant.objects.filter(person=world.ben).exists()
    waiting = Confirmation.objects.get()
    press(at_the_desk(world.eve), "confirm", waiting)
    assert RoleGrant.objects.get(person=world.ben).role == Role.ANALYST


def test_a_role_in_an_invitation_waits_too(world: World) -> None:
    give(world.eve, Role.ADMINISTRATOR, by=world.ada)
    told = {"name": "Ina Falk", "email": "ina@example.com", "role": "analyst", "cost_centre": world.care.pk}

    assert log_in(world.ada).post(reverse("people:invite"), told).status_code == 302

    ina = Person.objects.get(email="ina@example.com")
    assert not ina.grants.exists()
    assert Confirmation.objects.get().subject_id == ina.pk


def test_a_contract_price_is_proposed_by_one_analyst_and_confirmed_by_another(world: World) -> None:
    offering = make_offering("own", "dollar")
    prices(offering, input="1.00", output="1.00")
    client = log_in(world.cleo)
    told = {"input": "2", "output": "2", "currency": "USD", "valid_from": "2026-10-01", "service_tier": "standard"}
    answer = client.post(reverse("rates:add", args=[offering.pk]), {**told, "prompt_band": 0, "confirmed": "on"})
    assert answer.status_code == 302
    assert Rate.objects.filter(scope="contract", superseded_by__isnull=True).count() == 1

    waiting = Confirmation.objects.get()
    assert "New contract price for own/dollar" in page(client, waiting)
    assert press(at_the_desk(world.cleo), "confirm", waiting).status_code == 403
    assert press(at_the_desk(world.ada), "confirm", waiting).status_code == 302

    assert Rate.objects.filter(scope="contract", superseded_by__isnull=True).count() == 2
    assert Rate.objects.latest("pk").recorded_by in (world.cleo.pk, None)


def test_a_person_who_is_sent_away_finds_a_dead_page(world: World) -> None:
    gia, waiting = approver(world), ask_tier(registered(world), world.ben)
    client = at_the_desk(gia)
    accounts.deactivate_person(actor=MACHINE, person=gia)

    assert "/login/" in press(client, "confirm", waiting)["Location"]
    assert state_of(waiting) == "waiting"

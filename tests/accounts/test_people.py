"""People come by invitation, leave in one piece, and can be forgotten without losing what they did."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.exceptions import ObjectDoesNotExist
from django.db import connection

from apps.accounts import services as accounts
from apps.accounts.models import Account, ApiToken, Invitation, Person, Role, RoleGrant
from apps.accounts.rights import Right, rights_of
from apps.core.errors import BadInput, Conflict, NotAllowed, NotFound, TollgateError
from apps.core.models import AuditEvent
from tests.world import MACHINE, PASSWORD, World, actor, give, make_account


def invite_ina(world: World, **more: object) -> accounts.invitations.SentInvitation:
    return accounts.invite(actor=actor(world.ada), name="Ina Falk", email="Ina@Example.com", **more)


def test_an_invited_person_sets_a_password_and_belongs(world: World) -> None:
    sent = invite_ina(world, role=Role.ANALYST, cost_centre=world.legal)

    account = accounts.accept_invitation(secret=sent.secret, password=PASSWORD)

    assert account.email == "ina@example.com"
    assert account.check_password(PASSWORD)
    rights = rights_of(actor(account.person))
    assert rights.may(Right.ALLOCATE)
    assert rights.sees_money_of(world.legal)
    assert not rights.sees_money_of(world.care)


def test_the_database_keeps_nothing_that_opens_an_invitation(world: World) -> None:
    sent = invite_ina(world)

    row = Invitation.objects.values().get(pk=sent.invitation.pk)
    assert sent.secret not in str(row)
    assert sent.secret not in str(list(AuditEvent.objects.values_list("data", flat=True)))


def test_an_invitation_works_once(world: World) -> None:
    sent = invite_ina(world)
    accounts.accept_invitation(secret=sent.secret, password=PASSWORD)

    with pytest.raises(NotFound, match="used, withdrawn or expired"):
        accounts.accept_invitation(secret=sent.secret, password="another good long one")


def test_sending_again_voids_the_earlier_link(world: World) -> None:
    first = invite_ina(world)
    second = accounts.resend(actor=actor(world.ada), person=first.invitation.person)

    with pytest.raises(NotFound):
        accounts.find_invitation(first.secret)
    assert accounts.find_invitation(second.secret).person.name == "Ina Falk"


@pytest.mark.parametrize("secret", ["", "nonsense", "x" * 5000])
def test_an_invented_link_answers_like_a_used_one(world: World, secret: str) -> None:
    with pytest.raises(NotFound, match="used, withdrawn or expired"):
        accounts.find_invitation(secret)


def test_a_withdrawn_or_expired_invitation_opens_nothing(world: World) -> None:
    withdrawn = invite_ina(world)
    accounts.withdraw_invitation(actor=actor(world.ada), person=withdrawn.invitation.person)
    expired = accounts.invite(actor=actor(world.ada), name="Jon Ek", email="jon@example.com")
    Invitation.objects.filter(pk=expired.invitation.pk).update(expires_at=expired.invitation.sent_at)

    for sent in (withdrawn, expired):
        with pytest.raises(NotFound):
            accounts.accept_invitation(secret=sent.secret, password=PASSWORD)


def test_a_weak_password_is_refused_in_words_and_the_link_lives_on(world: World) -> None:
    sent = invite_ina(world)

    with pytest.raises(BadInput, match="too short"):
        accounts.accept_invitation(secret=sent.secret, password="short")
    assert accounts.find_invitation(sent.secret)


def test_an_address_is_invited_once(world: World) -> None:
    invite_ina(world)

    with pytest.raises(Conflict, match="open invitation"):
        invite_ina(world)
    with pytest.raises(Conflict, match="already has an account"):
        accounts.invite(actor=actor(world.ada), name="Another Ben", email="BEN@example.com")


def test_only_administrators_let_people_in(world: World) -> None:
    for name in ("ben", "cleo", "dan", "eve", "finn", "gus", "hana"):
        who = actor(world.people[name])
        with pytest.raises(NotAllowed):
            accounts.invite(actor=who, name="Ina", email="ina@example.com")
        with pytest.raises(NotAllowed):
            accounts.make_person(actor=who, name="Ina")
        with pytest.raises(NotAllowed):
            accounts.deactivate_person(actor=who, person=world.ben)
        with pytest.raises(NotAllowed):
            accounts.make_cost_centre(actor=who, code="X", name="X")


def test_nobody_sets_a_password_for_somebody_else(world: World) -> None:
    with pytest.raises(NotAllowed, match="Send an invitation"):
        accounts.make_account(actor=actor(world.ada), person=world.eve, email="e2@example.com", password=PASSWORD)


def test_sending_a_person_away_ends_everything_at_once(world: World) -> None:
    make_account(world.cleo, "cleo.park@example.com")
    accounts.create_token(actor=actor(world.cleo), name="t", scopes=["read"], valid_days=1)
    epochs = dict(Account.objects.filter(person=world.cleo).values_list("pk", "session_epoch"))

    accounts.deactivate_person(actor=actor(world.ada), person=world.cleo)

    assert not Account.objects.filter(person=world.cleo, is_active=True).exists()
    for account in Account.objects.filter(person=world.cleo):
        assert account.session_epoch > epochs[account.pk]
    assert not ApiToken.objects.usable().filter(person=world.cleo).exists()
    assert not RoleGrant.objects.in_force().filter(person=world.cleo).exists()
    event = AuditEvent.objects.latest("id")
    assert (event.verb, event.data) == (
        "deactivated person",
        {"accounts": 2, "tokens": 1, "invitations": 0, "roles": 1, "passed_on": []},
    )


def test_when_one_part_of_sending_away_fails_nothing_has_happened(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts.create_token(actor=actor(world.cleo), name="t", scopes=["read"], valid_days=1)

    def fail(**_: object) -> None:
        raise RuntimeError("the last step fails")

    monkeypatch.setattr("apps.core.audit.record", fail)
    with pytest.raises(RuntimeError):
        accounts.deactivate_person(actor=actor(world.ada), person=world.cleo)

    assert Person.objects.get(pk=world.cleo.pk).active
    assert Account.objects.get(person=world.cleo).is_active
    assert ApiToken.objects.usable().filter(person=world.cleo).exists()


def test_the_last_administrator_stays(world: World) -> None:
    give(world.ben, Role.ADMINISTRATOR, by=world.ada)
    accounts.deactivate_person(actor=actor(world.ada), person=world.ben)

    with pytest.raises(NotAllowed, match="cannot deactivate yourself"):
        accounts.deactivate_person(actor=actor(world.ada), person=world.ada)
    with pytest.raises(Conflict, match="only administrator"):
        accounts.deactivate_person(actor=MACHINE, person=world.ada)


def test_an_erased_person_keeps_the_number_and_loses_the_name(world: World) -> None:
    sent = invite_ina(world)
    ina = accounts.accept_invitation(secret=sent.secret, password=PASSWORD).person
    accounts.deactivate_person(actor=actor(world.ada), person=ina)

    accounts.erase_person(actor=actor(world.ada), person=ina)

    ina.refresh_from_db()
    assert ina.name == f"Erased person {ina.pk}"
    left = [
        *Person.objects.values(),
        *Account.objects.values(),
        *Invitation.objects.values(),
        *AuditEvent.objects.values(),
    ]
    assert "ina@example.com" not in str(left).lower()
    assert "Ina Falk" not in str(left)
    assert AuditEvent.objects.filter(person_id=ina.pk, verb="accepted invitation").exists()


def test_an_active_person_is_not_erased(world: World) -> None:
    with pytest.raises(Conflict, match="still active"):
        accounts.erase_person(actor=actor(world.ada), person=world.eve)


@pytest.mark.parametrize("name", ["", "   ", "a\u202egnp.exe", "x" * 121, "bell\x07"])
def test_names_that_mislead_or_are_none_are_refused(world: World, name: str) -> None:
    with pytest.raises(BadInput):
        accounts.make_person(actor=actor(world.ada), name=name)


def test_the_first_administrator_is_the_first_only(world: World) -> None:
    with pytest.raises(Conflict, match="set up already"):
        accounts.first_administrator(name="Mallory", email="m@example.com", password=PASSWORD)


def test_an_empty_database_gets_its_first_administrator(db: None) -> None:
    account = accounts.first_administrator(name="Ada Moss", email="ada@example.com", password=PASSWORD)

    assert rights_of(actor(account.person)).may(Right.MANAGE_PEOPLE)
    assert RoleGrant.objects.get().granted_by is None
    assert AuditEvent.objects.filter(verb="became first administrator", person_id=account.person_id).exists()


def test_two_strangers_at_once_make_one_first_administrator(transactional_db: None) -> None:
    def attempt(number: int) -> bool:
        try:
            accounts.first_administrator(name=f"N{number}", email=f"n{number}@example.com", password=PASSWORD)
        except TollgateError:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(4) as pool:
        won = list(pool.map(attempt, range(4)))

    assert won.count(True) == 1
    assert Account.objects.count() == 1


def test_a_person_may_have_several_accounts(world: World) -> None:
    make_account(world.cleo, "cleo.park@example.com")

    assert world.cleo.accounts.count() == 2
    with pytest.raises(ObjectDoesNotExist):
        Account.objects.get_by_natural_key("nobody@example.com")
    assert Account.objects.get_by_natural_key("CLEO@example.com").person == world.cleo

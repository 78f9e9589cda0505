"""People pages: administrators let people in and out; auditors look; nobody else."""

import re
import socket
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.hashers import get_hasher
from django.core import mail
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.accounts import services as accounts
from apps.accounts.models import Account, ApiToken, CostCentre, Person, ResetRequest, Role, RoleGrant
from apps.core import organisation
from apps.core.models import AuditEvent
from apps.core.working_days import days_off
from apps.costs.limits import unallocated_limit
from tests.world import MACHINE, PASSWORD, World, actor, give, log_in, make_member
from workers import accounts as worker
from workers.schedule import SCHEDULE

WRONG = "wrong wrong wrong"


def log_in_by_form(email: str, password: str = PASSWORD, client: Client | None = None) -> Client:
    client = client or Client()
    client.response = client.post(reverse("account_login"), {"login": email, "password": password})  # type: ignore[attr-defined]
    return client


def is_in(client: Client) -> bool:
    return client.get(reverse("settings:overview")).status_code == 200


# --- Letting people in ------------------------------------------------------------------------------------------------


def test_an_invited_person_follows_the_mail_sets_a_password_and_is_in(world: World, settings: object) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"  # type: ignore[attr-defined]
    form = {"name": "Ina Falk", "email": "ina@example.com", "role": "analyst", "cost_centre": world.legal.pk}

    answer = log_in(world.ada).post(reverse("people:invite"), form)

    ina = Person.objects.get(email="ina@example.com")
    assert answer["Location"] == reverse("people:detail", args=[ina.pk])
    (letter,) = mail.outbox
    assert letter.to == ["ina@example.com"]
    link = re.search(r"https?://[^/]+(/invitations/\S+/)", letter.body).group(1)  # type: ignore[union-attr]
    guest = Client()
    assert "Ada Moss invites you" in guest.get(link).content.decode()
    assert guest.post(link, {"password1": PASSWORD, "password2": "something else"}).status_code == 400
    assert guest.post(link, {"password1": PASSWORD, "password2": PASSWORD})["Location"] == "/"
    assert is_in(guest)
    assert Client().get(link).status_code == 404
    assert is_in(log_in_by_form("INA@example.com"))


def test_a_mail_server_that_is_away_costs_the_mail_and_not_the_invitation(world: World, settings: object) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"  # type: ignore[attr-defined]
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1  # type: ignore[attr-defined]

    answer = log_in(world.ada).post(
        reverse("people:invite"), {"name": "Ina", "email": "ina@example.com", "role": ""}, follow=True
    )

    assert "the mail did not go out" in answer.content.decode()
    assert Person.objects.filter(email="ina@example.com").exists()


def test_signing_up_by_oneself_and_changing_the_address_are_not_here(world: World) -> None:
    for path in ("signup/", "email/", "confirm-email/", "2fa/", "inactive/", "password/set/", "login/code/confirm/"):
        assert Client().get(f"/accounts/{path}").status_code == 404
        assert log_in(world.eve).get(f"/accounts/{path}").status_code == 404


def test_nothing_is_changed_without_the_token_of_the_form(world: World) -> None:
    """Log-in gives the token a new value; the one of the page that follows works."""
    ada = log_in_by_form("ada@example.com", client=Client())
    forger = Client(enforce_csrf_checks=True)
    forger.cookies = ada.cookies
    address = reverse("people:deactivate", args=[world.eve.pk])

    assert forger.post(address).status_code == 403
    assert forger.post(address, headers={"HX-Request": "true"}).status_code == 403
    page = forger.get(reverse("people:detail", args=[world.eve.pk])).content.decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page).group(1)  # type: ignore[union-attr]
    assert forger.post(address, headers={"HX-Request": "true", "X-CSRFToken": token}).status_code == 302
    assert not Person.objects.get(pk=world.eve.pk).active


# --- Sessions ---------------------------------------------------------------------------------------------------------


def test_logging_in_changes_the_key_of_the_session(world: World) -> None:
    client = Client()
    client.get(reverse("account_login"))
    session = client.session
    session["planted"] = 1
    session.save()
    before = client.session.session_key

    log_in_by_form("cleo@example.com", client=client)

    assert is_in(client)
    assert client.session.session_key != before


def test_a_changed_role_ends_the_sessions_of_before(world: World) -> None:
    client = log_in(world.cleo)
    assert is_in(client)

    accounts.grant_role(actor=actor(world.ada), person=world.cleo, role=Role.REVIEWER)
    assert not is_in(client)

    client = log_in(world.cleo)
    accounts.end_role(actor=actor(world.ada), grant=RoleGrant.objects.filter(person=world.cleo).first())
    assert not is_in(client)


def test_a_changed_password_ends_the_other_sessions(world: World) -> None:
    here, elsewhere = log_in_by_form("cleo@example.com"), log_in_by_form("cleo@example.com")
    new = "a different horse and staple"

    here.post(reverse("account_change_password"), {"oldpassword": PASSWORD, "password1": new, "password2": new})

    assert not is_in(elsewhere)
    assert is_in(log_in_by_form("cleo@example.com", new))
    assert AuditEvent.objects.filter(verb="changed password", person_id=world.cleo.pk).exists()


def test_a_deactivated_person_is_out_at_the_next_click(world: World) -> None:
    client = log_in(world.cleo)

    log_in(world.ada).post(reverse("people:deactivate", args=[world.cleo.pk]))

    assert not is_in(client)
    assert not is_in(log_in_by_form("cleo@example.com"))


def test_after_logging_out_the_back_button_shows_nothing(world: World) -> None:
    client = log_in(world.cleo)
    assert "no-store" in client.get(reverse("settings:overview"))["Cache-Control"]

    client.post(reverse("account_logout"))

    assert not is_in(client)


def test_a_session_ends_after_twelve_hours_and_after_thirty_idle_minutes(world: World, settings: object) -> None:
    client = log_in(world.cleo)
    assert is_in(client)
    assert settings.SESSION_COOKIE_AGE == 30 * 60  # type: ignore[attr-defined]
    assert settings.SESSION_SAVE_EVERY_REQUEST  # type: ignore[attr-defined]
    session = client.session
    session["began_at"] -= 12 * 3600 + 1
    session.save()

    answer = client.get(reverse("settings:overview"))

    assert answer["Location"].startswith(reverse("account_login"))
    assert not is_in(client)


# --- The door ---------------------------------------------------------------------------------------------------------


def refusal(email: str, password: str = WRONG) -> str:
    html = log_in_by_form(email, password).response.content.decode()  # type: ignore[attr-defined]
    return re.sub(r'(value|nonce|content)="[^"]*"', "", html)


def test_unknown_known_and_deactivated_people_are_refused_in_the_same_words(world: World) -> None:
    accounts.deactivate_person(actor=actor(world.ada), person=world.gus)

    assert refusal("cleo@example.com") == refusal("nobody@example.com") == refusal("gus@example.com", PASSWORD)


def test_unknown_known_and_deactivated_people_cost_the_same_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted instead of timed: a password is hashed once, whoever asks."""
    hasher, hashed = type(get_hasher()), []
    original = hasher.encode
    monkeypatch.setattr(hasher, "encode", lambda *given: hashed.append("once") or original(*given))
    accounts.deactivate_person(actor=actor(world.ada), person=world.gus)
    counts = []
    for email in ("cleo@example.com", "nobody@example.com", "gus@example.com"):
        hashed.clear()
        refusal(email)
        counts.append(len(hashed))

    assert counts == [1, 1, 1]


def test_five_wrong_passwords_lock_this_address_here_and_nobody_else(world: World) -> None:
    for _ in range(5):
        refusal("cleo@example.com")

    assert not is_in(log_in_by_form("cleo@example.com"))
    assert "Too many failed" in refusal("cleo@example.com", PASSWORD)
    assert is_in(log_in_by_form("dan@example.com"))
    elsewhere = Client(REMOTE_ADDR="198.51.100.7")
    assert is_in(log_in_by_form("cleo@example.com", client=elsewhere))


def ask_for_a_link(email: str, client: Client | None = None) -> Any:
    return (client or Client()).post(reverse("account_reset_password"), {"email": email})


def test_a_forgotten_password_is_reset_by_mail_and_strangers_learn_nothing(world: World, settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    known, unknown = ask_for_a_link("Cleo@example.com"), ask_for_a_link("nobody@example.com")

    assert known["Location"] == unknown["Location"]
    assert not mail.outbox
    worker.sweep()
    (letter,) = mail.outbox
    assert letter.to == ["cleo@example.com"]
    assert not ResetRequest.objects.exists()
    path = re.search(r"https?://[^/]+(/accounts/password/reset/key/\S+/)", letter.body).group(1)  # type: ignore[union-attr]
    client, new = Client(), "a different horse and staple"
    form = client.get(path, follow=True)
    client.post(form.request["PATH_INFO"], {"password1": new, "password2": new})
    assert is_in(log_in_by_form("cleo@example.com", new))


def test_asking_for_a_link_does_the_same_for_members_strangers_and_those_who_left(world: World, settings: Any) -> None:
    """The mail server accepts and then says nothing: whoever spoke to it would wait, and tell by that who is here."""
    accounts.deactivate_person(actor=MACHINE, person=world.eve)
    statements = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        settings.EMAIL_BACKEND, settings.EMAIL_TIMEOUT = "django.core.mail.backends.smtp.EmailBackend", 1
        settings.EMAIL_HOST, settings.EMAIL_PORT = server.getsockname()
        for address in ("cleo@example.com", "nobody@example.com", "eve@example.com"):
            with CaptureQueriesContext(connection) as queries:
                assert ask_for_a_link(address).status_code == 302
            statements.append([re.sub(r"'[^']*'|\d+", "?", query["sql"]) for query in queries])
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()

    # The limits' counters are as many for each: by place, and by address.
    assert len(statements[0]) == len(statements[1]) == len(statements[2])
    assert not [sql for of_one in statements for sql in of_one if '"accounts_account"."email"' in sql]
    assert ResetRequest.objects.count() == 3


def test_a_link_waits_for_a_mail_server_that_is_away_and_no_longer_than_an_hour(world: World, settings: Any) -> None:
    ask_for_a_link("cleo@example.com")
    asked = ResetRequest.objects.get()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1  # where nobody listens
    accounts.send_resets(now=asked.asked_at)
    assert ResetRequest.objects.exists()

    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    accounts.send_resets(now=asked.asked_at + timedelta(seconds=30))
    assert not mail.outbox
    accounts.send_resets(now=asked.asked_at + timedelta(seconds=60))
    assert [message.to for message in mail.outbox] == [["cleo@example.com"]]

    ask_for_a_link("cleo@example.com")
    accounts.send_resets(now=ResetRequest.objects.get().asked_at + timedelta(minutes=61))
    assert len(mail.outbox) == 1
    assert not ResetRequest.objects.exists()


CAPITAL = "\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}"


def test_an_address_that_grows_in_small_letters_is_nobodys_and_no_error(world: World) -> None:
    """The capital of a Turkish i is two letters when small."""
    assert ask_for_a_link(f"{CAPITAL * 300}@example.com").status_code == 302
    assert not ResetRequest.objects.exists()


def test_a_turn_that_took_long_leaves_the_rest_to_the_next(
    world: World, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    ask_for_a_link("cleo@example.com")
    ask_for_a_link("dan@example.com")
    with monkeypatch.context() as slow:
        ticks = iter((0, 0, 31))
        slow.setattr("apps.accounts.services.resets.monotonic", lambda: next(ticks))
        worker.sweep()
    assert [message.to for message in mail.outbox] == [["cleo@example.com"]]
    worker.sweep()
    assert [message.to for message in mail.outbox] == [["cleo@example.com"], ["dan@example.com"]]


def test_a_link_that_another_worker_is_done_with_just_now_is_passed_over(world: World, settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    ask_for_a_link("ada@example.com")

    def another_worker(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        answer = execute(sql, params, many, context)
        if sql.startswith('UPDATE "accounts_reset_request"'):
            with connection.connection.cursor() as other:
                other.execute("DELETE FROM accounts_reset_request")
        return answer

    with connection.execute_wrapper(another_worker):
        worker.sweep()

    assert mail.outbox == []
    assert not ResetRequest.objects.exists()


def test_the_clock_sends_the_links() -> None:
    assert "workers.accounts.sweep" in {entry["task"] for entry in SCHEDULE.values()}


def test_links_in_mails_lead_to_the_configured_address_whatever_the_request_says(world: World, settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    settings.ALLOWED_HOSTS = ["evil.example", *settings.ALLOWED_HOSTS]
    ask_for_a_link("cleo@example.com", Client(HTTP_HOST="evil.example"))
    worker.sweep()

    assert settings.TOLLGATE_PUBLIC_URL in mail.outbox[0].body
    assert "evil.example" not in mail.outbox[0].body + mail.outbox[0].subject


# --- Roles, cost centres ----------------------------------------------------------------------------------------------


def test_an_administrator_gives_and_ends_a_role_on_a_persons_page(world: World) -> None:
    ada = log_in(world.ada)
    form = {"role": "reviewer", "cost_centre": world.care.pk, "last_day": "2030-12-31"}

    page = ada.post(reverse("people:grant", args=[world.eve.pk]), form, follow=True).content.decode()

    assert "Eve Stone is Reviewer now" in page
    held = RoleGrant.objects.get(person=world.eve)
    assert f"{held.valid_to:%Y-%m-%d %H}" == "2031-01-01 00"
    page = ada.post(reverse("people:end-grant", args=[world.eve.pk, held.pk]), follow=True).content.decode()
    assert "Earlier roles" in page


def test_last_days_are_days_of_the_organisations_zone(world: World) -> None:
    organisation.make(actor=MACHINE, name="Larch", zone="America/New_York")
    form = {"role": "reviewer", "last_day": "2030-12-31"}

    log_in(world.ada).post(reverse("people:grant", args=[world.eve.pk]), form)

    assert f"{RoleGrant.objects.get(person=world.eve).valid_to:%Y-%m-%d %H}" == "2031-01-01 05"


def test_a_refused_role_keeps_what_was_typed_and_says_why(world: World) -> None:
    give(world.ben, Role.ADMINISTRATOR, by=world.ada)

    answer = log_in(world.ada).post(reverse("people:grant", args=[world.ada.pk]), {"role": "approver"})

    assert answer.status_code == 400
    assert "Nobody gives a role to themselves" in answer.content.decode()


def test_cost_centres_are_added_moved_renamed_and_closed(world: World) -> None:
    ada = log_in(world.ada)
    ada.post(reverse("cost_centres:list"), {"code": "T2", "name": "Second line", "parent": world.care.pk})
    tier2 = CostCentre.objects.get(code="T2")

    ada.post(
        reverse("cost_centres:detail", args=[tier2.pk]), {"code": "T3", "name": "Third line", "parent": world.legal.pk}
    )
    ada.post(reverse("cost_centres:activity", args=[tier2.pk]), {"active": "0"})

    tier2.refresh_from_db()
    assert (tier2.code, tier2.name, tier2.parent, tier2.active) == ("T3", "Third line", world.legal, False)
    circle = ada.post(
        reverse("cost_centres:detail", args=[world.operations.pk]),
        {"code": "OPS", "name": "Operations", "parent": world.care.pk},
    )
    assert "circle" in circle.content.decode()


# --- Who may what -----------------------------------------------------------------------------------------------------

READS = {"people:list": (), "people:detail": ("ben",), "cost_centres:list": (), "cost_centres:detail": ("care",)}
WRITES = {
    "people:invite": ((), {"name": "X", "email": "x@example.com", "role": ""}),
    "people:grant": (("ben",), {"role": "administrator"}),
    "people:deactivate": (("ben",), {}),
    "people:erase": (("ben",), {}),
    "people:rename": (("ben",), {"name": "Mallory"}),
    "people:resend": (("ben",), {}),
    "people:withdraw": (("ben",), {}),
    "cost_centres:list": ((), {"code": "X", "name": "X"}),
    "cost_centres:detail": (("care",), {"code": "X", "name": "X"}),
    "cost_centres:activity": (("care",), {"active": "0"}),
}


def address(world: World, name: str, arguments: tuple[str, ...]) -> str:
    return reverse(name, args=[getattr(world, argument).pk for argument in arguments])


@pytest.mark.parametrize("name", READS)
def test_people_and_cost_centres_are_seen_by_administrators_and_auditors_only(world: World, name: str) -> None:
    seen = {
        who for who, p in world.people.items() if log_in(p).get(address(world, name, READS[name])).status_code == 200
    }

    assert seen - {"ben"} == {"ada", "finn"}
    assert Client().get(address(world, name, READS[name]))["Location"].startswith(reverse("account_login"))


@pytest.mark.parametrize("name", WRITES)
def test_nobody_but_an_administrator_writes(world: World, name: str) -> None:
    arguments, form = WRITES[name]
    before = snapshot()
    for who in ("cleo", "dan", "eve", "finn", "gus", "hana"):
        answer = log_in(world.people[who]).post(address(world, name, arguments), form, follow=True)
        assert answer.status_code in (200, 403, 404)

    assert snapshot() == before
    assert Client().post(address(world, name, arguments), form)["Location"].startswith(reverse("account_login"))


def snapshot() -> list[object]:
    sessions_apart = Account.objects.order_by("pk").values_list("email", "is_active", "password", "session_epoch")
    tables = [Person.objects.order_by("pk").values(), CostCentre.objects.order_by("pk").values()]
    return [list(sessions_apart), *(list(t) for t in tables), RoleGrant.objects.count(), AuditEvent.objects.count()]


def test_a_person_who_does_not_exist_answers_like_a_foreign_one(world: World) -> None:
    for pk in (world.ben.pk, 10**9):
        assert log_in(world.eve).get(reverse("people:detail", args=[pk])).status_code == 404
    assert log_in(world.eve).get(reverse("people:detail", args=[world.eve.pk])).status_code == 200


def test_every_field_of_a_person_sent_along_with_a_form_is_ignored(world: World) -> None:
    everything = {field.name: "1" for model in (Person, Account, RoleGrant) for field in model._meta.fields} | {
        "name": "Eve Stone",
        "role": "reviewer",
        "granted_by": world.eve.pk,
        "person": world.ben.pk,
        "is_superuser": "1",
    }

    log_in(world.eve).post(reverse("people:rename", args=[world.eve.pk]), everything)
    log_in(world.ada).post(
        reverse("people:grant", args=[world.eve.pk]), {**everything, "cost_centre": "", "last_day": ""}
    )

    eve = Person.objects.get(pk=world.eve.pk)
    assert (eve.name, eve.active, eve.erased_at, eve.email) == ("Eve Stone", True, None, "eve@example.com")
    held = RoleGrant.objects.get(person=world.eve)
    assert held.granted_by == world.ada
    assert not RoleGrant.objects.filter(person=world.ben).exists()


# --- Lists ------------------------------------------------------------------------------------------------------------


def test_the_list_is_filtered_by_its_address_and_exported_as_shown(world: World) -> None:
    ada = log_in(world.ada)

    assert names(ada, "?state=former") == []
    assert names(ada, "?role=auditor") == ["Finn Weber"]
    assert names(ada, "?q=CLEO@") == ["Cleo Park"]
    csv = b"".join(ada.get(reverse("people:list") + "?role=analyst&format=csv").streaming_content).decode()
    assert csv.splitlines()[1].startswith("Cleo Park,cleo@example.com,active,FinOps analyst (Operations),")


def names(client: Client, query: str) -> list[str]:
    html = client.get(reverse("people:list") + query, headers={"HX-Request": "true"}).content.decode()
    return re.findall(r'class="tg-name" href="[^"]+">([^<]+)<', html)


@pytest.mark.parametrize("query", ["?page=1000000000", "?page=-1", "?page=x", "?state=x&role=%27", "?q=" + "x" * 5000])
def test_nonsense_in_the_address_shows_a_page(world: World, query: str) -> None:
    assert log_in(world.ada).get(reverse("people:list") + query).status_code == 200


def test_the_number_of_queries_does_not_grow_with_the_number_of_people(world: World) -> None:
    ada = log_in(world.ada)
    ada.get(reverse("people:list"))
    with CaptureQueriesContext(connection) as few:
        ada.get(reverse("people:list"))
    for number in range(20):
        give(make_member(f"P{number} Many"), Role.ANALYST, world.care, by=world.ada)
    with CaptureQueriesContext(connection) as many:
        ada.get(reverse("people:list"))

    assert len(many) == len(few)


def test_names_are_shown_as_text(world: World) -> None:
    accounts.make_person(actor=MACHINE, name="<script>alert(1)</script> {{ 7*7 }}")

    html = log_in(world.ada).get(reverse("people:list")).content.decode()

    assert "<script>alert(1)" not in html
    assert "{{ 7*7 }}" in html


# --- Settings and tokens ----------------------------------------------------------------------------------------------


def test_everybody_sees_the_organisation_and_only_administrators_change_it(world: World) -> None:
    organisation.make(actor=MACHINE, name="Larch")
    wanted = {"name": "Larch & Co", "currency": "EUR", "zone": "Europe/Berlin", "fiscal_start": "4"}

    for who in ("ben", "cleo", "dan", "eve", "finn", "gus", "hana"):
        assert log_in(world.people[who]).get(reverse("settings:overview")).status_code == 200
        assert log_in(world.people[who]).post(reverse("settings:overview"), wanted).status_code == 403
    assert organisation.get().name == "Larch"
    log_in(world.ada).post(reverse("settings:overview"), wanted)
    changed = organisation.get()
    assert (changed.name, changed.currency, changed.zone, changed.fiscal_start) == (
        "Larch & Co",
        "EUR",
        "Europe/Berlin",
        4,
    )


def test_the_limit_of_the_unallocated_share_is_a_setting_with_a_trace(world: World) -> None:
    company = organisation.make(actor=MACHINE, name="Larch")
    form = {"name": "Larch", "currency": "USD", "zone": "UTC", "fiscal_start": "1"}
    address = reverse("settings:overview")
    assert 'value="3"' in log_in(world.ada).get(address).content.decode()
    assert log_in(world.ada).post(address, {**form, "unallocated_limit": "2.5"}).status_code == 302
    assert unallocated_limit() == Decimal("0.025")
    assert AuditEvent.objects.get(verb="changed setting").data["after"] == "0.025"
    log_in(world.ada).post(address, form)
    assert unallocated_limit() == Decimal("0.025"), "an empty field leaves the limit as it is"
    for nonsense in ("-1", "101", "NaN", "1e3"):
        assert log_in(world.ada).post(address, {**form, "unallocated_limit": nonsense}).status_code == 400, nonsense
    assert company.pk == organisation.get().pk


def test_days_off_are_named_in_the_settings_and_nonsense_is_refused_in_words(world: World) -> None:
    organisation.make(actor=MACHINE, name="Larch")
    form = {"name": "Larch", "currency": "USD", "zone": "UTC", "fiscal_start": "1"}
    address = reverse("settings:overview")

    assert log_in(world.ada).post(address, {**form, "days_off": "2026-12-28, 2026-12-25"}).status_code == 302
    assert days_off() == {date(2026, 12, 25), date(2026, 12, 28)}
    assert AuditEvent.objects.get(verb="changed setting").data["after"] == ["2026-12-25", "2026-12-28"]
    assert "2026-12-25 2026-12-28" in log_in(world.ada).get(address).content.decode()
    refused = log_in(world.ada).post(address, {**form, "days_off": "2026-12-25 25.12.2026"})
    assert (refused.status_code, "&#x27;25.12.2026&#x27; is no day." in refused.content.decode()) == (400, True)
    assert days_off() == {date(2026, 12, 25), date(2026, 12, 28)}


def test_a_token_is_shown_once_on_the_page_that_makes_it(world: World) -> None:
    cleo = log_in(world.cleo)
    form = {"name": "Nightly", "scopes": ["read"], "valid_days": "90"}

    first = cleo.post(reverse("tokens:list"), form).content.decode()
    again = cleo.get(reverse("tokens:list")).content.decode()

    plain = re.search(r'value="(tg_[^"]+)"', first).group(1)  # type: ignore[union-attr]
    assert plain not in again
    token = ApiToken.objects.get(person=world.cleo)
    assert token.prefix in again
    cleo.post(reverse("tokens:revoke", args=[token.pk]))
    assert not ApiToken.objects.usable().exists()


def test_a_foreign_token_does_not_exist(world: World) -> None:
    token, _ = accounts.create_token(actor=actor(world.cleo), name="x", scopes=["read"], valid_days=1)

    assert log_in(world.dan).post(reverse("tokens:revoke", args=[token.pk])).status_code == 404
    assert log_in(world.eve).get(reverse("tokens:list")).status_code == 403
    log_in(world.finn).post(reverse("tokens:revoke", args=[token.pk]))
    assert ApiToken.objects.usable().exists()


def test_a_move_of_a_cost_centre_waits_for_another_administrator_and_a_new_name_does_not(world: World) -> None:
    give(world.eve, Role.ADMINISTRATOR, by=world.ada)
    address = reverse("cost_centres:detail", args=[world.care.pk])
    move = {"code": "CARE", "name": "Customer care", "parent": world.legal.pk, "reason": "It answers to Legal now"}

    page = log_in(world.ada).post(address, move, follow=True).content.decode()

    assert "It counts once somebody else has confirmed it" in page
    world.care.refresh_from_db()
    assert (world.care.name, world.care.parent) == ("Customer care", world.operations)
    assert "Move it below Legal" in log_in(world.eve).get(address).content.decode()

"""The first visit: an empty database leads everybody to the wizard, and only its owner through it."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.core import mail
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Page

from apps.accounts import setup
from apps.accounts.models import Account, Person, Role, RoleGrant
from apps.core import organisation
from apps.core.models import AuditEvent
from tests.world import MACHINE, PASSWORD, World, log_in

LARCH = {"name": "Larch & Co", "currency": "EUR", "zone": "Europe/Berlin", "fiscal_start": "4"}
ADA = {"name": "Ada Moss", "email": "ada@example.com", "password1": PASSWORD, "password2": PASSWORD}


@pytest.fixture(autouse=True)
def own_folder(settings: Any, tmp_path: Path) -> None:
    settings.TOLLGATE_HOME = tmp_path
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"


def start(client: Client) -> Client:
    client.post(reverse("setup:organisation"), LARCH)
    client.post(reverse("setup:administrator"), ADA)
    return client


@pytest.mark.parametrize("path", ["/", "/search/", "/accounts/login/", "/settings/", "/nowhere/", "/invitations/x/"])
def test_an_empty_database_leads_everybody_to_the_wizard(db: None, path: str) -> None:
    assert Client().get(path)["Location"] == "/setup/"


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_probes_are_answered_before_anybody_is_here(db: None, path: str) -> None:
    assert Client().get(path).status_code == 200


def test_the_wizard_makes_organisation_administrator_and_second_person(db: None) -> None:
    client = Client()

    assert client.post(reverse("setup:organisation"), LARCH)["Location"] == reverse("setup:administrator")
    assert client.post(reverse("setup:administrator"), ADA)["Location"] == reverse("setup:second-person")
    second = {"name": "Ben Okoro", "email": "ben@example.com", "role": "administrator"}
    assert client.post(reverse("setup:second-person"), second)["Location"] == reverse("setup:first-file")

    made = organisation.get()
    assert (made.name, made.currency, made.zone, made.fiscal_start) == ("Larch & Co", "EUR", "Europe/Berlin", 4)
    assert RoleGrant.objects.get(person__email="ada@example.com").role == Role.ADMINISTRATOR
    assert RoleGrant.objects.get(person__email="ben@example.com").granted_by == Person.objects.get(
        email="ada@example.com"
    )
    assert mail.outbox[0].to == ["ben@example.com"]
    assert client.get(reverse("setup:first-file")).status_code == 200
    assert client.get("/").status_code == 200


def test_going_on_alone_takes_a_reason_that_stays_on_record(db: None) -> None:
    client = start(Client())

    assert client.post(reverse("setup:skip"), {"reason": " "}).status_code == 400
    client.post(reverse("setup:skip"), {"reason": "My colleague starts in May"})

    assert AuditEvent.objects.get(verb="skipped second person").data == {"reason": "My colleague starts in May"}


def test_an_organisation_that_a_command_made_is_renamed_by_the_wizard(db: None) -> None:
    organisation.make(actor=MACHINE, name=organisation.DEFAULT_NAME)
    assert organisation.DEFAULT_NAME not in re.findall(r'value="([^"]*)"', Client().get("/setup/").content.decode())

    start(Client())

    assert organisation.get().name == "Larch & Co"


def test_after_the_first_account_the_wizard_is_closed_to_everybody(world: World) -> None:
    for client in (Client(), log_in(world.ada)):
        for name in ("setup:organisation", "setup:administrator"):
            assert client.get(reverse(name)).status_code == 409
            assert client.post(reverse(name), ADA | LARCH).status_code == 409
    assert Account.objects.count() == 8


def test_only_administrators_reach_the_later_steps(world: World) -> None:
    for name in ("setup:second-person", "setup:first-file"):
        assert log_in(world.eve).get(reverse(name)).status_code == 403
        assert Client().get(reverse(name))["Location"].startswith(reverse("account_login"))
    assert log_in(world.eve).post(reverse("setup:skip"), {"reason": "x"}).status_code == 403


@pytest.mark.parametrize(
    "form",
    [
        ADA | {"password2": "another one entirely"},
        ADA | {"password1": "short", "password2": "short"},
        ADA | {"email": "nonsense"},
        ADA | {"name": " "},
        {},
    ],
)
def test_a_first_administrator_who_cannot_be_is_told_why(db: None, form: dict[str, str]) -> None:
    client = Client()
    client.post(reverse("setup:organisation"), LARCH)

    answer = client.post(reverse("setup:administrator"), form)

    assert answer.status_code == 400
    assert "Please look at this first" in answer.content.decode()
    assert not Account.objects.exists()


@pytest.mark.parametrize("wrong", [{"currency": "XXX"}, {"zone": "Mars/Olympus"}, {"name": ""}, {"fiscal_start": "13"}])
def test_an_organisation_that_cannot_be_is_told_why(db: None, wrong: dict[str, str]) -> None:
    assert Client().post(reverse("setup:organisation"), LARCH | wrong).status_code == 400
    assert organisation.find() is None


# --- Strangers --------------------------------------------------------------------------------------------------------

FAR = "198.51.100.7"


@pytest.mark.parametrize(
    "client", [Client(REMOTE_ADDR=FAR), Client(HTTP_X_FORWARDED_FOR=FAR), Client(HTTP_FORWARDED=f"for={FAR}")]
)
def test_a_stranger_is_asked_for_the_code_and_cannot_pass_it_by(db: None, client: Client) -> None:
    assert "Set-up code" in client.get(reverse("setup:organisation")).content.decode()

    client.post(reverse("setup:organisation"), LARCH)
    client.post(reverse("setup:administrator"), ADA)

    assert organisation.find() is None
    assert not Account.objects.exists()


def test_loopback_is_not_trusted_when_others_can_reach_the_port(db: None, settings: Any) -> None:
    settings.TOLLGATE_BIND = "0.0.0.0"  # noqa: S104

    assert "Set-up code" in Client().get(reverse("setup:organisation")).content.decode()


def test_the_code_opens_the_wizard_once_and_is_kept_for_its_owner_only(db: None, tmp_path: Path) -> None:
    code = setup.setup_code()
    assert code == setup.setup_code()
    assert re.fullmatch(r"[a-z2-9]{4}-[a-z2-9]{4}-[a-z2-9]{4}", code)
    assert (tmp_path / "setup-code").stat().st_mode & 0o777 == 0o600
    stranger = Client(REMOTE_ADDR=FAR)

    assert stranger.post(reverse("setup:organisation"), {"code": "aaaa-aaaa-aaaa"}).status_code == 400
    stranger.post(reverse("setup:organisation"), {"code": f" {code.upper()} "})
    start(stranger)

    assert Account.objects.get().email == "ada@example.com"
    assert not (tmp_path / "setup-code").exists()


# --- In a browser -----------------------------------------------------------------------------------------------------


def test_from_nothing_to_the_first_file_in_four_clicks(transactional_db: None, page: Page) -> None:
    page.goto("/")
    page.get_by_label("Name of the organisation").fill("Larch & Co")
    page.get_by_role("button", name="Go on").click()
    page.get_by_label("Your name").fill("Ada Moss")
    page.get_by_label("Your e-mail").fill("ada@example.com")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("The same again").fill(PASSWORD)
    page.get_by_role("button", name="Go on").click()
    page.get_by_label("Why not now?").fill("My colleague starts in May")
    page.get_by_role("button", name="Go on alone for now").click()

    page.get_by_role("link", name="Bring in a file").click()

    assert page.get_by_role("heading", level=1).is_visible()
    assert organisation.get().name == "Larch & Co"

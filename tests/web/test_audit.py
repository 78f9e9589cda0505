"""The audit page: auditors read everything, everybody reads what they did, and a downloaded file proves itself."""

import re
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from apps.accounts import services as accounts
from apps.accounts.models import Role
from apps.core import audit
from apps.core.models import AuditEvent
from tests.world import MACHINE, World, actor, log_in, make_world


def deeds(client: Client, query: str = "") -> list[str]:
    html = client.get(reverse("audit:list") + query).content.decode()
    return [text.strip() for text in re.findall(r'data-label="Deed">([^<]*)<', html)]


def do_things(world: World) -> None:
    accounts.grant_role(actor=actor(world.ada), person=world.eve, role=Role.REVIEWER, cost_centre=world.care)
    accounts.save_view(actor=actor(world.eve), page="p", name="Mine", query="")
    accounts.make_cost_centre(actor=MACHINE, code="T2", name="Second line", parent=world.care)


def test_auditors_read_everything_and_others_only_what_they_did(world: World) -> None:
    do_things(world)

    everything = ["made cost centre", "saved view", "granted role"]
    assert deeds(log_in(world.finn)) == everything
    assert deeds(log_in(world.ada)) == everything
    assert deeds(log_in(world.eve)) == ["saved view"]
    assert deeds(log_in(world.cleo)) == []
    assert Client().get(reverse("audit:list"))["Location"].startswith(reverse("account_login"))


def test_nobody_reaches_the_deeds_of_others_by_the_address(world: World) -> None:
    do_things(world)
    eve = log_in(world.eve)

    assert deeds(eve, f"?person={world.ada.pk}") == ["saved view"]
    assert deeds(eve, "?verb=granted+role") == ["saved view"]
    csv = eve.get(reverse("audit:list") + "?format=csv").content.decode()
    assert "granted role" not in csv


def test_filters_stand_in_the_address(world: World) -> None:
    do_things(world)
    finn = log_in(world.finn)
    yesterday, today = (f"{timezone.now() - timedelta(days=back):%Y-%m-%d}" for back in (1, 0))

    assert deeds(finn, f"?person={world.eve.pk}") == ["saved view"]
    assert deeds(finn, "?verb=made+cost+centre") == ["made cost centre"]
    assert deeds(finn, "?subject=accounts.rolegrant") == ["granted role"]
    assert deeds(finn, f"?until={yesterday}") == []
    assert len(deeds(finn, f"?since={yesterday}&until={today}")) == 3


@pytest.mark.parametrize(
    "query",
    [
        "?person=0",
        "?person=x",
        "?verb=nothing",
        "?since=yesterday",
        "?until=9999-12-31",
        "?since=0001-01-01",
        "?page=1000000000",
        "?page=-1",
    ],
)
def test_nonsense_in_the_address_is_said_and_shows_a_page(world: World, query: str) -> None:
    do_things(world)

    assert log_in(world.finn).get(reverse("audit:list") + query).status_code == 200


def test_an_event_says_in_words_what_changed(world: World) -> None:
    accounts.rename_cost_centre(actor=actor(world.ada), centre=world.care, code="CARE", name="Customer care")

    html = log_in(world.finn).get(reverse("audit:list")).content.decode()

    assert "<dt>before.name</dt><dd>Care</dd>" in html
    assert "<dt>after.name</dt><dd>Customer care</dd>" in html
    assert f'Customer care <span class="tg-meta">cost centre {world.care.pk}</span>' in html


def test_what_people_typed_is_text_in_the_page_and_in_the_file(world: World) -> None:
    accounts.save_view(actor=actor(world.eve), page="=HYPERLINK(1)", name="<img src=x>", query="")
    finn = log_in(world.finn)

    assert "<img src=x>" not in finn.get(reverse("audit:list")).content.decode()
    csv = finn.get(reverse("audit:list") + "?format=csv").content.decode()
    assert not re.search(r"(^|,)\"?=", csv, re.MULTILINE)


def test_the_page_shows_the_chain_and_proves_it_on_request(transactional_db: None) -> None:
    world = make_world()
    do_things(world)
    finn = log_in(world.finn)
    assert "newest waiting" in finn.get(reverse("audit:list")).content.decode()

    assert "The chain holds: all 3 sealed events" in finn.post(reverse("audit:prove"), follow=True).content.decode()

    tamper("UPDATE core_audit_event SET verb = 'nothing' WHERE verb = 'saved view'")
    assert "The chain does not hold at event" in finn.post(reverse("audit:prove"), follow=True).content.decode()
    assert log_in(world.eve).post(reverse("audit:prove")).status_code == 403


def tamper(sql: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(sql)


def test_a_downloaded_file_is_vouched_for_by_the_chain(transactional_db: None, tmp_path: Path) -> None:
    world = make_world()
    do_things(world)
    audit.seal()
    answer = log_in(world.finn).get(reverse("audit:list") + "?format=csv")
    file = tmp_path / "audit.csv"
    file.write_bytes(answer.content)
    audit.seal()

    said = StringIO()
    call_command("audit", "verify", "--export", str(file), stdout=said)

    assert said.getvalue().startswith("The chain holds: 4 events")
    assert len(answer.content.decode().splitlines()) == 4
    assert AuditEvent.objects.latest("id").data["rows"] == 3
    file.write_bytes(answer.content.replace(b"saved view", b"sawed view"))
    with pytest.raises(CommandError, match="not as it was downloaded"):
        call_command("audit", "verify", "--export", str(file), stdout=StringIO())


def test_the_number_of_queries_does_not_grow_with_the_number_of_events(world: World) -> None:
    finn = log_in(world.finn)
    do_things(world)
    finn.get(reverse("audit:list"))
    with CaptureQueriesContext(connection) as few:
        finn.get(reverse("audit:list"))
    for number in range(40):
        accounts.save_view(actor=actor(world.eve), page="p", name=f"v{number}", query="")
    with CaptureQueriesContext(connection) as many:
        finn.get(reverse("audit:list"))

    assert len(many) == len(few)


def test_an_erased_name_is_gone_from_the_trail_and_the_deeds_stay(world: World) -> None:
    do_things(world)
    accounts.deactivate_person(actor=actor(world.ada), person=world.eve)
    accounts.erase_person(actor=actor(world.ada), person=world.eve)

    html = log_in(world.finn).get(reverse("audit:list") + "?verb=saved+view").content.decode()

    assert f"Erased person {world.eve.pk}" in html
    assert "Eve Stone" not in html

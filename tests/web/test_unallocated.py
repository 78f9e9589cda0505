"""The workbench for what nobody claims."""

import csv
import io
import re
from typing import Any

import pytest

from apps.costs.models import DirtyDay
from apps.usage.models import Identity
from apps.workloads.models import Binding, Workload
from tests.books import (
    add_hour,
    at,
    make_identity,
    make_offering,
    make_pull,
    make_series,
    make_source,
    make_workload,
    prices,
    rate_all,
)
from tests.world import World, log_in

pytestmark = pytest.mark.django_db
MONTH = "month=2026-10"


@pytest.fixture
def email(world: World) -> Workload:
    return make_workload("Growth e-mail", world)


@pytest.fixture
def keys(world: World, email: Workload) -> dict[str, Identity]:
    """team-growth-exp costs 5.00, proj_scratch 1.00, both nobody's; an unpriced one besides."""
    offering, unknown, source = make_offering("own", "plain"), make_offering("own", "mystery"), make_source("LiteLLM")
    prices(offering, input="1000", output="1000")
    pull = make_pull(source)
    found = {}
    for key, tokens, model in (
        ("team-growth-exp", 5000, offering), ("proj_scratch", 1000, offering), ("dark", 700, unknown)
    ):  # fmt: skip
        found[key] = make_identity(source, key)
        series = make_series(pull, found[key], model)
        add_hour(pull, series, at(2), requests=1, input=tokens)
    rate_all()
    return found


def test_most_money_comes_first_with_a_guess_and_its_grounds(keys: Any, world: World) -> None:
    page = log_in(world.cleo).get(f"/unallocated/?{MONTH}").content.decode()
    assert page.index("team-growth-exp") < page.index("proj_scratch") < page.index(">dark<")
    for words in (
        "All 3 keys",
        "$6.00",
        "$5.00",
        "83.3%",
        "Growth e-mail",
        "strong",
        "Register what it is",
        "unpriced",
    ):
        assert words in page, words


def test_a_key_is_bound_in_one_click_after_the_preview(
    keys: dict[str, Identity], email: Workload, world: World
) -> None:
    client, address = log_in(world.cleo), f"/unallocated/{keys['team-growth-exp'].pk}/bind/?{MONTH}"
    page = client.get(address).content.decode()
    assert "What this moves, October 2026" in page
    assert "Bind $5.00" in page
    assert not Binding.objects.exists()
    answer = client.post(address, {"workload": email.slug, "first_day": "2026-10-01", "last_day": ""})
    assert answer.status_code == 302
    assert Binding.objects.get().valid_from == at(1)
    assert DirtyDay.objects.get().day.isoformat() == "2026-10-02"
    rate_all()
    assert "All 2 keys" in client.get(f"/unallocated/?{MONTH}").content.decode()


def test_words_that_fit_several_workloads_are_asked_back_and_one_is_taken(
    keys: dict[str, Identity], email: Workload, world: World
) -> None:
    make_workload("Growth radar", world)
    client, address = log_in(world.cleo), f"/unallocated/{keys['proj_scratch'].pk}/bind/?{MONTH}"
    several = client.get(f"{address}&workload=growth").content.decode()
    assert "Several workloads fit" in several
    assert f'name="workload" value="{email.slug}">Growth e-mail</button>' in several
    for words in ("growth e-m", "Growth e-mail", f"WL-{email.pk}", f"Growth e-mail · WL-{email.pk:03d}", email.slug):
        page = client.get(address, {"workload": words, "month": "2026-10"}).content.decode()
        assert f'value="Growth e-mail · WL-{email.pk:03d}"' in page, words
        assert "What this moves" in page, words
    assert "No workload has such a name" in client.get(f"{address}&workload=zzz").content.decode()


def test_the_list_that_the_browser_completes_from_follows_what_is_written(email: Workload, world: World) -> None:
    make_workload("Mail sorting", world)
    options = log_in(world.cleo).get("/unallocated/workloads/", {"workload": "mail"}).content.decode()
    names = re.findall(r'value="(.+?) · WL', options)
    assert names == ["Mail sorting", "Growth e-mail"]
    assert log_in(world.dan).get("/unallocated/workloads/?workload=mail").status_code == 403


def test_the_part_of_the_panel_is_the_same_as_on_the_page(keys: dict[str, Identity], world: World) -> None:
    address = f"/unallocated/{keys['team-growth-exp'].pk}/bind/?{MONTH}"
    part = log_in(world.cleo).get(address, headers={"HX-Request": "true"}).content.decode()
    assert "Bind $5.00" in part
    assert "<html" not in part


def test_a_tie_is_said_in_the_panel(keys: dict[str, Identity], email: Workload, world: World) -> None:
    client, key = log_in(world.cleo), keys["team-growth-exp"]
    chosen = {"workload": email.slug, "first_day": "2026-10-01"}
    client.post(f"/unallocated/{key.pk}/bind/?{MONTH}", chosen)
    again = client.post(f"/unallocated/{key.pk}/bind/?{MONTH}", chosen)
    assert again.status_code == 422
    assert "is bound to Growth e-mail already" in again.content.decode()


def test_registering_from_a_key_fills_the_name_in_and_offers_to_bind(keys: dict[str, Identity], world: World) -> None:
    client, key = log_in(world.cleo), keys["proj_scratch"]
    form = client.get(f"/workloads/new/?identity={key.pk}")["Location"]
    page = client.get(form).content.decode()
    assert 'value="Proj scratch"' in page
    client.post(form, {"name": "Scratch", "identity": str(key.pk)})
    draft = Workload.objects.get(name="Scratch")
    assert draft.registered_for == {"source_id": key.source_id, "pairs": key.pairs}
    # Whoever may not see the keys cannot name one either.
    form = log_in(world.eve).get(f"/workloads/new/?identity={key.pk}")["Location"]
    log_in(world.eve).post(form, {"name": "Sneaky", "identity": str(key.pk)})
    assert Workload.objects.get(name="Sneaky").registered_for is None


def test_filters_and_files(keys: dict[str, Identity], world: World) -> None:
    client = log_in(world.cleo)

    def names(query: str) -> list[str]:
        answer = client.get(f"/unallocated/?{MONTH}&{query}&format=csv")
        return [row[0] for row in csv.reader(io.StringIO(b"".join(answer.streaming_content).decode()))][1:-1]

    assert names("") == ["team-growth-exp", "proj_scratch", "dark"]
    assert names("sort=key") == ["dark", "proj_scratch", "team-growth-exp"]
    assert names("q=scratch") == ["proj_scratch"]
    assert names("q=%25") == []
    assert names(f"source={keys['dark'].source_id}&q=dark") == ["dark"]
    assert names("source=999999") == []
    assert client.get(f"/unallocated/?{MONTH}&format=xlsx").status_code == 200


def test_it_is_empty_with_a_word_and_not_with_a_blank_page(world: World) -> None:
    assert "Everything is claimed" in log_in(world.cleo).get(f"/unallocated/?{MONTH}").content.decode()


def test_who_may_see_and_who_may_bind(keys: dict[str, Identity], email: Workload, world: World) -> None:
    pk = keys["dark"].pk
    may_see = {name for name, p in world.people.items() if log_in(p).get("/unallocated/").status_code == 200}
    assert may_see == {"cleo", "finn", "ada"}
    assert log_in(world.finn).get(f"/unallocated/{pk}/bind/").status_code == 403
    assert log_in(world.finn).post(f"/unallocated/{pk}/bind/", {"workload": email.slug}).status_code == 403
    assert log_in(world.dan).get(f"/unallocated/{pk}/bind/").status_code == 404
    assert log_in(world.cleo).get("/unallocated/999999999/bind/").status_code == 404
    assert not Binding.objects.exists()


def test_queries_do_not_grow_with_the_number_of_keys(
    keys: dict[str, Identity], world: World, django_assert_max_num_queries: Any, django_assert_num_queries: Any
) -> None:
    client = log_in(world.cleo)
    client.get(f"/unallocated/?{MONTH}")
    with django_assert_max_num_queries(40) as few:
        client.get(f"/unallocated/?{MONTH}")
    queries = len(few)
    source = keys["dark"].source
    pull = make_pull(source, "more.csv")
    for number in range(20):
        series = make_series(pull, make_identity(source, f"more-{number}"), make_offering("own", "plain"))
        add_hour(pull, series, at(4), requests=1, input=10)
    rate_all()
    client.get(f"/unallocated/?{MONTH}")  # new usage: what guesses are made from is read again, once
    with django_assert_num_queries(queries):
        client.get(f"/unallocated/?{MONTH}")

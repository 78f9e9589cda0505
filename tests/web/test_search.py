"""Search finds what a person may see, also with a slip of the finger."""

import pytest

from apps.web.hooks import Found
from apps.web.search import closest
from apps.workloads.models import Workload
from tests.web.company import Company, make_company
from tests.world import World, log_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def company(world: World) -> Company:
    return make_company(world)


def found(person: object, words: str) -> dict[str, list[str]]:
    answer = log_in(person).get("/search/", {"q": words})  # type: ignore[arg-type]
    assert answer.status_code == 200
    return {group.title: [entry.label for entry in group.found] for group in answer.context["groups"]}


@pytest.mark.parametrize("words", ["summaries", "SUMMA", "sumaries", "sumarries", "summareis"])
def test_a_workload_is_found_by_name_and_by_a_name_typed_wrong(company: Company, world: World, words: str) -> None:
    assert found(world.eve, words)["Workloads"] == ["Summaries"]


def test_people_and_models_are_found_by_those_who_may_see_them(company: Company, world: World) -> None:
    assert found(world.ada, "gus lnid")["People"] == ["Gus Lind"]
    assert "People" not in found(world.eve, "gus lind")
    assert found(world.ada, "dolar")["Models"] == ["dollar"]
    assert "Models" not in found(world.eve, "dollar")


def test_pages_and_actions_are_found_too(company: Company, world: World) -> None:
    assert found(world.ada, "full cost")["Pages"] == ["Full cost"]
    assert found(world.ada, "invite")["Actions"] == ["Invite a person"]
    assert "Actions" not in found(world.eve, "invite")


def test_a_foreign_draft_is_not_found(company: Company, world: World) -> None:
    Workload.objects.create(slug="secret", name="Secret plan", created_by=world.ben)
    assert "Workloads" not in found(world.eve, "secret plan")
    assert "Workloads" not in found(world.eve, "secrte plan")
    assert found(world.ben, "secrte plan")["Workloads"] == ["Secret plan"]


@pytest.mark.parametrize("words", ["", " ", "%", "_", "'; DROP TABLE", "x" * 5000, "zzzzqqqq", "１２３"])
def test_any_text_may_be_typed(company: Company, world: World, words: str) -> None:
    assert isinstance(found(world.ada, words), dict)


def test_three_letters_say_too_little_for_a_guess() -> None:
    pool = [Found("Summaries", "/")]
    assert closest("sum", pool) == []
    assert closest("sumaries", pool) == pool
    assert closest("entirely else", pool) == []

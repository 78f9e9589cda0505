"""Two who sign or decide in the same instant, on the real database."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from apps.core.errors import TollgateError
from apps.reviews.models import Disposition, Item, Pack
from tests.reviews.meeting import Meeting, make_meeting
from tests.world import World

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def meeting(transactional_db: None, world: World) -> Meeting:
    return make_meeting(world)


def at_once(*deeds: Callable[[], Any]) -> list[Any]:
    """Each in a thread of its own, let go together; a refusal is an answer too."""
    answers: list[Any] = [None] * len(deeds)
    gate = threading.Barrier(len(deeds))

    def run(number: int) -> None:
        gate.wait()
        try:
            answers[number] = deeds[number]()
        except TollgateError as error:
            answers[number] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[number]) for number in range(len(deeds))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    return answers


def test_two_reviewers_sign_at_once_and_one_pack_comes_of_it(meeting: Meeting) -> None:
    cycle = meeting.open()
    meeting.decide_all(cycle)
    cycle.refresh_from_db()

    answers = at_once(*(lambda by=by: meeting.sign(cycle, by=by) for by in (meeting.nora, meeting.olaf)))

    assert sorted(type(answer).__name__ for answer in answers) == ["Conflict", "Pack"]
    assert Pack.objects.count() == 1


def test_two_facilitators_decide_at_once_and_the_second_is_told(meeting: Meeting) -> None:
    item = meeting.item(meeting.open(), "stop")

    answers = at_once(
        lambda: meeting.decide(item, "continue", by=meeting.nora, version=1),
        lambda: meeting.decide(item, "suspend", by=meeting.olaf, version=1),
    )

    assert sorted(type(answer).__name__ for answer in answers) == ["Disposition", "StaleItem"]
    assert Disposition.objects.count() == 1


def test_a_double_click_is_one_decision(meeting: Meeting) -> None:
    item = meeting.item(meeting.open(), "stop")

    answers = at_once(*([lambda: meeting.decide(item, "suspend", key="one-and-the-same", version=1)] * 4))

    assert len({answer.pk for answer in answers}) == 1
    assert Item.objects.get(pk=item.pk).version == 2


def test_opening_at_once_makes_one_review(meeting: Meeting) -> None:
    answers = at_once(*([meeting.open] * 4))

    assert len({answer.pk for answer in answers}) == 1
    assert answers[0].items.count() == 2

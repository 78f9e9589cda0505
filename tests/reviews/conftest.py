"""What the tests of the review ask for."""

import pytest

from tests.reviews.meeting import Meeting, make_meeting
from tests.world import World


@pytest.fixture
def meeting(world: World) -> Meeting:
    return make_meeting(world)

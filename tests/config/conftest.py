from collections.abc import Iterator

import pytest

from tests.config.tollgate import Tollgate


@pytest.fixture
def tollgate() -> Iterator[Tollgate]:
    made = Tollgate()
    yield made
    made.clear_up()

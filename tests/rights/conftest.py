"""One company for all tests of this folder, made once and rolled back in the end."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction

from tests.rights.cast import Cast, make_cast


@pytest.fixture(scope="package")
def made_cast(django_db_setup: None, django_db_blocker: Any) -> Iterator[Cast]:
    with django_db_blocker.unblock(), transaction.atomic():
        yield make_cast()
        transaction.set_rollback(True)


@pytest.fixture
def cast(made_cast: Cast, db: None) -> Cast:
    """The company; whatever a test changes is taken back, since `db` opens a savepoint in the company's transaction."""
    return made_cast

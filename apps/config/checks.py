"""What `manage.py check --deploy` asks of the database: that the application is not its own owner."""

from typing import Any

from django.core.checks import CheckMessage, Error, Tags, register
from django.core.checks import Warning as Concern
from django.db import OperationalError

from apps.config import database, embedded, roles

ONE_ROLE = Error(
    "Tollgate runs as the owner of its tables: nothing but Tollgate itself protects signed months and the audit trail.",
    hint="Give DATABASE_URL a role of its own, and name the owner's in DATABASE_OWNER_URL (docs/configuration.md).",
    id="tollgate.E001",
)


@register(Tags.security, deploy=True)
def two_roles(**_: Any) -> list[CheckMessage]:
    """The embedded database always has two; nothing is started to ask it."""
    if embedded.database_is_embedded():
        return []
    if database.app_role() == database.owner_role():
        return [ONE_ROLE]
    try:
        found = roles.faults()
    except OperationalError as error:
        said = database.reason(error)
        return [Concern(f"{database.where()} cannot be asked for its roles: {said}", id="tollgate.W001")]
    return [Error(f"In {database.where()} {fault}.", hint=ONE_ROLE.hint, id="tollgate.E002") for fault in found]

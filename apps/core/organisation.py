"""The one organisation: read everywhere, made with defaults when a command needs it before the wizard ran."""

from zoneinfo import ZoneInfo, available_timezones

from django.db import transaction

from apps.core import audit
from apps.core.actor import Actor
from apps.core.errors import BadInput
from apps.core.models import Organisation

DEFAULT_NAME = "My organisation"


def find() -> Organisation | None:
    """The organisation, or None where the wizard has not run and no command has needed one."""
    return Organisation.objects.first()


def get() -> Organisation:
    """The organisation; made with defaults (USD, UTC) when there is none."""
    return find() or make(actor=Actor.system("first use"), name=DEFAULT_NAME)


def zone() -> ZoneInfo:
    return ZoneInfo(get().zone)


@transaction.atomic
def make(*, actor: Actor, name: str, currency: str = "USD", zone: str = "UTC", fiscal_start: int = 1) -> Organisation:
    """Make the organisation; the second of two makers gets the first one's."""
    _check(currency=currency, zone=zone)
    values = {"name": name, "currency": currency, "zone": zone, "fiscal_start": fiscal_start}
    organisation, made = Organisation.objects.get_or_create(only=True, defaults=values)
    if made:
        audit.record(actor=actor, verb="made organisation", subject=organisation, data=values)
    return organisation


@transaction.atomic
def change(
    *, actor: Actor, name: str, currency: str, zone: str, fiscal_start: int, usage_is_loaded: bool
) -> Organisation:
    """Rename, or choose currency and zone; those two are fixed once usage is loaded, since months hang on them."""
    _check(currency=currency, zone=zone)
    organisation = Organisation.objects.select_for_update().get()
    before = {"name": organisation.name, "currency": organisation.currency, "zone": organisation.zone}
    if usage_is_loaded and (currency, zone) != (organisation.currency, organisation.zone):
        raise BadInput(
            f"Currency {organisation.currency} and zone {organisation.zone} are fixed, because usage is loaded.",
            hint="Every month and every amount hangs on them; start an empty database for another zone.",
        )
    organisation.name, organisation.currency, organisation.zone = name, currency, zone
    organisation.fiscal_start = fiscal_start
    organisation.save()
    after = {"name": name, "currency": currency, "zone": zone, "fiscal_start": fiscal_start}
    audit.record(
        actor=actor, verb="changed organisation", subject=organisation, data={"before": before, "after": after}
    )
    return organisation


@transaction.atomic
def set_setting(*, actor: Actor, name: str, value: str | list[str]) -> Organisation:
    """Keep a choice of the organisation's under a name; what it means, and who may choose, is its feature's to say."""
    organisation = Organisation.objects.select_for_update().get()
    before = organisation.settings.get(name)
    if before != value:
        organisation.settings[name] = value
        organisation.save(update_fields=("settings",))
        data = {"setting": name, "before": before, "after": value}
        audit.record(actor=actor, verb="changed setting", subject=organisation, data=data)
    return organisation


def _check(*, currency: str, zone: str) -> None:
    if len(currency) != 3 or not currency.isascii() or not currency.isalpha() or not currency.isupper():
        raise BadInput(f"'{currency}' is no currency code.", hint="Use three capital letters of ISO 4217, such as USD.")
    if zone not in available_timezones():
        raise BadInput(f"'{zone}' is no time zone.", hint="Use a name such as Europe/Berlin or UTC.")

"""Days that people write: those of the calendar, each with a day after it and a midnight in every zone."""

import pytest
from django import forms
from django.test import Client
from django.urls import reverse

from apps.accounts.models import RoleGrant
from apps.core import organisation
from apps.web.forms import DayField
from tests.rights.test_forged import every_form
from tests.world import MACHINE, World, log_in

TOO_FAR = ["0001-01-01", "9999-12-31"]


def test_every_form_asks_for_days_of_the_calendar() -> None:
    Client()  # loads the URL conf, and with it all forms
    reverse("home")
    asked = {
        f"{form.__module__}.{form.__qualname__}.{name}": field
        for form in every_form()
        for name, field in getattr(form, "base_fields", {}).items()
        if isinstance(field, forms.DateField)
    }
    assert len(asked) >= 15
    assert [name for name, field in asked.items() if not isinstance(field, DayField)] == []


@pytest.mark.parametrize("day", TOO_FAR)
def test_a_day_outside_the_calendar_is_refused_in_words(day: str) -> None:
    with pytest.raises(forms.ValidationError, match="Choose a day from 2015 to 2099"):
        DayField().clean(day)


@pytest.mark.django_db
@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago"])
@pytest.mark.parametrize("day", TOO_FAR)
def test_no_page_breaks_at_the_ends_of_time(world: World, zone: str, day: str) -> None:
    organisation.make(actor=MACHINE, name="Larch", zone=zone)
    ada = log_in(world.ada)
    assert ada.get(f"/audit/?since={day}&until={day}").status_code == 200
    granted = ada.post(
        reverse("people:grant", args=[world.eve.pk]), {"role": "reviewer", "first_day": day, "last_day": day}
    )
    assert granted.status_code == 400
    assert granted.content.decode().count("Choose a day from 2015 to 2099.") >= 2
    assert not RoleGrant.objects.filter(person=world.eve).exists()

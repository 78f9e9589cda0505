"""Forms about sources; what a kind needs beyond this stands in its connector."""

from datetime import datetime
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.utils import timezone

from apps.core.actor import Actor
from apps.sources.connector import Connector
from apps.sources.models import Measure, Source, SourceRole
from apps.web.forms import DayField, midnight
from apps.workloads.models import Workload

EVERY = [
    ("", "every minute"),
    ("5", "every 5 minutes"),
    ("15", "every 15 minutes"),
    ("60", "every hour"),
    ("360", "every 6 hours"),
    ("1440", "every day"),
]


class SourceForm(forms.Form):
    """Name, zone and, for what is pulled, the schedule; for what may bring bills, what of them is AI."""

    name = forms.CharField(label="Name", max_length=120)
    zone = forms.ChoiceField(label="Times without a zone are in", initial="UTC")
    pull_every_minutes = forms.TypedChoiceField(
        label="Look for something new", choices=EVERY, required=False, coerce=int, empty_value=None
    )

    service_categories = forms.CharField(
        label="Of its bills, AI is also",
        max_length=2000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=(
            "Service categories, one a line, beside 'AI and Machine Learning'. They hold for what is read from now on; "
            "read a bill again for what is here already."
        ),
    )

    def __init__(self, *args: Any, has_schedule: bool, has_bills: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        zones = sorted(available_timezones(), key=lambda zone: (zone != "UTC", zone))
        self.fields["zone"] = forms.ChoiceField(
            label="Times without a zone are in", choices=[(zone, zone) for zone in zones], initial="UTC"
        )
        if not has_schedule:
            del self.fields["pull_every_minutes"]
        if not has_bills:
            del self.fields["service_categories"]

    def clean_service_categories(self) -> list[str]:
        return str(self.cleaned_data["service_categories"]).splitlines()


class RoleForm(forms.Form):
    """From a day on, a source counts or only checks."""

    measure = forms.ChoiceField(label="Of its", choices=Measure.choices, initial=Measure.TOKEN_COST)
    role = forms.ChoiceField(label="It", choices=SourceRole.Role.choices)
    workload = forms.ModelChoiceField(
        label="For", queryset=Workload.objects.none(), required=False, empty_label="all workloads"
    )
    valid_from = DayField(label="From the start of")

    def __init__(self, *args: Any, actor: Actor, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        workloads = self.fields["workload"]
        if isinstance(workloads, forms.ModelChoiceField):
            workloads.queryset = Workload.objects.visible_to(actor).active()
        self.fields["valid_from"].initial = timezone.localdate().replace(day=1)

    def start(self) -> datetime:
        start = midnight(self.cleaned_data["valid_from"])
        assert start is not None  # noqa: S101 - the field is required
        return start


def config_initial(source: Source, kind: type[Connector]) -> dict[str, Any]:
    """The stored configuration as the form shows it: mappings as lines, secrets as nothing."""
    values = {name: source.config.get(name) for name in kind.Config.base_fields if name in source.config}
    return {name: _as_lines(value) if isinstance(value, dict) else value for name, value in values.items()}


def _as_lines(pairs: dict[str, str]) -> str:
    return "\n".join(f"{field}={value}" for field, value in pairs.items())

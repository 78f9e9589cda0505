"""The form that sets a budget, and what the typed values amount to in plain words."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final, TypedDict

from django import forms

from apps.accounts.models import CostCentre
from apps.budgets import selectors
from apps.budgets.models import HARD, SOFT, Budget
from apps.budgets.selectors import Burn, this_month
from apps.core import periods
from apps.core.models import Period
from apps.core.money import plain
from apps.web import figures
from apps.web.register_forms import AmountField
from apps.workloads.models import Workload

MONTHS_BACK: Final = 6
MONTHS_AHEAD: Final = 12
Owner = Workload | CostCentre
ON_HARD_TEXTS: Final = {
    "tell": "They get an e-mail and see it on their Home. Calls go on.",
    "block": "For the day on which a gateway can hold calls back. Until then calls go on, and everybody is told.",
}


class Values(TypedDict):
    """What `services.set_budget` takes beside actor and owner."""

    month: date
    amount: Decimal
    soft: Decimal
    hard: Decimal
    on_hard: str
    reason: str
    expected_id: int | None


class ShareField(forms.DecimalField):
    """A per cent figure; 80 and 80.5 are fine."""

    widget = forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"})

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=Decimal("0.01"), max_value=1000, max_digits=6, decimal_places=2, **kwargs)


class BudgetForm(forms.Form):
    """`standing` is the row that the page showed: whoever changes something older is told."""

    on_hard_texts = ON_HARD_TEXTS

    month = forms.ChoiceField(label="From which month on?")
    amount = AmountField(
        label="How much a month?", help_text="It holds until it is changed. 0 means that nothing may be spent."
    )
    soft = ShareField(label="Tell its owners at", help_text="The soft threshold.")
    hard = ShareField(label="and again at", help_text="The hard threshold.")
    on_hard = forms.ChoiceField(
        label="What happens at the hard threshold?", choices=Budget.OnHard.choices, widget=forms.RadioSelect
    )
    reason = forms.CharField(
        label="Why?", max_length=300, required=False, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )
    standing = forms.IntegerField(required=False, min_value=0, max_value=2**62, widget=forms.HiddenInput)

    def __init__(self, data: Any = None, *, today: date, **kwargs: Any) -> None:
        super().__init__(data, **{"label_suffix": "", **kwargs})
        choices = [(f"{month:%Y-%m}", f"{month:%B %Y}") for month in open_months(today)]
        self.fields["month"].choices = choices  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if "soft" in cleaned and "hard" in cleaned and cleaned["soft"] > cleaned["hard"]:
            self.add_error("hard", "The hard threshold lies at or above the soft one.")
        return cleaned

    def values(self) -> Values:
        """After `is_valid`."""
        got = self.cleaned_data
        month = date.fromisoformat(f"{got['month']}-01")
        return Values(
            month=month,
            amount=got["amount"],
            soft=got["soft"] / 100,
            hard=got["hard"] / 100,
            on_hard=got["on_hard"],
            reason=got["reason"],
            # The page shows the row of the month that runs; of another month it has shown none.
            expected_id=got["standing"] if month == this_month() else None,
        )

    def standing_values(self) -> Values | None:
        """What the form shows before anything is typed; None while it lacks an amount."""
        first = self.initial
        if first.get("amount") is None:
            return None
        month = date.fromisoformat(f"{first['month']}-01")
        soft, hard = Decimal(first["soft"]) / 100, Decimal(first["hard"]) / 100
        return Values(
            month=month,
            amount=Decimal(first["amount"]),
            soft=soft,
            hard=hard,
            on_hard=first["on_hard"],
            reason="",
            expected_id=first["standing"],
        )


class TurnForm(forms.Form):
    """Suspend, resume or end."""

    turn = forms.ChoiceField(choices=[(name, name) for name in ("suspend", "resume", "end")])
    reason = forms.CharField(max_length=300, required=False)
    expected_id = forms.IntegerField(min_value=0, max_value=2**62)


class TransferForm(forms.Form):
    """Move a part of the budget to another workload."""

    taker = forms.CharField(
        label="To which workload?", max_length=120, widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text="Its reference, such as WL-007, or its exact name.",
    )  # fmt: skip
    amount = AmountField(label="How much a month?")
    reason = forms.CharField(label="Why?", max_length=300, widget=forms.TextInput(attrs={"autocomplete": "off"}))

    def __init__(self, data: Any = None) -> None:
        super().__init__(data, label_suffix="", auto_id="move_%s")


def open_months(today: date) -> list[date]:
    """Months whose budget may be set: some back, as far as they are not signed, and a year ahead."""
    running = this_month(today)
    first, last = running, running
    for _ in range(MONTHS_BACK):
        first = periods.previous_month(first)
    for _ in range(MONTHS_AHEAD):
        last = periods.next_month(last)
    signed = set(Period.objects.filter(state=Period.State.SIGNED, month__gte=first).values_list("month", flat=True))
    return [month for month in periods.months_between(first, last) if month not in signed]


def initial_of(owner: Owner, today: date) -> dict[str, Any]:
    running = this_month(today)
    row = selectors.row_at(owner, running)
    kept = row if row is not None and row.state != Budget.State.ENDED else None
    months = open_months(today)
    first = running if running in months else next((month for month in months if month > running), running)
    return {
        "month": f"{first:%Y-%m}",
        "amount": plain(kept.amount) if kept else None,
        "soft": percent_text(kept.soft if kept else SOFT),
        "hard": percent_text(kept.hard if kept else HARD),
        "on_hard": kept.on_hard if kept else Budget.OnHard.TELL.value,
        "standing": row.pk if row else 0,
    }


def percent_text(share: Decimal) -> str:
    """0.8 -> 80; 0.805 -> 80.5."""
    return format((share * 100).normalize(), "f")


# --- In words ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Saying:
    owner: Owner
    values: Values
    burn: Burn
    currency: str
    today: date

    def money(self, amount: Decimal | None) -> str:
        return figures.money(amount, self.currency)

    @property
    def is_now(self) -> bool:
        return self.values["month"] <= this_month(self.today)


def said_of(owner: Owner, values: Values, burn: Burn, currency: str, today: date) -> list[tuple[str, str]]:
    """(icon, sentence) for everything that the values would mean."""
    saying = _Saying(owner, values, burn, currency, today)
    return [line for part in (_holds, _stands, _ends, _tells, _blocks, _later) for line in part(saying)]


def _holds(saying: _Saying) -> Iterator[tuple[str, str]]:
    month, amount = f"{saying.values['month']:%B %Y}", saying.values["amount"]
    if amount == 0:
        yield "ban", f"From {month} on {saying.owner} may spend nothing, until you change it."
    else:
        yield "wallet", f"From {month} on {saying.owner} may spend {saying.money(amount)} a month, until you change it."


def _stands(saying: _Saying) -> Iterator[tuple[str, str]]:
    spent, amount = saying.burn.direct, saying.values["amount"]
    if not saying.is_now:
        return
    label = f"{saying.burn.month:%B}"
    if saying.burn.mark:
        yield "help-circle", f"What {label} cost is known in part only: it leaves out {saying.burn.mark}."
    if spent is None:
        yield "circle-dashed", f"In {label} no priced usage is known of so far."
    elif spent > amount:
        over = saying.money(spent - amount)
        yield "alert-triangle", f"{saying.money(spent)} is spent in {label} so far: it is over by {over} at once."
    elif amount:
        share = figures.percent(spent / amount, digits=0)
        yield "chart-bar", f"{saying.money(spent)} is spent in {label} so far, {share} of it{_unknown(saying)}."


def _ends(saying: _Saying) -> Iterator[tuple[str, str]]:
    burn, amount = saying.burn, saying.values["amount"]
    if burn.expected is None:
        if burn.why_not and saying.is_now:
            yield "clock-question", burn.why_not
        return
    between = f"{saying.money(burn.expected)} ({saying.money(burn.low)} to {saying.money(burn.high)}){_unknown(saying)}"
    if burn.expected > amount:
        yield "trending-up", f"{burn.month:%B} is expected to end at {between}: more than that."
    elif burn.mark:
        yield "trending-up", f"{burn.month:%B} is expected to end at {between}."
    else:
        yield "trending-up", f"{burn.month:%B} is expected to end at {between}: within it."


def _unknown(saying: _Saying) -> str:
    return " and what is unknown" if saying.burn.mark else ""


def _tells(saying: _Saying) -> Iterator[tuple[str, str]]:
    values = saying.values
    who = "Its owners" if isinstance(saying.owner, Workload) else "The FinOps analysts of the cost centre"
    if values["amount"] == 0:
        yield "mail", f"{who} are told of the first cent, once a month."
        return
    soft, hard = values["amount"] * values["soft"], values["amount"] * values["hard"]
    at = saying.money(soft) if soft == hard else f"{saying.money(soft)} and at {saying.money(hard)}"
    whole = "" if values["hard"] == 1 else f", and at {saying.money(values['amount'])}"
    yield "mail", f"{who} are told at {at}{whole}, each once a month."


def _blocks(saying: _Saying) -> Iterator[tuple[str, str]]:
    if saying.values["on_hard"] == Budget.OnHard.BLOCK:
        yield "hand-stop", "It is marked to be blocked. Nothing is blocked yet: calls go on until a gateway holds them."
    else:
        yield "player-play", "Nothing is blocked: calls go on, and cost."


def _later(saying: _Saying) -> Iterator[tuple[str, str]]:
    for row in selectors.rows_after(saying.owner, saying.values["month"])[:3]:
        if row.state == Budget.State.ENDED:
            yield "calendar", f"From {row.month:%B %Y} on there is none, as was said earlier."
        else:
            yield "calendar", f"From {row.month:%B %Y} on it is {saying.money(row.amount)}, as was set earlier."

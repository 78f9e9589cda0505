"""The grammar of a cost figure in a URL: the same names filter the cost page and name the figure whose proof is shown.

?month=2026-10  or  ?from=2026-10-01&to=2026-10-15     the days
&workload=SLUG &allocated=yes|no                       whose
&model=ID (0: none told)                               on what
&provider=NAME or &provider_told=no                    of whom
&component=token|retry_failed|...|direct               for what
&centre=CODE (&below=no: not what is under it)         who pays
&source=SLUG &basis=full|computed|effective|billed     by which record
&figures=signed                                        as it was signed, without later corrections
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import urlencode

from django.urls import reverse

from apps.accounts import rights
from apps.accounts.models import CostCentre
from apps.accounts.rights import Right
from apps.catalog.models import Offering
from apps.core.actor import Actor
from apps.core.errors import BadInput, NotAllowed, NotFound
from apps.costs.models import Component
from apps.costs.selectors import BasisChoice, CostRow, CostScope, Figures, Grouping
from apps.costs.selectors.scope import ALL_DIRECT
from apps.costs.selectors.tables import NO_COST_CENTRE, NOBODY
from apps.sources.models import Source
from apps.web.period import PeriodChoice
from apps.workloads.models import Workload
from apps.workloads.selectors import sees_any_money

NAMES: Final = (
    "workload", "allocated", "model", "provider", "provider_told", "component", "centre", "below", "source", "basis",
    "figures",
)  # fmt: skip
BASIS_WORDS: Final = {
    BasisChoice.FULL: "Full cost",
    BasisChoice.COMPUTED: "Computed from usage",
    BasisChoice.EFFECTIVE: "The bill, spread over its use",
    BasisChoice.BILLED: "The bill as invoiced",
}


@dataclass(frozen=True)
class AskedScope:
    """A scope, the filters that made it as they stand in the URL, and each of them in words."""

    scope: CostScope
    filters: Mapping[str, str]
    words: Mapping[str, str] = field(default_factory=dict)
    workload: Workload | None = None

    @property
    def query(self) -> str:
        return urlencode(self.filters)

    @property
    def title(self) -> str:
        """What the figure is about, in words; empty when nothing is filtered."""
        return ", ".join(self.words.values())


def asked_scope(actor: Actor, values: Mapping[str, str], period: PeriodChoice) -> AskedScope:
    """Read the filters. What does not exist, or not for this actor, is not found; nonsense is refused in words."""
    require_money(actor)
    filters = {name: values[name] for name in NAMES if values.get(name)}
    asked = AskedScope(CostScope(period.start, period.end), filters)
    for name, read in _READERS.items():
        if name in filters:
            asked = read(asked, actor, filters[name])
    return asked


def require_money(actor: Actor) -> None:
    """Some money to see: by a role, or because one owns a workload."""
    if not sees_any_money(actor):
        raise NotAllowed("You may not see cost and usage.", hint=rights.who_can_give(Right.SEE_MONEY))


def why_address(figure: str, period: PeriodChoice | str, **filters: str | int | None) -> str:
    """The address of a figure's proof; `period` is the choice or its query."""
    query = period if isinstance(period, str) else period.query
    given = urlencode({name: value for name, value in filters.items() if value not in (None, "")})
    return f"{reverse('why:figure', args=[figure])}?{'&'.join(part for part in (query, given) if part)}"


def row_filters(grouping: Grouping, row: CostRow) -> dict[str, str] | None:
    """The filters that leave exactly this row of a table; None where no filter can name it."""
    if grouping in (Grouping.WORKLOAD, Grouping.COST_CENTRE) and row.key == NOBODY:
        return {"allocated": "no"}
    if grouping is Grouping.COST_CENTRE:
        return None if row.key == NO_COST_CENTRE else {"centre": row.ref, "below": "no"}
    if grouping is Grouping.PROVIDER:
        return provider_filters(row.key)
    if grouping in (Grouping.DAY, Grouping.MONTH):
        return {}
    return {_NAME_OF[grouping]: row.ref}


def provider_filters(name: str) -> dict[str, str]:
    """The filter that leaves one provider, or, where it has no name, what names none."""
    return {"provider": name} if name else {"provider_told": "no"}


_NAME_OF: Final = {
    Grouping.WORKLOAD: "workload",
    Grouping.MODEL: "model",
    Grouping.COMPONENT: "component",
    Grouping.SOURCE: "source",
}


def _with(asked: AskedScope, name: str, words: str, **narrowed: object) -> AskedScope:
    scope = replace(asked.scope, **narrowed)  # type: ignore[arg-type]
    return replace(asked, scope=scope, words={**asked.words, name: words})


def _workload(asked: AskedScope, actor: Actor, text: str) -> AskedScope:
    found = Workload.objects.money_visible_to(actor).filter(slug=text).first()
    if found is None:
        raise NotFound("There is no such workload.")
    return replace(_with(asked, "workload", found.name, workload_id=found.pk), workload=found)


def _allocated(asked: AskedScope, actor: Actor, text: str) -> AskedScope:
    if text not in ("yes", "no"):
        raise BadInput("“Allocated” is yes or no.")
    if text == "no":
        rights.require(actor, Right.SEE_UNALLOCATED)
    return _with(asked, "allocated", "Allocated" if text == "yes" else "Unallocated", allocated=text == "yes")


def _model(asked: AskedScope, _actor: Actor, text: str) -> AskedScope:
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else -1
    found = Offering.objects.filter(pk=number).first()
    if found is None and number != 0:
        raise NotFound("There is no such model.")
    name = (found.name or str(found)) if found else "No model told"
    return _with(asked, "model", name, offering_id=number)


def _provider(asked: AskedScope, _actor: Actor, text: str) -> AskedScope:
    return _with(asked, "provider", text, provider=text)


def _provider_told(asked: AskedScope, _actor: Actor, text: str) -> AskedScope:
    if text != "no" or asked.scope.provider is not None:
        raise BadInput("“Provider told” is no, or not said; where a provider is named it is not said.")
    return _with(asked, "provider_told", "No provider told", provider="")


def _component(asked: AskedScope, _actor: Actor, text: str) -> AskedScope:
    if text == ALL_DIRECT:
        return _with(asked, "component", "Direct cost", component=text)
    if text not in Component.values:
        raise BadInput(f"“{text[:40]}” is no component of cost.", hint=f"Use one of {', '.join(Component.values)}.")
    return _with(asked, "component", Component(text).label, component=text)


def _centre(asked: AskedScope, _actor: Actor, text: str) -> AskedScope:
    found = CostCentre.objects.filter(code__iexact=text).first()
    if found is None:
        raise NotFound("There is no such cost centre.")
    return _with(asked, "centre", found.name, cost_centre_path=found.path)


def _below(asked: AskedScope, _actor: Actor, text: str) -> AskedScope:
    return replace(asked, scope=replace(asked.scope, only_cost_centre=text == "no"))


def _source(asked: AskedScope, actor: Actor, text: str) -> AskedScope:
    found = Source.objects.visible_to(actor).filter(slug=text).first()
    if found is None:
        raise NotFound("There is no such source.")
    return _with(asked, "source", found.name, source_id=found.pk)


def _basis(asked: AskedScope, _actor: Actor, text: str) -> AskedScope:
    if text not in BASIS_WORDS:
        raise BadInput(f"“{text[:40]}” is no basis of cost.", hint=f"Use one of {', '.join(BASIS_WORDS)}.")
    basis = BasisChoice(text)
    return asked if basis is BasisChoice.FULL else _with(asked, "basis", BASIS_WORDS[basis], basis=basis)


def _figures(asked: AskedScope, _actor: Actor, text: str) -> AskedScope:
    if text != Figures.SIGNED:
        raise BadInput("“Figures” is signed, or not said.")
    return _with(asked, "figures", "As signed", figures=Figures.SIGNED)


_READERS: Final = {
    "workload": _workload,
    "allocated": _allocated,
    "model": _model,
    "provider": _provider,
    "provider_told": _provider_told,
    "component": _component,
    "centre": _centre,
    "below": _below,
    "source": _source,
    "basis": _basis,
    "figures": _figures,
}

"""What base.html needs on every page: organisation, navigation, period, freshness, theme."""

from typing import Any

from django.http import HttpRequest

from apps.accounts.rights import rights_of
from apps.core import organisation
from apps.core.errors import BadInput
from apps.web import hooks, navigation, theme
from apps.web.period import PeriodChoice, default_period, period_of

NAMES_A_PERIOD = ("month", "from", "to")


def frame(request: HttpRequest) -> dict[str, Any]:
    """Context processor. Before log-in there is only the organisation's name and the theme."""
    found = request.organisation if hasattr(request, "organisation") else organisation.find()
    base = {
        "organisation_name": found.name if found else "",
        "currency": found.currency if found else "USD",
        "theme": theme.chosen(request),
        "themes": theme.THEMES,
    }
    # An error page may be drawn before the middleware ran.
    if not hasattr(request, "actor") or not request.user.is_authenticated:
        return base
    return base | _for_member(request)


def _for_member(request: HttpRequest) -> dict[str, Any]:
    period, period_error = _period(request)
    actor, rights = request.actor, rights_of(request.actor)  # type: ignore[attr-defined]
    query = period.query if any(name in request.GET for name in NAMES_A_PERIOD) and not period_error else ""
    nav = navigation.links_for(actor=actor, rights=rights, current=navigation.current_key(request), query=query)
    return {
        "nav": nav,
        "period": period,
        "period_error": period_error,
        "period_query": query,
        "freshness": hooks.freshness(actor),
        "person": request.user.person,  # type: ignore[union-attr]
        "rights": rights,
    }


def _period(request: HttpRequest) -> tuple[PeriodChoice, str]:
    """The period and what is wrong with the one in the URL; the frame must stand even when it is nonsense."""
    try:
        return period_of(request), ""
    except BadInput as error:
        return default_period(request), str(error)

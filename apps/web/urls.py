"""Addresses of the pages, grouped by what they show."""

from django.urls import include, path

from apps.web import (
    accounts,
    approvals,
    audit,
    budgets,
    costs,
    home,
    imports,
    people,
    prices,
    search,
    settings,
    setup,
    sources,
    theme,
    tokens,
    unallocated,
    why,
    workloads,
)

urlpatterns = [
    path("", home.home, name="home"),
    path("search/", search.search, name="search"),
    path("theme/", theme.choose, name="theme"),
    path("", include(accounts)),
    path("inbox/", include(approvals)),
    path("audit/", include(audit)),
    path("costs/", include(costs)),
    path("budgets/", include(budgets)),
    path("why/", include(why)),
    path("workloads/", include(workloads)),
    path("unallocated/", include(unallocated)),
    path("sources/", include(sources)),
    path("imports/", include(imports)),
    path("prices/", include(prices)),
    path("settings/", include(settings)),
    path("settings/people/", include(people)),
    path("settings/cost-centres/", include((people.cost_centre_urlpatterns, "cost_centres"))),
    path("settings/tokens/", include(tokens)),
    path("setup/", include(setup)),
]

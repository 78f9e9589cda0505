"""Addresses of the JSON API, below /api/v1/."""

from django.urls import path

from apps.api.budgets import BudgetsView
from apps.api.costs import CostsView
from apps.api.economics import EconomicsView
from apps.api.outcomes import OutcomesView
from apps.api.schema import DocsView, SchemaView
from apps.api.usage import UsageView
from apps.api.workloads import WorkloadsView

app_name = "api"

urlpatterns = [
    path("costs/", CostsView.as_view(), name="costs"),
    path("budgets/", BudgetsView.as_view(), name="budgets"),
    path("economics/", EconomicsView.as_view(), name="economics"),
    path("outcomes/", OutcomesView.as_view(), name="outcomes"),
    path("workloads/", WorkloadsView.as_view(), name="workloads"),
    path("usage/", UsageView.as_view(), name="usage"),
    path("schema/", SchemaView.as_view(), name="schema"),
    path("docs/", DocsView.as_view(url_name="api:schema"), name="docs"),
]

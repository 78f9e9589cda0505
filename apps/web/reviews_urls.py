"""Addresses of the review."""

from django.urls import path

from apps.web import reviews, reviews_actions, reviews_list, reviews_minutes, reviews_signing, reviews_statement

app_name = "reviews"
urlpatterns = [
    path("", reviews_list.cycle_list, name="list"),
    path("open/", reviews_list.open_review, name="open"),
    path("statements/<int:pk>/", reviews_statement.statement, name="statement"),
    path("actions/<int:pk>/", reviews_actions.show, name="action"),
    path("actions/<int:pk>/close/", reviews_actions.close, name="close-action"),
    path("actions/<int:pk>/hand-over/", reviews_actions.hand_over, name="hand-over"),
    path("<str:month>/", reviews.show, name="show"),
    path("<str:month>/items/<int:pk>/", reviews.item, name="item"),
    path("<str:month>/news/", reviews.news, name="news"),
    path("<str:month>/attend/", reviews_signing.attend, name="attend"),
    path("<str:month>/lead/", reviews_signing.lead, name="lead"),
    path("<str:month>/waive/", reviews_signing.waive, name="waive"),
    path("<str:month>/sign/", reviews_signing.sign, name="sign"),
    path("<str:month>/reopen/", reviews_signing.reopen, name="reopen"),
    path("<str:month>/figures/", reviews_signing.own_figures, name="figures"),
    path("<str:month>/figures/<slug:slug>/attest/", reviews_signing.attest, name="attest"),
    path("<str:month>/minutes/", reviews_minutes.minutes, name="minutes"),
    path("<str:month>/difference/", reviews_minutes.difference, name="difference"),
]

"""Addresses of the pages, grouped by what they show."""

from django.urls import path

from apps.web import home, search, theme

urlpatterns = [
    path("", home.home, name="home"),
    path("search/", search.search, name="search"),
    path("theme/", theme.choose, name="theme"),
]

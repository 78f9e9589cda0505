"""Figures in templates: `{{ amount|money:currency }}`. What is unknown comes out as a grey en dash that says so."""

from collections.abc import Callable
from datetime import date, datetime

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.web import figures

register = template.Library()

UNKNOWN_HTML = (
    '<span class="tg-unknown" title="Not known"><span aria-hidden="true">{}</span>'
    '<span class="tg-hidden">not known</span></span>'
)


def shown(text: str) -> str | SafeString:
    """The text, or for the unknown a dash that a screen reader reads as words."""
    return format_html(UNKNOWN_HTML, text) if text == figures.UNKNOWN else text


def _of_currency(show: Callable[[figures.Number | None, str], str]) -> Callable[[figures.Number | None, str], str]:
    return lambda value, currency: shown(show(_number(value), currency))


def _plain(show: Callable[[figures.Number | None], str]) -> Callable[[figures.Number | None], str]:
    return lambda value: shown(show(_number(value)))


def _number(value: figures.Number | str | None) -> figures.Number | None:
    """Django gives an empty text for a missing variable; that is unknown, not zero."""
    return None if isinstance(value, str) else value


for _show in (figures.money, figures.money_exact, figures.unit_price, figures.compact):
    register.filter(_show.__name__, _of_currency(_show))
for _show_plain in (figures.count, figures.tokens, figures.percent, figures.latency):
    register.filter(_show_plain.__name__, _plain(_show_plain))


@register.filter
def percent_whole(value: figures.Number | None) -> str:
    """For bars, which carry no decimals: 92%."""
    return shown(figures.percent(_number(value), digits=0))


@register.filter
def first_sentence(value: str) -> str:
    return figures.first_sentence(value or "")


@register.filter
def other_sentences(value: str) -> str:
    """What follows the first sentence."""
    return (value or "").partition(". ")[2]


@register.filter(name="delta")
def delta_text(value: figures.Number | None) -> str:
    return shown(figures.delta(_number(value)))


@register.filter
def day(value: date | datetime | None) -> str:
    return shown(figures.day(value or None))


@register.filter
def last_day(end: datetime | None) -> str:
    return shown(figures.last_day(end or None))


@register.filter
def day_short(value: date | datetime | None) -> str:
    return shown(figures.day_short(value or None))


@register.filter
def moment(value: datetime | None) -> str:
    return shown(figures.moment(value or None))


@register.filter
def ago(value: datetime | None) -> str:
    return shown(figures.ago(value or None))


@register.filter
def month_name(value: date | None) -> str:
    return shown(figures.month_name(value or None))

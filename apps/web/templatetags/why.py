"""`{% why_link text "cost" workload=slug %}`: a figure with its proof behind it, for the period of the page."""

from html import escape

from django import template
from django.template import Context
from django.utils.html import conditional_escape
from django.utils.safestring import SafeString, mark_safe

from apps.web.cost_scope import why_address
from apps.web.period import PeriodChoice
from apps.web.worth_why import worth_address

register = template.Library()


@register.simple_tag(takes_context=True)
def why_link(
    context: Context, text: str, figure: str = "cost", period: PeriodChoice | None = None, **filters: str | int
) -> SafeString:
    """The figure as a link with a dotted line under the pointer; htmx opens the proof beside the page."""
    return why_to(text, why_address(figure, period or context["period"], **filters))


@register.simple_tag
def why_to(text: str, address: str) -> SafeString:
    """The same for an address that a view has worked out; plain text where there is none."""
    words, href = conditional_escape(text), escape(address)
    if not address:
        return words
    return mark_safe(  # noqa: S308 (both are escaped; a table has hundreds of these)
        f'<a class="tg-why" href="{href}" hx-get="{href}" hx-target="#panel" title="Why this number?">{words}</a>'
    )


@register.simple_tag(takes_context=True)
def worth_why(context: Context, text: str, figure: str, is_signed: bool) -> SafeString:
    """A figure of a month's worth with its proof, on the side on which it stands; of the page's `found`."""
    found = context["found"]
    return why_to(text, worth_address(found.workload, found.month, figure, is_signed=is_signed))

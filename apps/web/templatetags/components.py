"""The component kit. Widths of bars are geometry of SVG, so that the strict content policy needs no inline style."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from django import template
from django.core.paginator import Page
from django.forms import BoundField
from django.http import HttpRequest
from django.template import Context
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from apps.web import exports, figures
from apps.web.charts import Chart
from apps.web.figures import Number
from apps.web.parts import Chip, Column, Kpi, Slice, Step, Tab
from apps.web.queries import query_with
from apps.web.templatetags.figures import shown

register = template.Library()

ICONS = Path(__file__).parents[3] / "node_modules/@tabler/icons/icons/outline"
VERDICTS = {"scale": "Scale", "keep": "Keep", "fix": "Fix", "stop": "Stop", "unproven": "Unproven"}
SHAPES = {
    "scale": '<path d="M5 .6 9.7 9.2H.3z"/>',
    "keep": '<circle cx="5" cy="5" r="4.4"/>',
    "fix": '<path d="M5 .1 9.9 5 5 9.9.1 5z"/>',
    "stop": '<rect x=".7" y=".7" width="8.6" height="8.6" rx=".6"/>',
    "unproven": '<circle cx="5" cy="5" r="3.9" stroke-width="1.6" stroke-dasharray="2 2.08"/>',
}
STRENGTHS = ("weak", "fair", "strong")
EMPTY_ICONS = {"nothing": "inbox", "filtered": "filter-off", "no-right": "lock", "broken": "plug-connected-x"}
PAGES_AROUND = 2


# --- Icons and shapes -------------------------------------------------------------------------------------------------


@register.simple_tag
def icon(name: str, size: int = 16, tone: str = "") -> SafeString:
    """An outline icon of Tabler, drawn in the text's colour and hidden from screen readers: words stand beside it."""
    extra = f" tg-{tone}" if tone else ""
    return format_html(
        '<svg class="tg-icon{}" width="{}" height="{}" viewBox="0 0 24 24" fill="none" stroke="currentColor" '
        'stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" focusable="false">{}</svg>',
        extra,
        size,
        size,
        _paths(name),
    )


@register.simple_tag
def verdict(name: str, size: str = "") -> SafeString:
    """Shape, word and colour; `size` is empty, "wide" (equal widths below each other) or "large"."""
    extra = f" tg-verdict--{size}" if size else ""
    return format_html(
        '<span class="tg-verdict tg-verdict--{}{}">{}{}</span>', name, extra, verdict_shape(name), VERDICTS[name]
    )


@register.simple_tag
def verdict_shape(name: str) -> SafeString:
    shape = mark_safe(SHAPES[name])  # noqa: S308 (a constant of this file)
    return format_html('<svg viewBox="0 0 10 10" aria-hidden="true" focusable="false">{}</svg>', shape)


@register.simple_tag(name="tag")
def fact_tag(label: str, tone: str = "", icon_name: str = "", href: str = "") -> SafeString:
    """An outlined fact; `good`, `warn` and `bad` are for states and want an icon."""
    extra = f" tg-tag--{tone}" if tone else ""
    body = format_html("{}{}", icon(icon_name) if icon_name else "", label)
    if href:
        return format_html('<a class="tg-tag{}" href="{}">{}</a>', extra, href, body)
    return format_html('<span class="tg-tag{}">{}</span>', extra, body)


@register.simple_tag
def strength(level: str) -> SafeString:
    """weak, fair, strong: how well a suggestion is founded, as filled blocks and a word."""
    filled = STRENGTHS.index(level) + 1
    blocks = format_html_join(
        "",
        '<rect x="{}" y="0" width="5" height="10" rx="1" class="tg-fill-{}"/>',
        ((at * 8, "accent" if at < filled else "track") for at in range(3)),
    )
    return format_html(
        '<span class="tg-strength"><svg viewBox="0 0 22 10" aria-hidden="true">{}</svg>{}</span>', blocks, level
    )


@register.simple_tag
def avatar(name: str, size: str = "") -> SafeString:
    """Initials in a circle; decoration, since the name stands beside it."""
    words = name.split()
    initials = "".join(word[0] for word in (words[:1] + words[1:][-1:])).upper()
    extra = f" tg-avatar--{size}" if size else ""
    return format_html('<span class="tg-avatar{}" aria-hidden="true">{}</span>', extra, initials)


# --- Bars -------------------------------------------------------------------------------------------------------------


@register.simple_tag
def bar(ratio: Number | None, tone: str = "cost", height: int = 4) -> SafeString:
    """A share as a bar, 0 to 1; it repeats a figure that stands beside it, so it is hidden from screen readers."""
    return mark_safe(  # noqa: S308 (numbers, and a tone that the page's own code names)
        f'<svg class="tg-bar" width="100%" height="{height}" aria-hidden="true" focusable="false">'
        f'<rect class="tg-fill-track" width="100%" height="{height}" rx="{height / 2}"/>'
        f'<rect class="tg-fill-{tone}" width="{_percent(ratio)}%" height="{height}" rx="{height / 2}"/></svg>'
    )


@register.simple_tag
def share(text: str, ratio: Number | None, tone: str = "cost") -> SafeString:
    """An amount with its share of the largest under it, for the sorted column of a table."""
    return format_html('<span class="tg-bar-cell">{}{}</span>', text, bar(ratio, tone))


@register.simple_tag
def stack_bar(slices: Sequence[Slice], label: str, height: int = 10) -> SafeString:
    """Parts of a whole side by side with a gap between neighbours; `label` is its text alternative."""
    return format_html(
        '<svg class="tg-bar" width="100%" height="{}" role="img" aria-label="{}">{}</svg>',
        height,
        label,
        format_html_join("", "{}", ((part,) for part in _stacked(slices, height))),
    )


@register.simple_tag
def limit_bar(ratio: Number | None, height: int = 7, *, is_partly: bool = False) -> SafeString:
    """Use of a limit: slate up to it, a tick at 100 %, hatched red beyond; the per cent stands at the right.

    `is_partly` is one to which something adds that nobody knows: it is the least that is used, and says so.
    """
    if ratio is None:
        return SafeString(shown(figures.UNKNOWN))
    used, reach = float(ratio), 1.2
    drawing = format_html(
        '<svg class="tg-bar" width="100%" height="{h}" aria-hidden="true" focusable="false">'
        '<rect class="tg-fill-track" width="100%" height="{h}" rx="3"/>'
        '<rect class="tg-fill-cost" width="{width}%" height="{h}" rx="3"/>{beyond}'
        '<rect class="tg-fill-cost" x="{tick}%" y="-2" width="1.5" height="{tall}"/></svg>',
        h=height,
        width=_percent(min(used, 1) / reach),
        beyond=_beyond(used, reach, height) if used > 1 else "",
        tick=_percent(1 / reach),
        tall=height + 4,
    )
    tone, text = " tg-bad" if used > 1 else "", figures.percent(used, digits=0)
    return format_html(
        '<span class="tg-limit">{}<span class="tg-limit__percent{}">{}</span></span>{}',
        drawing,
        tone,
        text,
        and_unknown() if is_partly else "",
    )


@register.simple_tag
def and_unknown() -> SafeString:
    """Under a figure of what is known, where there is more: without a price, or without an exchange rate."""
    return SafeString('<span class="tg-meta tg-block tg-warn">and what is unknown</span>')


@register.simple_tag
def of_known() -> SafeString:
    """Under a change of what is known of both periods, where either has more: without a price, or without a rate."""
    return SafeString('<span class="tg-meta tg-block tg-warn">of what is known</span>')


@register.simple_tag
def progress(ratio: Number | None, label: str, element_id: str = "") -> SafeString:
    """Work that runs: 10 high; a screen reader hears the per cent."""
    whole = round(float(ratio or 0) * 100)
    return format_html(
        '<svg class="tg-progress" {id} width="100%" height="10" role="progressbar" aria-label="{label}" '
        'aria-valuemin="0" aria-valuemax="100" aria-valuenow="{now}">'
        '<rect class="tg-fill-track" width="100%" height="10" rx="5"/>'
        '<rect class="tg-fill-accent" width="{now}%" height="10" rx="5"/></svg>',
        id=format_html('id="{}"', element_id) if element_id else "",
        label=label,
        now=whole,
    )


@register.simple_tag
def sparkline(cost: Sequence[Number | None], label: str, value: Sequence[Number | None] = ()) -> SafeString:
    """Cost (and value) over time, 104 x 28, from zero up; `label` says in words what it shows."""
    known = [float(number) for number in (*cost, *value) if number is not None]
    top = max(known, default=0) or 1
    costs, values = _points(cost, top), _points(value, top)
    return format_html(
        '<svg class="tg-spark" viewBox="0 0 104 28" width="104" height="28" role="img" aria-label="{}">{}{}{}</svg>',
        label,
        _between(costs, values),
        _line(values, "value"),
        _line(costs, "cost"),
    )


# --- Figures ----------------------------------------------------------------------------------------------------------


@register.simple_tag
def change(ratio: Number | None, since: str = "", good: bool | None = None) -> SafeString:
    """A signed change "from" something. Green or red only if the caller is certain that it is good or bad."""
    tone = {True: " tg-delta--good", False: " tg-delta--bad", None: ""}[good]
    tail = format_html(" from {}", since) if since else ""
    return format_html('<span class="tg-delta{}">{}</span>{}', tone, shown(figures.delta(ratio)), tail)


@register.inclusion_tag("components/kpis.html")
def kpi_strip(kpis: Sequence[Kpi], sentence: str = "", verdict_name: str = "") -> dict[str, Any]:
    """Two to six figures in one card; a sentence (and a verdict) may stand over them."""
    return {"kpis": kpis, "sentence": sentence, "verdict_name": verdict_name}


@register.inclusion_tag("components/chart.html")
def chart(chart_id: str, data: Chart, title: str, size: str = "", meta: str = "") -> dict[str, Any]:
    """A card with heading, drawing and the table of the same figures; `size` is empty, "low" or "high"."""
    return {
        "id": chart_id,
        "chart": data,
        "title": title,
        "size": size,
        "meta": meta,
        "drawing": data.drawing(),
        "data_id": f"{chart_id}-data",
        "file": exports.data_address([data.category_label, *data.headings], data.figures()),
    }


# --- Tables, chips, pages ---------------------------------------------------------------------------------------------


@register.inclusion_tag("components/table_head.html", takes_context=True)
def table_head(context: Context, columns: Sequence[Column], sort: str = "", target: str = "") -> dict[str, Any]:
    """Column headings; those that sort are links with the sort in the URL. `sort` is the one in force ("-cost")."""
    request: HttpRequest = context["request"]
    return {"cells": [_heading(request, column, sort) for column in columns], "target": target}


@register.inclusion_tag("components/chips.html")
def chips(items: Sequence[Chip], target: str = "") -> dict[str, Any]:
    return {"chips": items, "target": target}


@register.inclusion_tag("components/pagination.html", takes_context=True)
def pagination(context: Context, page: Page[Any], noun: str = "rows", target: str = "") -> dict[str, Any]:
    """The range shown, that totals cover all, and the pages around; nothing of it when one page holds all."""
    request: HttpRequest = context["request"]
    numbers = range(max(1, page.number - PAGES_AROUND), min(page.paginator.num_pages, page.number + PAGES_AROUND) + 1)
    return {
        "page": page,
        "noun": noun,
        "target": target,
        "links": [(n, query_with(request, page=str(n))) for n in numbers],
        "back": query_with(request, page=str(page.number - 1)),
        "on": query_with(request, page=str(page.number + 1)),
    }


@register.inclusion_tag("components/tabs.html")
def tabs(items: Sequence[Tab], label: str) -> dict[str, Any]:
    return {"tabs": items, "label": label}


@register.inclusion_tag("components/steps.html")
def stepper(items: Sequence[Step]) -> dict[str, Any]:
    return {"steps": items}


# --- States -----------------------------------------------------------------------------------------------------------


@register.inclusion_tag("components/empty.html")
def empty(
    kind: str,
    title: str,
    text: str = "",
    action: str = "",
    href: str = "",
    doc: str = "",
    doc_href: str = "",
    icon_name: str = "",
) -> dict[str, Any]:
    """`kind`: nothing (yet), filtered (filters hide all), no-right (who can give it), broken (a source, since when)."""
    return {
        "icon": icon_name or EMPTY_ICONS[kind],
        "title": title,
        "text": text,
        "action": action,
        "href": href,
        "doc": doc,
        "doc_href": doc_href,
        "kind": kind,
    }


BANNER_ICONS = {"warn": "alert-triangle", "bad": "alert-octagon", "hint": "bulb", "good": "arrow-down-right"}


@register.simple_block_tag
def banner(content: str, tone: str = "warn", icon_name: str = "") -> SafeString:
    """One a page: a bold finding, what follows from it, a link."""
    role = "alert" if tone == "bad" else "status"
    return format_html(
        '<div class="tg-banner tg-banner--{}" role="{}">{}<div class="tg-banner__text">{}</div></div>',
        tone,
        role,
        icon(icon_name or BANNER_ICONS[tone]),
        content,
    )


# --- Forms ------------------------------------------------------------------------------------------------------------


@register.inclusion_tag("components/field.html")
def field(
    bound: BoundField,
    unit: str = "",
    before: str = "",
    why: str = "",
    label: str = "",
    strong: bool = False,
    check: str = "",
) -> dict[str, Any]:
    """A labelled field with help, error and its unit inside; `check` is an amber note on a value that needs a look."""
    return {
        "field": bound,
        "unit": unit,
        "before": before,
        "why": why,
        "label": label or bound.label,
        "strong": strong,
        "check": check,
        "control": _control(bound, bool(check)),
        "is_tick": getattr(bound.field.widget, "input_type", "") == "checkbox",
    }


@register.inclusion_tag("components/choices.html")
def choices(bound: BoundField, descriptions: Mapping[str, str] | None = None, many: bool = False) -> dict[str, Any]:
    """Choice cards of a field with radio buttons; `descriptions` gives the second line by value."""
    texts = descriptions or getattr(bound.field, "descriptions", {})
    options = [
        (str(value), text, texts.get(str(value), ""))
        for value, text in getattr(bound.field, "choices", ())
        if value != ""
    ]
    return {"field": bound, "options": options, "many": many, "chosen": str(bound.value() or "")}


@register.inclusion_tag("components/form_errors.html")
def form_errors(form: Any) -> dict[str, Any]:
    """The summary over a form: what is wrong, each with a link to its field. It takes the focus after a failed send."""
    return {"form": form}


@register.simple_tag(takes_context=True)
def page_url(context: Context, name: str, *args: object) -> str:
    """The address of a page with the chosen period kept."""
    address, query = reverse(name, args=args), context.get("period_query", "")
    return f"{address}?{query}" if query else address


OF_PERIOD = ("month", "from", "to", "page")


@register.simple_tag(takes_context=True)
def period_href(context: Context, query: str) -> str:
    """This page in another period: its filters, its order and what it is about stay."""
    return query_with(context["request"], **{**dict.fromkeys(OF_PERIOD), **dict(parse_qsl(query))})


@register.simple_tag(takes_context=True)
def period_kept(context: Context) -> SafeString:
    """What a form that changes the period carries along, so that the rest of the address stays."""
    kept = [(name, value) for name, value in context["request"].GET.items() if name not in (*OF_PERIOD, "format")]
    return format_html_join("", '<input type="hidden" name="{}" value="{}">', kept)


# --- Below the tags ---------------------------------------------------------------------------------------------------


@cache
def _paths(name: str) -> SafeString:
    """What is inside an icon's file; read once. A name that does not exist is a mistake in a template."""
    if not re.fullmatch(r"[a-z0-9-]+", name):
        raise template.TemplateSyntaxError(f"“{name}” is no name of an icon.")
    try:
        drawing = (ICONS / f"{name}.svg").read_text()
    except FileNotFoundError as error:
        raise template.TemplateSyntaxError(f"Tabler has no icon “{name}”; see tabler.io/icons.") from error
    inside = drawing[drawing.index(">", drawing.index("<svg")) + 1 : drawing.rindex("</svg>")]
    return mark_safe(re.sub(r"\s*\n\s*", "", inside))  # noqa: S308 (a file of a pinned package)


def _percent(ratio: Number | None) -> str:
    share = min(max(float(ratio or 0), 0), 1) * 100
    return f"{share:.2f}".rstrip("0").rstrip(".")


def _beyond(used: float, reach: float, height: int) -> SafeString:
    """What goes over the limit: red and hatched, so that it is seen without colour too."""
    start, width = _percent(1 / reach), _percent((min(used, reach) - 1) / reach)
    return format_html('<rect class="tg-fill-hatch-stop" x="{}%" width="{}%" height="{}"/>', start, width, height)


def _stacked(slices: Sequence[Slice], height: int) -> list[SafeString]:
    drawn: list[SafeString] = []
    start = 0.0
    for part in slices:
        tones = (part.tone, "hatch") if part.is_hatched else (part.tone,)
        drawn += [_slice(tone, start, part.ratio, height) for tone in tones]
        start += part.ratio
    return drawn


def _slice(tone: str, start: float, ratio: float, height: int) -> SafeString:
    return format_html(
        '<svg x="{}%" width="{}%" height="{h}" overflow="hidden">'
        '<rect class="tg-fill-{}" width="100%" height="{h}" rx="2"/>'
        '<rect class="tg-bar__gap" x="100%" width="2" height="{h}"/></svg>',
        _percent(start),
        _percent(ratio),
        tone,
        h=height,
    )


def _points(numbers: Sequence[Number | None], top: float) -> list[tuple[float, float]]:
    step = 98 / max(len(numbers) - 1, 1)
    return [
        (round(2 + at * step, 1), round(25 - float(n) / top * 22, 1)) for at, n in enumerate(numbers) if n is not None
    ]


def _line(points: list[tuple[float, float]], tone: str) -> SafeString:
    if not points:
        return SafeString("")
    path = " ".join(f"{x},{y}" for x, y in points)
    x, y = points[-1]
    return mark_safe(  # noqa: S308 (numbers and words of this file)
        f'<polyline class="tg-spark__{tone}" points="{path}"/><circle class="tg-fill-{tone}" cx="{x}" cy="{y}" r="2"/>'
    )


def _between(costs: list[tuple[float, float]], values: list[tuple[float, float]]) -> SafeString:
    """A tint between the two lines; under a lonely cost line, down to zero."""
    if not costs:
        return SafeString("")
    other = values or [(costs[0][0], 25.0), (costs[-1][0], 25.0)]
    path = " ".join(f"{x},{y}" for x, y in [*costs, *reversed(other)])
    return mark_safe(  # noqa: S308 (numbers and words of this file)
        f'<polygon class="tg-spark__{"between" if values else "under"}" points="{path}"/>'
    )


def _heading(request: HttpRequest, column: Column, sort: str) -> dict[str, Any]:
    descending = sort == f"-{column.sort}"
    is_sorted = bool(column.sort) and sort.lstrip("-") == column.sort
    # The first click shows the largest figure, or the alphabet from its start; the next one turns it round.
    falls_next = not descending if is_sorted else column.is_number
    turned = f"-{column.sort}" if falls_next else column.sort
    return {
        "column": column,
        "aria": ("descending" if descending else "ascending") if is_sorted else "",
        "icon": "arrow-down" if descending else "arrow-up",
        "href": query_with(request, sort=turned, page=None) if column.sort else "",
    }


def _control(bound: BoundField, needs_look: bool) -> SafeString:
    """The field's own widget, tied to its help and its error for those who cannot see them stand there."""
    ids = [f"{bound.auto_id}_help"] if bound.help_text else []
    ids += [f"{bound.auto_id}_error"] if bound.errors else []
    ids += [f"{bound.auto_id}_check"] if needs_look else []
    described = {"aria-describedby": " ".join(ids)} if ids else {}
    return bound.as_widget(attrs={**described, **({"aria-invalid": "true"} if bound.errors else {})})

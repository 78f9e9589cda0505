"""The kit: geometry instead of inline style, and words beside every colour."""

import re
from decimal import Decimal
from html import unescape
from urllib.parse import unquote

import pytest
from django.core.paginator import Paginator
from django.template import Context, Template, TemplateSyntaxError
from django.test import RequestFactory

from apps.web.charts import Chart, Series
from apps.web.parts import Column, Slice


def render(source: str, **context: object) -> str:
    return Template("{% load components figures %}" + source).render(Context(context))


def test_an_icon_is_drawn_from_the_package_and_hidden_from_screen_readers():
    html = render('{% icon "home" %}')
    assert 'aria-hidden="true"' in html
    assert "<path" in html
    assert "<script" not in html


@pytest.mark.parametrize("name", ["no-such-icon", "../../package", "Home"])
def test_an_icon_that_does_not_exist_is_a_mistake(name):
    with pytest.raises(TemplateSyntaxError):
        render("{% icon name %}", name=name)


@pytest.mark.parametrize(("ratio", "width"), [(0.62, "62%"), (0, "0%"), (1.7, "100%"), (-1, "0%"), (None, "0%")])
def test_a_bar_is_as_wide_as_its_share_and_never_leaves_its_track(ratio, width):
    assert f'width="{width}"' in render("{% bar ratio %}", ratio=ratio)


def test_a_limit_is_ticked_at_a_hundred_and_red_beyond():
    assert "tg-fill-hatch-stop" not in render("{% limit_bar 0.92 %}")
    over = render("{% limit_bar 1.1 %}")
    assert "tg-fill-hatch-stop" in over
    assert "110%" in over
    assert "–" in render("{% limit_bar nothing %}", nothing=None)


def test_a_sparkline_says_in_words_what_it_shows_and_leaves_out_the_unknown():
    html = render('{% sparkline costs "from 1 to 3" %}', costs=[1, None, 3])
    assert 'aria-label="from 1 to 3"' in html
    assert html.count(",") == 2 + 4
    assert "<polyline" not in render('{% sparkline costs "nothing known" %}', costs=[None, None])


def test_text_of_others_is_escaped_everywhere():
    evil = '"><script>alert(1)</script>'
    for source in (
        "{% tag x %}",
        "{% avatar x %}",
        "{% share x 0.5 %}",
        "{% stack_bar slices x %}",
        "{% sparkline costs x %}",
    ):
        assert "<script>" not in render(source, x=evil, slices=[Slice(0.5, "cost")], costs=[1, 2])
    assert "<script>" not in render('{% banner "warn" %}{{ x }}{% endbanner %}', x=evil)
    chart = Chart("bars", [evil], [Series(evil, [1])], "money", evil)
    assert "<script>alert" not in render('{% chart "c" chart x %}', chart=chart, x=evil)


def test_a_chart_carries_the_table_of_the_same_figures_with_its_total():
    layers = [Series("Token", [1, 2], "token"), Series("GPU", [None, Decimal("0.5")], "gpu_used")]
    chart = Chart("bars", ["1 Oct", "2 Oct"], layers, "money", "Cost grew.", incomplete=frozenset({1}))
    assert chart.headings == ["Token", "GPU", "Total"]
    assert chart.rows() == [("1 Oct", ["$1.00", "–", "$1.00"]), ("2 Oct, so far", ["$2.00", "$0.50", "$2.50"])]


def test_a_chart_without_figures_says_so_instead_of_drawing_zero():
    html = render(
        '{% chart "c" chart "Cost" %}', chart=Chart("bars", ["1 Oct"], [Series("Token", [None])], "money", "")
    )
    assert "No figures in this period" in html
    assert "data-tg-chart" not in html


def test_headings_sort_by_links_that_keep_the_rest_of_the_address():
    request = RequestFactory().get("/costs/", {"month": "2026-10", "sort": "-cost", "page": "3"})
    columns = [Column("Workload", "name"), Column("Full cost", "cost", is_number=True), Column("Note")]
    html = render('<table>{% table_head columns "-cost" target="rows" %}</table>', request=request, columns=columns)
    assert html.count("aria-sort") == 1
    assert 'aria-sort="descending"' in html
    assert 'href="?month=2026-10&amp;sort=cost"' in html
    assert 'href="?month=2026-10&amp;sort=name"' in html


def test_pages_show_the_range_and_say_that_totals_cover_all():
    request = RequestFactory().get("/", {"sort": "-cost"})
    page = Paginator(range(40), 15).page(2)
    html = render('{% pagination page "workloads" %}', request=request, page=page)
    assert "16 to 30 of 40 workloads, totals cover all" in html
    assert 'href="?sort=-cost&amp;page=3"' in html


def test_a_chart_gives_its_figures_as_a_file_with_every_digit_and_without_formulas():
    chart = Chart("bars", ["=1+1", "2 Oct"], [Series("Token", [Decimal("1.005"), None], "token")], "money", "Cost.")
    html = render('{% chart "c" chart "Cost by day" %}', chart=chart)
    address = unescape(re.search(r'href="(data:text/csv[^"]*)" download="cost-by-day.csv"', html)[1])
    assert unquote(address).splitlines() == ["data:text/csv;charset=utf-8,Day,Token", "'=1+1,1.005", "2 Oct,"]

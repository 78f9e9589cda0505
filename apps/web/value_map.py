"""Value against cost as a picture that the server draws: log scales, break-even line, a shape for each verdict.

Without a script it is there too, each mark is a link. Marks are drawn by size, the smallest last, so that none hides
behind a larger one.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from html import escape
from typing import Final

from django.utils.safestring import SafeString, mark_safe

from apps.core.currencies import sign
from apps.web import figures

LABELLED: Final = 12  # the largest by cost; every stop besides
TENTH: Final = Decimal("0.1")
LETTER: Final = 6.1  # width of a letter at 11 px, about
LINE: Final = 13.0
SMALLEST: Final = 4.5  # half a mark's width
TARGET: Final = 8.0  # half the width of what can be clicked, at least
LARGEST: Final = 18.0


@dataclass(frozen=True, slots=True)
class Spot:
    """A workload to draw: cost and value on the axes, `size` its full cost."""

    name: str
    href: str
    verdict: str
    cost: Decimal
    value: Decimal
    size: Decimal
    title: str


@dataclass(frozen=True, slots=True)
class Label:
    x: float
    y: float
    anchor: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A spot in its place; `r` is half its width."""

    spot: Spot
    x: float
    y: float
    r: float
    label: Label | None = None

    @property
    def path(self) -> str:
        """The shape of the verdict: triangle scale, circle keep, diamond fix, square stop, ring unproven."""
        x, y, r = self.x, self.y, self.r
        if self.spot.verdict == "scale":
            return f"M{x:.1f} {y - r:.1f}L{x + r:.1f} {y + 0.8 * r:.1f}H{x - r:.1f}Z"
        if self.spot.verdict == "fix":
            return f"M{x:.1f} {y - r:.1f}L{x + r:.1f} {y:.1f}L{x:.1f} {y + r:.1f}L{x - r:.1f} {y:.1f}Z"
        if self.spot.verdict == "stop":
            side = 0.88 * r
            return f"M{x - side:.1f} {y - side:.1f}h{2 * side:.1f}v{2 * side:.1f}h{-2 * side:.1f}Z"
        return f"M{x - r:.1f} {y:.1f}a{r:.1f} {r:.1f} 0 1 0 {2 * r:.1f} 0a{r:.1f} {r:.1f} 0 1 0 {-2 * r:.1f} 0Z"

    def drawn(self) -> str:
        """The shape, its name where one fits, and a link over it, as HTML; names are escaped here and only here."""
        spot, label, half = self.spot, self.label, max(self.r, TARGET)
        href, title = escape(spot.href), escape(spot.title)
        name = (
            f'<text class="tg-map__name" x="{label.x:.1f}" y="{label.y:.1f}" text-anchor="{label.anchor}" '
            f'aria-hidden="true">{escape(spot.name)}</text>'
            if label
            else ""
        )
        return (
            f'<path class="tg-map__mark tg-map__mark--{spot.verdict}" d="{self.path}"/>{name}'
            f'<foreignObject x="{self.x - half:.1f}" y="{self.y - half:.1f}" width="{2 * half:.1f}" '
            f'height="{2 * half:.1f}">'
            f'<a class="tg-map__link" href="{href}" title="{title}" aria-label="{title}"></a></foreignObject>'
        )


@dataclass(frozen=True, slots=True)
class Tick:
    at: float
    text: str


@dataclass(frozen=True, slots=True)
class ValueMap:
    """The picture: its box inside the margins, ticks, the line where value equals cost, the marks by size."""

    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]
    even: tuple[float, float, float, float] | None
    loss: str
    marks: Sequence[Mark]
    is_small: bool = False

    @property
    def even_label(self) -> Label | None:
        """Below the upper end of the line, where it says itself what it is."""
        if self.even is None:
            return None
        _, _, x, y = self.even
        return Label(min(x, self.right) - 6, y + 3.4 * LINE, "end")

    def drawn(self, *, label: str, unit: str) -> SafeString:
        """The whole picture as SVG, made here since it has hundreds of parts; `label` says it in words."""
        parts = [
            *self._ground(),
            *self._axes(unit),
            *self._line(),
            *(mark.drawn() for mark in self.marks),
            *self._halves(),
        ]
        small = " tg-map--small" if self.is_small else ""
        return mark_safe(  # noqa: S308 (words are escaped, all else are numbers)
            f'<svg class="tg-map{small}" viewBox="0 0 {self.width:.0f} {self.height:.0f}" role="group" '
            f'aria-label="{escape(label)}">{"".join(parts)}</svg>'
        )

    def _ground(self) -> Iterator[str]:
        if self.loss:
            yield f'<path class="tg-map__loss" d="{self.loss}"/>'
        for tick in self.y_ticks:
            yield _stroke("grid", self.left, tick.at, self.right, tick.at)
            yield _words(self.left - 8, tick.at + 4, tick.text, "end")
        yield _stroke("rule", self.left, self.bottom, self.right, self.bottom)
        for tick in self.x_ticks:
            yield _stroke("rule", tick.at, self.bottom, tick.at, self.bottom + 4)
            yield _words(tick.at, self.bottom + 17, tick.text, "middle")

    def _axes(self, unit: str) -> Iterator[str]:
        yield _words((self.left + self.right) / 2, self.height - 5, f"Full cost {unit}", "middle")
        turned = f'transform="translate(11 {(self.top + self.bottom) / 2:.1f}) rotate(-90)"'
        yield f'<text class="tg-map__axis" text-anchor="middle" {turned}>Value {escape(unit)}</text>'

    def _line(self) -> Iterator[str]:
        if self.even:
            yield _stroke("even", *self.even)
        if label := self.even_label:
            yield _words(label.x, label.y, "break-even", label.anchor)

    def _halves(self) -> Iterator[str]:
        yield _words(self.left + 6, self.top + 10, "worth more than it costs", "start")
        if self.loss:
            yield _words(self.right - 4, self.bottom - 8, "costs more than it is worth", "end", " tg-map__axis--bad")


def _stroke(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="tg-map__{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _words(x: float, y: float, text: str, anchor: str, classes: str = "") -> str:
    return f'<text class="tg-map__axis{classes}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


@dataclass(frozen=True, slots=True)
class _Axis:
    """A logarithmic scale from `low` to `high` (powers of ten) onto `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, amount: float) -> float:
        return self.start + (math.log10(amount) - self.low) / (self.high - self.low) * (self.end - self.start)


def value_map(spots: Sequence[Spot], *, currency: str, width: float, height: float, is_small: bool = False) -> ValueMap:
    """Lay out the spots. Those without a positive cost and value cannot stand on such scales and are left out."""
    shown = sorted((spot for spot in spots if spot.cost > 0 and spot.value > 0), key=lambda spot: -spot.size)
    left, right, top, bottom = 56.0, width - 12.0, 12.0, height - 40.0
    x = _axis([spot.cost for spot in shown], left, right)
    y = _axis([spot.value for spot in shown], bottom, top)
    largest = float(max((spot.size for spot in shown), default=Decimal(1)))
    placed = [
        Mark(spot, x(float(spot.cost)), y(float(spot.value)), _radius(float(spot.size), largest)) for spot in shown
    ]
    line = _even(x, y)
    return ValueMap(
        width=width,
        height=height,
        left=left,
        right=right,
        top=top,
        bottom=bottom,
        x_ticks=list(_ticks(x, currency)),
        y_ticks=list(_ticks(y, currency)),
        even=line,
        loss=_loss(x, y),
        marks=_labelled(placed, (left, top, right, bottom), most=5 if is_small else LABELLED),
        is_small=is_small,
    )


def _axis(amounts: Sequence[Decimal], start: float, end: float) -> _Axis:
    logs = [math.log10(float(amount)) for amount in amounts] or [-2.0, 1.0]
    return _Axis(min(logs) - 0.25, max(logs) + 0.3, start, end)


def _radius(size: float, largest: float) -> float:
    """Area stands for cost, so the width for its root."""
    return max(SMALLEST, LARGEST * math.sqrt(size / largest)) if largest > 0 else SMALLEST


def _ticks(axis: _Axis, currency: str) -> Iterator[Tick]:
    """At the powers of ten, every second one where there would be more than five."""
    powers = range(math.ceil(axis.low), math.floor(axis.high) + 1)
    step = 1 + len(powers) // 6
    for power in powers[::step]:
        amount = Decimal(10) ** power
        shown = figures.compact(amount, currency) if power >= 3 else _price(amount, currency)
        yield Tick(axis(float(amount)), shown)


def _price(amount: Decimal, currency: str) -> str:
    symbol = sign(currency)
    return f"{symbol}{amount.quantize(Decimal('0.01')) if amount == TENTH else amount.normalize():f}"


def _even(x: _Axis, y: _Axis) -> tuple[float, float, float, float] | None:
    """The piece of the line value = cost that lies in the box."""
    low, high = max(x.low, y.low), min(x.high, y.high)
    return None if low >= high else (x(10**low), y(10**low), x(10**high), y(10**high))


def _loss(x: _Axis, y: _Axis) -> str:
    """The corner below that line, where an output costs more than it is worth."""
    low, high = max(x.low, y.low), min(x.high, y.high)
    if low >= high:
        return ""
    points = [(x(10**low), y(10**low)), (x(10**high), y(10**high))]
    if high < x.high:
        points.append((x.end, y.end))
    points += [(x.end, y.start), (x(10**low), y.start)]
    return "M" + "L".join(f"{at:.1f} {down:.1f}" for at, down in points) + "Z"


def _labelled(marks: Sequence[Mark], box: "_Area", *, most: int) -> list[Mark]:
    """Give names to the largest and to every stop, where one fits without touching a name or a large mark."""
    taken = [_own(mark) for mark in marks if mark.r > SMALLEST]
    found = []
    for at, mark in enumerate(marks):
        wanted = at < most or mark.spot.verdict == "stop"
        label, area = _place(mark, taken, box) if wanted else (None, None)
        if area is not None:
            taken.append(area)
        found.append(Mark(mark.spot, mark.x, mark.y, mark.r, label))
    return found


_Area = tuple[float, float, float, float]


def _place(mark: Mark, taken: Sequence[_Area], box: _Area) -> tuple[Label | None, _Area | None]:
    """Right, left, above or below the mark: the first place that is free."""
    wide, gap = LETTER * len(mark.spot.name), mark.r + 5
    own = _own(mark)
    for dx, dy, anchor in ((gap, 4, "start"), (-gap, 4, "end"), (0, -gap - 1, "middle"), (0, gap + 9, "middle")):
        x, y = mark.x + dx, mark.y + dy
        begin = x - {"start": 0.0, "end": wide, "middle": wide / 2}[anchor]
        area = (begin, y - LINE + 3, begin + wide, y + 3)
        inside = area[0] >= box[0] and area[2] <= box[2] and area[1] >= box[1] and area[3] <= box[3]
        if inside and not any(_touching(area, own, taken)):
            return Label(x, y, anchor), area
    return None, None


def _own(mark: Mark) -> _Area:
    return (mark.x - mark.r, mark.y - mark.r, mark.x + mark.r, mark.y + mark.r)


def _touching(one: _Area, own: _Area, taken: Sequence[_Area]) -> Iterator[_Area]:
    left, top, right, bottom = one
    for other in taken:
        if left < other[2] and other[0] < right and top < other[3] and other[1] < bottom and other != own:
            yield other

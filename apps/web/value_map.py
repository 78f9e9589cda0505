"""Value against cost as a picture that the server draws: log scales, break-even line, a shape for each verdict.

Geometry only, in units of the picture; the template places it. Without a script it is there too, each mark is a link.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

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

    def drawn(self) -> SafeString:
        """The shape, its name where one fits, and a link over it; made here, since there are hundreds."""
        label = self.label
        name = (
            format_html(
                '<text class="tg-map__name" x="{}" y="{}" text-anchor="{}" aria-hidden="true">{}</text>',
                f"{label.x:.1f}", f"{label.y:.1f}", label.anchor, self.spot.name,
            )
            if label
            else ""
        )  # fmt: skip
        half = max(self.r, TARGET)
        return format_html(
            '<path class="tg-map__mark tg-map__mark--{}" d="{}"/>{}'
            '<foreignObject x="{}" y="{}" width="{}" height="{}">'
            '<a class="tg-map__link" href="{}" title="{}" aria-label="{}"></a></foreignObject>',
            self.spot.verdict, self.path, name,
            f"{self.x - half:.1f}", f"{self.y - half:.1f}", f"{2 * half:.1f}", f"{2 * half:.1f}",
            self.spot.href, self.spot.title, self.spot.title,
        )  # fmt: skip


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
    def drawn(self) -> SafeString:
        """All marks, the smallest last so that none hides behind a larger one."""
        return format_html_join("", "{}", ((mark.drawn(),) for mark in self.marks))

    @property
    def middle(self) -> float:
        return (self.left + self.right) / 2

    @property
    def half(self) -> float:
        return (self.top + self.bottom) / 2


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
        if inside and not any(_touch(area, other) for other in taken if other != own):
            return Label(x, y, anchor), area
    return None, None


def _own(mark: Mark) -> _Area:
    return (mark.x - mark.r, mark.y - mark.r, mark.x + mark.r, mark.y + mark.r)


def _touch(one: _Area, other: _Area) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]

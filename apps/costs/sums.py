"""When a sum of day lines is unknown: one answer for every page, pack, budget and verdict."""

from decimal import Decimal


def known_sum(amount: Decimal | None, *, lines: int, unknown: int) -> Decimal | None:
    """The sum of some lines, of which `unknown` lack a price or an exchange rate; unknown where all of them do.

    Part of a sum is known and stands, with its marks. A sum of no lines is what it was given as.
    """
    return None if amount is None or (amount == 0 and 0 < lines <= unknown) else amount


def left_out(*, unpriced: int, unconverted: int) -> str:
    """What a sum leaves out, in words; empty where it is all of it."""
    lacking = (("usage without a price", unpriced), ("amounts without an exchange rate", unconverted))
    return " and ".join(words for words, lines in lacking if lines)

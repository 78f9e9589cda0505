"""How sums of money begin in sentences and on pages. Without Django, since pure rules say sums too."""

from typing import Final

SYMBOLS: Final = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥"}


def sign(currency: str) -> str:
    """What stands before the digits: "$", or the code and a space that no line breaks at."""
    return SYMBOLS.get(currency, f"{currency}\u00a0")

"""Marks on a day line beyond those of its hours (see apps/usage/fields.py, which uses the low bits)."""

from typing import Final

RATE_ASSUMED: Final = 1 << 16  # a price of a token type was missing and the next wider one was taken
UNPRICED: Final = 1 << 17  # no price for some of its quantity: the amount covers the rest, or is NULL
REPORTED_PRICE: Final = 1 << 18  # no price known here: the amount is the source's own figure
RATE_CARRIED: Final = 1 << 19  # exchange rate of an earlier business day
QUANTITY_UNKNOWN: Final = 1 << 20  # the source counted calls and told no tokens
EFFECTIVE_UNUSABLE: Final = 1 << 21  # the bill's EffectiveCost cannot be used: its BilledCost stands in
UNCONVERTED: Final = 1 << 22  # an amount without an exchange rate: it stands in its own currency alone

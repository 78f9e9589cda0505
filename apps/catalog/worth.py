"""The class of a model by its price: pure, on USD per 1,000,000 tokens."""

from decimal import Decimal
from typing import Final

from apps.catalog.models import ModelClass

_BELOW: Final = (
    (Decimal(1), ModelClass.ECONOMY),
    (Decimal(5), ModelClass.STANDARD),
    (Decimal(20), ModelClass.PREMIUM),
)
# A model that nobody has priced may be dear: rules that guard dear models hold for it until somebody looks.
CLASS_OF_UNKNOWN: Final = ModelClass.PREMIUM


def mean_price(input_price: Decimal | None, output_price: Decimal | None) -> Decimal:
    """(3 x input + output) / 4: three tokens in for one out. A kind without a price counts as nothing."""
    return (3 * (input_price or Decimal(0)) + (output_price or Decimal(0))) / 4


def class_by_price(price: Decimal) -> ModelClass:
    return next((model_class for limit, model_class in _BELOW if price < limit), ModelClass.FRONTIER)

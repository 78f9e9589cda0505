"""Bodies in which every field is known: a misspelt one would silently count as something nobody said."""

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers


class Known(serializers.Serializer[Any]):
    """Refuses fields that it does not know."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            unknown = sorted(set(map(str, data)) - set(self.fields))
            if unknown:
                raise serializers.ValidationError({name: ["There is no such field."] for name in unknown[:20]})
        return super().to_internal_value(data)

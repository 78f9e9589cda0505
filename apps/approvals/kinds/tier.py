"""What the work is worth: the tier decides what a use case may use, so its owner does not set it alone."""

from apps.approvals.promise import OfPromise


class Tier(OfPromise):
    name = "tier"
    label = "Value tier"
    icon = "stairs-up"
    fields = ("value_tier",)

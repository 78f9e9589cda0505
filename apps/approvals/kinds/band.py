"""How fast it must be: a faster band opens dearer paths."""

from apps.approvals.promise import OfPromise


class Band(OfPromise):
    name = "band"
    label = "Latency band"
    icon = "bolt"
    fields = ("latency_band",)

"""The words of a usage file: fields, call kinds, tiers, flags. Plain constants; nothing here imports Django."""

from collections.abc import Collection
from enum import IntFlag
from typing import Final

REQUESTS: Final = "requests"
USAGE: Final = "usage"
FOCUS: Final = "focus"
FORMATS: Final = (REQUESTS, USAGE, FOCUS)

# Beyond what all the world uses in an hour, and far below what the ledger's 64 bits hold: one absurd cell must not
# make the sum of a month overflow. Counts, amounts of money and durations in ms alike, at every door.
LARGEST: Final = 10**13
LONGEST_PERIOD_DAYS: Final = 31  # of one row of ready usage

# How a time is written; whatever else an engine or Python would read as one is none. A door may take less of it.
DAY: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
CLOCK: Final = r"([01][0-9]|2[0-3]):[0-5][0-9](:([0-5][0-9]|60)([.,][0-9]{1,9})?)?"
SHIFT: Final = r"([+-])([01][0-9]|2[0-3]):?([0-5][0-9])?$"
NAIVE: Final = rf"^{DAY}([T ]{CLOCK})?$"
IN_UTC: Final = rf"^{DAY}[T ]{CLOCK} ?(Z|z|UTC)$"
OFFSET: Final = rf"^{DAY}[T ]{CLOCK} ?{SHIFT}"
MOMENT: Final = rf"{NAIVE}|{IN_UTC}|{OFFSET}"
ZONED: Final = rf"{IN_UTC}|{OFFSET}"

TOKEN_FIELDS: Final = (
    "input_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "reasoning_tokens",
)
FIELDS: Final = {
    REQUESTS: (
        "time",
        "usage_key",
        "provider",
        "model",
        *TOKEN_FIELDS,
        "latency_ms",
        "latency_s",
        "ttft_ms",
        "ttft_s",
        "status",
        "attempt",
        "fallback_from",
        "service_tier",
        "request_id",
    ),
    USAGE: (
        "period_start",
        "period_end",
        "usage_key",
        "provider",
        "model",
        "requests",
        "failed_requests",
        *TOKEN_FIELDS,
        "service_tier",
        "gpu_seconds",
        "gpu_busy_seconds",
        "cost",
        "currency",
    ),
}
MANDATORY: Final = {
    REQUESTS: ("time", "usage_key", "model", "input_tokens", "output_tokens"),
    USAGE: ("period_start", "usage_key", "model"),
    FOCUS: ("BilledCost", "ChargeCategory", "ChargePeriodStart", "ChargePeriodEnd"),
}
# The same in seconds, for files that have it so.
IN_SECONDS: Final = {"latency_s": "latency_ms", "ttft_s": "ttft_ms"}
TIME_FIELDS: Final = {
    REQUESTS: ("time",),
    USAGE: ("period_start", "period_end"),
    FOCUS: ("ChargePeriodStart", "ChargePeriodEnd", "BillingPeriodStart"),
}

TOKEN: Final = "token"  # noqa: S105 - a kind of call
RETRY_FAILED: Final = "retry_failed"
FALLBACK: Final = "fallback"

DELIVERED_WORDS: Final = ("ok", "success", "succeeded", "true")
FAILED_WORDS: Final = ("error", "failure", "failed", "timeout", "false")

SERVICE_TIERS: Final = ("standard", "batch", "flex", "priority")
UNKNOWN: Final = "unknown"
# What providers call their tiers. 'auto' names a wish and not what was served, so it stays unknown.
STANDARD_WORDS: Final = ("default", "standard", "on_demand", "standard_only")

# Columns of FOCUS 1.0 to 1.3 and of its token-billing draft. All are optional when a file is read.
FOCUS_COLUMNS: Final = (
    "AllocatedMethodDetails", "AllocatedMethodId", "AllocatedResourceId", "AllocatedResourceName", "AllocatedTags",
    "AvailabilityZone", "BilledCost", "BillingAccountId", "BillingAccountName", "BillingAccountType",
    "BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart", "CapacityReservationId", "CapacityReservationStatus",
    "ChargeCategory", "ChargeClass", "ChargeDescription", "ChargeFrequency", "ChargePeriodEnd", "ChargePeriodStart",
    "CommitmentDiscountCategory", "CommitmentDiscountId", "CommitmentDiscountName", "CommitmentDiscountQuantity",
    "CommitmentDiscountStatus", "CommitmentDiscountType", "CommitmentDiscountUnit", "ConsumedQuantity",
    "ConsumedUnit", "ContractApplied", "ContractedCost", "ContractedUnitPrice", "CredentialDetails", "CredentialId",
    "EffectiveCost", "HostProviderName", "InvoiceId", "InvoiceIssuerName", "ListCost", "ListUnitPrice",
    "PricingCategory", "PricingCurrency", "PricingCurrencyContractedUnitPrice", "PricingCurrencyEffectiveCost",
    "PricingCurrencyListUnitPrice", "PricingQuantity", "PricingUnit", "PrincipalId", "ProviderName", "PublisherName",
    "RegionId", "RegionName", "RequesterDetails", "ResourceId", "ResourceName", "ResourceType", "ServiceCategory",
    "ServiceName", "ServiceProviderName", "ServiceSubcategory", "SkuId", "SkuMeter", "SkuPriceDetails", "SkuPriceId",
    "SubAccountId", "SubAccountName", "SubAccountType", "Tags",
)  # fmt: skip
# The columns that each version brought: the newest one of which a column is there names the file's version.
FOCUS_SINCE: Final = {
    "1.3": (
        "AllocatedMethodId", "AllocatedMethodDetails", "AllocatedResourceId", "AllocatedResourceName",
        "AllocatedTags", "ContractApplied", "ServiceProviderName", "HostProviderName",
    ),
    "1.2": (
        "BillingAccountType", "SubAccountType", "InvoiceId", "PricingCurrency", "PricingCurrencyEffectiveCost",
        "PricingCurrencyListUnitPrice", "PricingCurrencyContractedUnitPrice",
    ),
    "1.1": (
        "ServiceSubcategory", "SkuMeter", "SkuPriceDetails", "CapacityReservationId", "CapacityReservationStatus",
        "CommitmentDiscountQuantity", "CommitmentDiscountUnit",
    ),
}  # fmt: skip
FOCUS_EXPECTED: Final = (
    "BillingCurrency", "EffectiveCost", "ListCost", "ContractedCost", "ServiceCategory", "ServiceName", "ProviderName",
    "BillingPeriodStart", "ConsumedQuantity", "ConsumedUnit", "SubAccountId", "SkuId", "Tags",
)  # fmt: skip
CHARGE_CATEGORIES: Final = ("Usage", "Purchase", "Tax", "Credit", "Adjustment")


class Flag(IntFlag):
    """What was assumed for some row of an hour. Kept with the hour, shown with the figure."""

    STATUS_ASSUMED = 1  # no status, or one that is not known: counted as delivered
    UPPER_BOUND = 2  # cached tokens unknown: all input is priced as uncached
    TIER_ASSUMED = 4  # no service tier: priced as standard
    BAND_UNKNOWN = 8  # only sums of calls: priced at the base rate
    COARSE_LATENCY = 16  # latency came in other edges and went to the next edge up
    COARSE_PERIOD = 32  # the row covers more than an hour and stands in its first one
    TOKENS_MISSING = 64  # a delivered call without token counts
    ZONE_ASSUMED = 128  # times without zone, read in the zone that was given
    BUSY_UNKNOWN = 256  # allocated GPU time of which the busy share is unknown: counted as used


# Of a row in a signed month, not of what it says: it amends the rows before it, or takes all of them back.
AMENDS: Final = 1 << 14
CANCELS: Final = 1 << 15

NOTES: Final = {
    Flag.STATUS_ASSUMED: "Some calls have no status that is known; they count as delivered.",
    Flag.UPPER_BOUND: "Cached tokens are unknown for some calls; their input is priced as uncached, an upper bound.",
    Flag.TIER_ASSUMED: "The service tier is unknown for some calls; they are priced as standard.",
    Flag.BAND_UNKNOWN: "The prompt size of single calls is unknown; base rates are used.",
    Flag.COARSE_PERIOD: "Some rows cover more than an hour; each stands in its first hour.",
    Flag.TOKENS_MISSING: "Some delivered calls have no token counts; those stay unknown and are not zero.",
    Flag.ZONE_ASSUMED: "Times had no zone; read as {zone}.",
    Flag.BUSY_UNKNOWN: "The busy share of some GPU time is unknown; all that was allocated counts as used.",
}


def missing(form: str, given: Collection[str]) -> list[str]:
    """The fields of a format that a file lacks; a duration is there in whichever unit it is given."""
    there = {*given, *(in_ms for in_s, in_ms in IN_SECONDS.items() if in_s in given)}
    return [name for name in FIELDS[form] if name not in there and name not in IN_SECONDS]

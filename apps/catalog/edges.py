"""Where a list price changes and where a latency is told apart: edges that everything which counts calls shares.

Without Django, since files are read in a process that has none.
"""

from typing import Final

# Above an edge (not at it) *all* tokens of the call take the next price: a cliff, counted on input incl. cache.
PROMPT_BAND_EDGES: Final = (128_000, 200_000, 272_000, 512_000)
UNKNOWN_BAND: Final = -1

# Upper edges, inclusive, in milliseconds. The last bucket has none: a histogram has one count more than edges.
LATENCY_EDGES_MS: Final = (
    50, 100, 200, 300, 500, 800, 1_000, 1_500, 2_000, 2_500, 5_000, 10_000, 15_000, 20_000, 30_000, 40_000, 50_000,
    60_000, 120_000, 240_000, 480_000, 600_000, 960_000, 1_920_000, 7_680_000,
)  # fmt: skip

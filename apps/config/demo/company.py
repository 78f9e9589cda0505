"""Who Larkfield Group is: its cost centres, people and forty uses of AI. Data only; everything here is invented."""

from dataclasses import dataclass
from typing import Final

NAME: Final = "Larkfield Group"
PASSWORD: Final = "calm-ledger-2026"  # noqa: S105 - the demo's, printed by `make up`

# code, name, parent code
COST_CENTRES: Final = (
    ("COM", "Commerce", ""),
    ("ECO", "E-commerce", "COM"),
    ("MKT", "Marketing", "COM"),
    ("SAL", "Sales", "COM"),
    ("CARE", "Customer care", ""),
    ("FIN", "Finance", ""),
    ("PAY", "Payments", "FIN"),
    ("INS", "Insurance", "FIN"),
    ("ENG", "Engineering", ""),
    ("CIT", "Corporate IT", "ENG"),
    ("LEP", "Legal and people", ""),
    ("LEG", "Legal", "LEP"),
    ("PEO", "People", "LEP"),
    ("SUP", "Supply", ""),
)

# name, role (business_owner and member hold none), cost centre of the role ('' = the whole group)
PEOPLE: Final = (
    ("Anna Lindqvist", "administrator", ""),
    ("Felix Adeyemi", "analyst", ""),
    ("Priya Raman", "platform_engineer", ""),
    ("Ruth Calder", "approver", ""),
    ("Jonas Weber", "reviewer", ""),
    ("Mei Tanaka", "auditor", ""),
    ("Tom Becker", "business_owner", ""),
    ("Ines Duarte", "member", ""),
    ("Marta Oyelaran", "", ""),
    ("Noor Haddad", "", ""),
    ("Lena Fischer", "", ""),
    ("Amara Diallo", "", ""),
    ("Hugo Lambert", "", ""),
    ("Sofia Marino", "", ""),
    ("Daniel Kovac", "", ""),
    ("Grace Whitfield", "", ""),
    ("Viktor Hale", "", ""),
    ("Clara Nowak", "", ""),
)

MINI: Final = ("openai", "gpt-4o-mini")
GPT: Final = ("openai", "gpt-4o")
GPT41: Final = ("openai", "gpt-4.1")
NANO: Final = ("openai", "gpt-4.1-nano")
SONNET: Final = ("anthropic", "claude-sonnet-4-5")
HAIKU: Final = ("anthropic", "claude-haiku-4-5")
FLASH: Final = ("google", "gemini-2.5-flash")
Models = tuple[tuple[tuple[str, str], float], ...]


@dataclass(frozen=True, slots=True)
class Use:
    """One workload and its traffic. `cost` is the token cost in USD of the last complete month that traffic aims at."""

    name: str
    centre: str
    tier: str
    unit: str
    band: str
    owner: str
    cost: int
    models: Models
    tokens: tuple[int, int]  # input and output of one call
    audience: str = "employee"
    benefit: str = "labour"
    stage: str = "production"
    purpose: str = ""
    severity: str = "little"
    failure_cost: str = "1.00"
    cached: float = 0.2  # share of the input
    failed: float = 0.02  # failed attempts for each delivered call
    fallback: float = 0.0  # share of delivered calls
    p50: int = 700  # milliseconds
    p95: int = 1_600
    growth: float = 1.015  # calls, from month to month
    months: int = 12  # how long it has been running

    @property
    def slug(self) -> str:
        return self.name.lower().replace(" ", "-")

    @property
    def key(self) -> str:
        """The alias of its key at the gateway."""
        return f"{self.slug}-prod"


def one(model: tuple[str, str]) -> Models:
    return ((model, 1.0),)


USES: Final = (
    Use("Shop search", "ECO", "T1", "search with a click", "interactive", "Hugo Lambert", 53_460,
        ((MINI, 0.7), (FLASH, 0.3)), (2_900, 160), "customer", "revenue",
        purpose="Understands what a shopper types and ranks what the shop has.", severity="cost", failure_cost="0.40",
        cached=0.35, p50=310, p95=640),
    Use("Sales copilot", "SAL", "T2", "accepted answer", "conversational", "Tom Becker", 40_330,
        ((SONNET, 0.74), (GPT, 0.26)), (12_040, 420), "employee", "revenue",
        purpose="Answers a representative's question about a customer, with the sources.", severity="cost",
        failure_cost="12.00", cached=0.05, failed=0.06, fallback=0.04, p50=1_120, p95=2_640, growth=1.02),
    Use("Checkout fraud check", "PAY", "T1", "scored checkout", "interactive", "Amara Diallo", 35_280, one(MINI),
        (5_600, 60), "automation", "risk", purpose="Scores a checkout before the money moves.", severity="serious",
        failure_cost="85.00", cached=0.5, p50=240, p95=590),
    Use("Code assistant", "ENG", "T2", "accepted suggestion", "conversational", "Daniel Kovac", 28_980,
        ((SONNET, 0.6), (HAIKU, 0.4)), (8_200, 380), purpose="Proposes code inside the editor and explains it.",
        cached=0.6, p50=900, p95=1_750, growth=1.03),
    Use("Order status bot", "CARE", "T2", "solved enquiry", "conversational", "Lena Fischer", 20_470, one(GPT),
        (3_400, 260), "customer", purpose="Tells a customer where the order is and what happens next.",
        severity="cost", failure_cost="3.50", cached=0.1, failed=0.04, p50=820, p95=1_900, growth=1.02),
    Use("Contract risk review", "LEG", "T1", "reviewed contract", "batch", "Grace Whitfield", 22_464, one(SONNET),
        (96_000, 4_200), purpose="Marks the clauses of a contract that a lawyer should read first.", severity="serious",
        failure_cost="900.00", cached=0.15, p50=38_000, p95=110_000, growth=0.995),
    Use("Enquiry classification", "CARE", "T3", "label", "near-line", "Lena Fischer", 19_040, one(GPT), (5_900, 40),
        "automation", purpose="Gives each incoming enquiry one of forty labels.", cached=0.0, p50=900, p95=2_400,
        growth=1.03),
    Use("Image studio", "MKT", "T3", "published image", "near-line", "Noor Haddad", 10_200, one(GPT), (6_800, 900),
        purpose="Drafts product pictures and their texts.", p50=7_100, p95=17_500, growth=1.03),
    Use("Claims triage", "INS", "T1", "triaged claim", "near-line", "Sofia Marino", 13_583, one(SONNET),
        (14_500, 700), purpose="Sorts a claim by what it needs and how soon.", severity="serious",
        failure_cost="140.00", p50=4_200, p95=11_800),
    Use("Voice agent", "CARE", "T2", "handled call", "conversational", "Lena Fischer", 11_720,
        ((GPT41, 0.8), (MINI, 0.2)), (7_600, 520), "customer", stage="pilot",
        purpose="Takes calls about opening hours, returns and appointments.", severity="cost", failure_cost="6.00",
        p50=760, p95=1_480, growth=1.3, months=5),
    Use("Meeting notes", "CIT", "T4", "shared note", "batch", "Viktor Hale", 9_585, one(GPT), (28_000, 1_300),
        purpose="Writes down what a meeting decided.", p50=21_000, p95=64_000, growth=1.04),
    Use("Demand forecast", "SUP", "T2", "store-day forecast", "scheduled", "Viktor Hale", 8_928, one(GPT41),
        (4_400, 300), "automation", "margin", purpose="Explains and corrects tomorrow's forecast of each store.",
        p50=2_100, p95=5_200, growth=0.99),
    Use("Support ticket summaries", "CARE", "T2", "ticket summary", "near-line", "Lena Fischer", 5_526, one(MINI),
        (11_800, 340), purpose="Sums up a ticket for whoever takes it over.", p50=1_300, p95=3_700),
    Use("HR policy assistant", "PEO", "T3", "answered question", "conversational", "Grace Whitfield", 4_402, one(GPT),
        (9_200, 410), purpose="Answers questions about leave, travel and benefits.", p50=950, p95=1_900, growth=1.04),
    Use("Invoice extraction", "FIN", "T2", "posted invoice", "batch", "Marta Oyelaran", 4_270, one(HAIKU),
        (5_100, 620), "automation", purpose="Reads an invoice into the fields of the ledger.", severity="cost",
        failure_cost="18.00", p50=5_200, p95=14_000, growth=0.998),
    Use("Product descriptions", "ECO", "T3", "published text", "batch", "Hugo Lambert", 3_960, one(GPT), (3_100, 640),
        purpose="Drafts the text of a new article in four languages.", p50=6_000, p95=15_500),
    Use("Review moderation", "ECO", "T3", "moderated review", "near-line", "Hugo Lambert", 3_120, one(NANO),
        (1_400, 30), "automation", "risk", purpose="Holds back reviews that break the rules.", p50=420, p95=980),
    Use("Size advice", "ECO", "T3", "advice followed", "conversational", "Hugo Lambert", 2_840, one(MINI),
        (3_600, 180), "customer", "margin", purpose="Suggests a size from what the shopper kept before.", p50=520,
        p95=1_150),
    Use("Returns fraud hints", "PAY", "T2", "hint followed", "near-line", "Amara Diallo", 2_760, one(MINI),
        (6_900, 120), "automation", "risk", purpose="Points at returns that look arranged.", severity="cost",
        failure_cost="22.00", p50=1_100, p95=2_900),
    Use("Personalised e-mail", "MKT", "T3", "sent variant", "batch", "Noor Haddad", 2_310, one(MINI), (2_700, 380),
        "customer", "revenue", purpose="Writes the variant of a newsletter that fits a group.", p50=3_000, p95=9_000),
    Use("Campaign ideas", "MKT", "T4", "idea used", "conversational", "Noor Haddad", 2_180, one(GPT), (2_200, 900),
        purpose="Proposes themes and headlines for a campaign.", p50=1_300, p95=1_950),
    Use("Tender answers", "SAL", "T2", "answered question", "batch", "Tom Becker", 2_050, one(SONNET),
        (22_000, 1_100), purpose="Drafts answers to the questions of a tender.", p50=14_000, p95=41_000),
    Use("Call summaries", "SAL", "T3", "shared summary", "near-line", "Tom Becker", 1_940, one(MINI), (9_400, 300),
        purpose="Sums up a sales call for the customer file.", p50=1_600, p95=4_300),
    Use("Lead scoring", "SAL", "T3", "scored lead", "batch", "Tom Becker", 1_310, one(NANO), (2_600, 40),
        "automation", "revenue", purpose="Says which leads to call first.", p50=800, p95=2_000),
    Use("Chargeback letters", "PAY", "T3", "sent letter", "batch", "Amara Diallo", 1_720, one(GPT), (7_800, 900),
        purpose="Drafts the answer to a chargeback with its evidence.", p50=8_200, p95=21_000),
    Use("Expense check", "FIN", "T4", "checked report", "batch", "Marta Oyelaran", 1_240, one(MINI), (4_100, 140),
        "automation", purpose="Finds expenses that break the policy.", p50=1_900, p95=5_000),
    Use("Month-end commentary", "FIN", "T3", "approved comment", "scheduled", "Marta Oyelaran", 980, one(SONNET),
        (31_000, 1_600), purpose="Drafts the comment to each cost centre's month.", p50=18_000, p95=47_000),
    Use("Policy wording check", "INS", "T2", "checked wording", "batch", "Sofia Marino", 1_860, one(SONNET),
        (41_000, 1_200), purpose="Compares a policy's wording with the approved clauses.", severity="serious",
        failure_cost="300.00", p50=16_000, p95=45_000),
    Use("Damage photo notes", "INS", "T3", "note accepted", "near-line", "Sofia Marino", 1_420, one(GPT),
        (3_200, 260), purpose="Describes the damage in a claim's photos.", p50=5_100, p95=12_500),
    Use("Incident summaries", "ENG", "T3", "shared summary", "near-line", "Daniel Kovac", 1_160, one(MINI),
        (18_000, 520), purpose="Sums up an incident from its channel.", p50=2_400, p95=6_900),
    Use("Test generation", "ENG", "T3", "merged test", "batch", "Daniel Kovac", 1_680, one(SONNET), (9_800, 1_900),
        purpose="Writes tests for code that has none.", p50=22_000, p95=70_000, growth=1.05),
    Use("Log anomaly notes", "ENG", "T4", "note read", "scheduled", "Daniel Kovac", 740, one(NANO), (6_400, 120),
        "automation", "risk", purpose="Explains unusual lines of the logs.", p50=1_500, p95=4_000),
    Use("IT help desk bot", "CIT", "T3", "solved enquiry", "conversational", "Viktor Hale", 1_590, one(MINI),
        (5_800, 260), purpose="Answers the usual questions to the help desk.", p50=610, p95=1_350),
    Use("Access request notes", "CIT", "T4", "note used", "batch", "Viktor Hale", 410, one(NANO), (2_100, 90),
        "automation", purpose="Says in one sentence what an access request asks for.", p50=900, p95=2_100),
    Use("Clause library search", "LEG", "T3", "clause used", "conversational", "Grace Whitfield", 890, one(HAIKU),
        (6_700, 240), purpose="Finds the approved clause for a case.", p50=700, p95=1_500),
    Use("Job advert drafts", "PEO", "T4", "published advert", "batch", "Grace Whitfield", 360, one(GPT), (1_900, 700),
        purpose="Drafts a job advert in the house style.", p50=4_000, p95=9_500, months=9),
    Use("Interview summaries", "PEO", "T3", "shared summary", "batch", "Clara Nowak", 520, one(MINI),
        (16_000, 420), purpose="Sums up an interview for the panel.", severity="serious", failure_cost="50.00",
        p50=3_300, p95=8_800, months=7),
    Use("Supplier e-mail triage", "SUP", "T3", "routed e-mail", "near-line", "Viktor Hale", 1_130, one(NANO),
        (3_300, 50), "automation", purpose="Sends a supplier's e-mail to the right desk.", p50=480, p95=1_100),
    Use("Customs codes", "SUP", "T2", "accepted code", "batch", "Viktor Hale", 1_470, one(GPT41), (2_800, 110),
        "automation", purpose="Proposes the customs code of an article.", severity="cost", failure_cost="45.00",
        p50=1_700, p95=4_400),
    Use("Delivery note reading", "SUP", "T3", "posted note", "batch", "Viktor Hale", 1_260, one(HAIKU), (2_400, 310),
        "automation", purpose="Reads delivery notes into the warehouse system.", p50=2_600, p95=7_000),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stray:
    """Usage at the gateway that no workload claims. `since` counts days before the end of the last complete month."""

    key: str
    cost: float
    model: tuple[str, str]
    since: int


# Spend of the last complete month in USD, as the unallocated workbench shows it.
STRAYS: Final = (
    Stray("team-growth-exp", 5_210.40, GPT, 56),
    Stray("proj_scratch", 2_046.72, GPT41, 105),
    Stray("default", 918.66, SONNET, 81),
    Stray("sk-…7f2a", 502.19, MINI, 2),
    Stray("hackday-2026", 98.20, MINI, 12),
    Stray("notebook-jh", 74.15, HAIKU, 33),
    Stray("eval-nightly", 61.40, NANO, 140),
    Stray("tmp-migration", 44.90, MINI, 20),
    Stray("poc-avatar", 31.75, GPT, 47),
    Stray("legal-trial", 22.05, HAIKU, 64),
    Stray("intern-2", 15.30, MINI, 9),
    Stray("unknown-cli", 10.10, MINI, 28),
)

"""Signed months: lines that correct, roll-ups that tell signed from restated, and exchange rates that stay.

A correction is a line of revision > 0, booked in the open month. What it adds to a figure can be negative, and so can
what it adds to a count: `lines` is 1 for a line whose key is new, 0 for one that corrects another, -1 for one that
takes it away; `flags` are the marks that come with it and `cleared` those that go.
"""

from django.db import migrations

UNCONVERTED = 1 << 22

LINES = f"""
INSERT INTO core_monthly_table VALUES ('costs_line', 'date');
ALTER TABLE costs_line ADD COLUMN cleared integer NOT NULL DEFAULT 0, ADD COLUMN lines smallint NOT NULL DEFAULT 1,
    ADD CONSTRAINT costs_line_correction CHECK (CASE WHEN revision = 0
        THEN booked_month = charge_month AND cause = '' AND cleared = 0 AND lines = 1
        ELSE booked_month > charge_month AND cause <> '' AND lines BETWEEN -1 AND 1 END);
UPDATE costs_line SET flags = flags | {UNCONVERTED} WHERE amount IS NOT NULL AND amount_org IS NULL;
CREATE INDEX costs_line_booked ON costs_line (booked_month, charge_month) WHERE revision > 0;
"""

# The rate with which the lines of a day were converted. It follows the rate of that day until the month is signed.
FX = """
CREATE TABLE costs_fx (
    day date NOT NULL,
    currency text NOT NULL,
    quote text NOT NULL,
    rate numeric(38,18) NOT NULL,
    as_of date NOT NULL,
    PRIMARY KEY (day, currency, quote)
);
INSERT INTO costs_fx
SELECT DISTINCT f.day, f.currency, f.quote, f.rate, f.as_of
FROM core_organisation o JOIN catalog_fx f ON f.quote = o.currency
    JOIN costs_line l ON l.day = f.day AND l.currency = f.currency;
"""


def booked(table: str, month: str, key: str) -> str:
    return f"""
ALTER TABLE {table} ADD COLUMN booked_month date;
UPDATE {table} SET booked_month = {month};
ALTER TABLE {table} ALTER COLUMN booked_month SET NOT NULL, DROP CONSTRAINT {table}_key,
    ADD CONSTRAINT {table}_key UNIQUE NULLS NOT DISTINCT ({key});
CREATE INDEX {table}_booked ON {table} (booked_month) WHERE booked_month <> {month};
"""


def unbooked(table: str, key: str) -> str:
    return f"""
ALTER TABLE {table} DROP CONSTRAINT {table}_key, DROP COLUMN booked_month,
    ADD CONSTRAINT {table}_key UNIQUE NULLS NOT DISTINCT ({key});
"""


MONTH = "charge_month, workload_id, offering_id, source_id, component, basis, role, currency"
DAY = "day, allocated, offering_id, source_id, component, basis, role, currency"
OWNER = "charge_month, workload_id, basis, role"
# A month's first day without leaving the immutable functions, which an index asks for.
OF_DAY = "make_date(extract(year FROM day)::int, extract(month FROM day)::int, 1)"

ROLL_UPS = (
    booked("costs_month", "charge_month", MONTH.replace("charge_month,", "charge_month, booked_month,"))
    + booked("costs_day", OF_DAY, DAY.replace("day,", "day, booked_month,", 1))
    + booked("costs_owner_month", "charge_month", OWNER.replace("charge_month,", "charge_month, booked_month,"))
)
BACK = (
    (unbooked("costs_month", MONTH) + unbooked("costs_day", DAY) + unbooked("costs_owner_month", OWNER))
    + """
DROP TABLE costs_fx;
DROP INDEX costs_line_booked;
ALTER TABLE costs_line DROP CONSTRAINT costs_line_correction, DROP COLUMN lines, DROP COLUMN cleared;
DELETE FROM core_monthly_table WHERE name = 'costs_line';
"""
)


class Migration(migrations.Migration):
    dependencies = [("costs", "0005_changed_day"), ("core", "0003_signed_months"), ("usage", "0003_corrections")]
    operations = [migrations.RunSQL(LINES + FX + ROLL_UPS, BACK)]

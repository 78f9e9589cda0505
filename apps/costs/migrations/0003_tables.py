"""Day lines, partitioned by month of the day, and their two roll-ups, which the pages sum instead of scanning lines."""

from django.db import migrations

LINE = """
CREATE SEQUENCE costs_line_id;

CREATE TABLE costs_line (
    id bigint NOT NULL DEFAULT nextval('costs_line_id'),
    day date NOT NULL,
    charge_month date NOT NULL,
    booked_month date NOT NULL,
    revision smallint NOT NULL DEFAULT 0,
    cause text NOT NULL DEFAULT '',
    workload_id bigint,
    identity_id bigint,
    offering_id bigint,
    source_id bigint NOT NULL,
    component text NOT NULL,
    basis text NOT NULL,
    role text NOT NULL,
    quantity numeric(38,18),
    requests bigint,
    amount numeric(38,18),
    currency text NOT NULL,
    amount_org numeric(38,18),
    unpriced_tokens bigint NOT NULL DEFAULT 0,
    flags integer NOT NULL DEFAULT 0,
    allocation_run_id bigint,
    CONSTRAINT costs_line_numbers CHECK (
        (amount IS NULL OR amount <> 'NaN') AND (amount_org IS NULL OR amount_org <> 'NaN')),
    CONSTRAINT costs_line_basis CHECK (basis IN ('computed', 'billed', 'effective', 'internal')),
    CONSTRAINT costs_line_role CHECK (role IN ('counts', 'checks')),
    CONSTRAINT costs_line_key UNIQUE NULLS NOT DISTINCT (
        day, identity_id, workload_id, offering_id, source_id, component, basis, role, currency, revision, cause,
        allocation_run_id)
) PARTITION BY RANGE (day);
CREATE INDEX costs_line_workload ON costs_line (workload_id, day);

CREATE INDEX costs_dirty_day_day ON costs_dirty_day (day, identity_id);
"""

MEASURES = """
    amount numeric(38,18) NOT NULL DEFAULT 0,
    amount_org numeric(38,18) NOT NULL DEFAULT 0,
    quantity numeric(38,18) NOT NULL DEFAULT 0,
    requests bigint NOT NULL DEFAULT 0,
    unpriced_tokens bigint NOT NULL DEFAULT 0,
    unpriced_lines bigint NOT NULL DEFAULT 0,
    unconverted_lines bigint NOT NULL DEFAULT 0,
    assumed_lines bigint NOT NULL DEFAULT 0,
    upper_bound_lines bigint NOT NULL DEFAULT 0,
    tier_assumed_lines bigint NOT NULL DEFAULT 0,
    carried_lines bigint NOT NULL DEFAULT 0,
    lines bigint NOT NULL DEFAULT 0,
"""

ROLLUPS = f"""
CREATE TABLE costs_month (
    charge_month date NOT NULL,
    workload_id bigint,
    offering_id bigint,
    source_id bigint NOT NULL,
    component text NOT NULL,
    basis text NOT NULL,
    role text NOT NULL,
    currency text NOT NULL,
    {MEASURES}
    CONSTRAINT costs_month_key UNIQUE NULLS NOT DISTINCT (
        charge_month, workload_id, offering_id, source_id, component, basis, role, currency)
);
CREATE INDEX costs_month_workload ON costs_month (workload_id, charge_month);

CREATE TABLE costs_day (
    day date NOT NULL,
    allocated boolean NOT NULL,
    offering_id bigint,
    source_id bigint NOT NULL,
    component text NOT NULL,
    basis text NOT NULL,
    role text NOT NULL,
    currency text NOT NULL,
    {MEASURES}
    CONSTRAINT costs_day_key UNIQUE NULLS NOT DISTINCT (
        day, allocated, offering_id, source_id, component, basis, role, currency)
);
"""


class Migration(migrations.Migration):
    dependencies = [("costs", "0002_initial"), ("usage", "0002_tables")]
    operations = [
        migrations.RunSQL(LINE, "DROP TABLE costs_line; DROP SEQUENCE costs_line_id;"),
        migrations.RunSQL(ROLLUPS, "DROP TABLE costs_month; DROP TABLE costs_day;"),
    ]

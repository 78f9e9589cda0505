"""What signed months take: corrections. The two big tables are made known to the signing, and charges learn to cancel."""

from django.db import migrations

MONTHLY = "INSERT INTO core_monthly_table VALUES ('usage_hour', 'timestamptz'), ('usage_charge', 'timestamptz');"

# A charge has no measures that could be corrected by a difference: its row is taken back whole, and said anew.
CANCELS = """
ALTER TABLE usage_charge ADD COLUMN cancels boolean NOT NULL DEFAULT false,
    ADD CONSTRAINT usage_charge_cancels CHECK (revision > 0 OR NOT cancels);
"""

# Histograms are added count by count; an unknown one adds nothing.
COUNTS = """
CREATE FUNCTION usage_counts_added(one bigint[], other bigint[]) RETURNS bigint[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN one IS NULL THEN other WHEN other IS NULL THEN one ELSE (
        SELECT array_agg(coalesce(a, 0) + coalesce(b, 0) ORDER BY place)
        FROM unnest(one, other) WITH ORDINALITY AS pairs (a, b, place)) END
$$;
CREATE FUNCTION usage_counts_negated(counts bigint[]) RETURNS bigint[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN counts IS NOT NULL THEN (
        SELECT array_agg(-a ORDER BY place) FROM unnest(counts) WITH ORDINALITY AS each (a, place)) END
$$;
CREATE AGGREGATE usage_counts_sum(bigint[]) (SFUNC = usage_counts_added, STYPE = bigint[]);
"""
BACK = """
DROP AGGREGATE usage_counts_sum(bigint[]);
DROP FUNCTION usage_counts_negated(bigint[]);
DROP FUNCTION usage_counts_added(bigint[], bigint[]);
ALTER TABLE usage_charge DROP COLUMN cancels;
DELETE FROM core_monthly_table WHERE name IN ('usage_hour', 'usage_charge');
"""


class Migration(migrations.Migration):
    dependencies = [("usage", "0002_tables"), ("core", "0003_signed_months")]
    operations = [migrations.RunSQL(MONTHLY + CANCELS + COUNTS, BACK)]

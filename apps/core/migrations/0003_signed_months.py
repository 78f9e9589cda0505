"""Months and their partitions are made, signed and reopened by the database's owner alone.

The application's role may run no DDL and may only read `core_period`. What it needs of both it gets through functions
that run as their owner (SECURITY DEFINER) with a fixed search path, and that do nothing but what their names say.

A month that was signed once never again takes, changes or loses a row of revision 0: triggers on its own partitions
refuse that. Open partitions carry none, so that COPY stays as fast as it is. Firing ALWAYS, they hold in sessions that
replicate, too.
"""

from django.db import migrations

TABLES = """
CREATE TABLE core_monthly_table (
    name text PRIMARY KEY,
    edge text NOT NULL CHECK (edge IN ('timestamptz', 'date'))
);
COMMENT ON TABLE core_monthly_table IS 'Tables partitioned by accounting month; edge is the type of their bounds.';
"""

REFUSE = """
CREATE FUNCTION core_refuse_signed() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    RAISE EXCEPTION '% holds a signed month: % is refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'integrity_constraint_violation',
            HINT = 'Corrections of a signed month are new rows of a later revision.';
END $$;

CREATE FUNCTION core_lock_partition(part text) RETURNS void LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    EXECUTE format('CREATE OR REPLACE TRIGGER signed_insert BEFORE INSERT ON %I FOR EACH ROW '
        'WHEN (NEW.revision = 0) EXECUTE FUNCTION core_refuse_signed()', part);
    EXECUTE format('CREATE OR REPLACE TRIGGER signed_change BEFORE UPDATE OR DELETE ON %I FOR EACH ROW '
        'EXECUTE FUNCTION core_refuse_signed()', part);
    EXECUTE format('CREATE OR REPLACE TRIGGER signed_truncate BEFORE TRUNCATE ON %I FOR EACH STATEMENT '
        'EXECUTE FUNCTION core_refuse_signed()', part);
    EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER signed_insert, ENABLE ALWAYS TRIGGER signed_change, '
        'ENABLE ALWAYS TRIGGER signed_truncate', part);
END $$;
REVOKE ALL ON FUNCTION core_lock_partition(text) FROM PUBLIC;
"""

# A partition is made beside its parent and then attached: that lock lets readers of the parent go on. Two imports may
# need the same month at once; the second waits and then finds it.
ENSURE = """
CREATE FUNCTION core_ensure_month(wanted date, starts timestamptz, ends timestamptz, tables text[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    each record;
    part text;
    period record;
BEGIN
    INSERT INTO core_period (month, starts_at, ends_at, state, revision, pack_sha256)
    VALUES (wanted, starts, ends, 'open', 0, '') ON CONFLICT (month) DO NOTHING;
    SELECT * INTO STRICT period FROM core_period WHERE month = wanted;
    FOR each IN SELECT t.name, t.edge FROM core_monthly_table t WHERE t.name = ANY(tables) ORDER BY t.name LOOP
        part := each.name || to_char(wanted, '_YYYY_MM');
        CONTINUE WHEN EXISTS (SELECT FROM pg_class WHERE relname = part AND relnamespace = 'public'::regnamespace);
        PERFORM pg_advisory_xact_lock(7301002);
        CONTINUE WHEN EXISTS (SELECT FROM pg_class WHERE relname = part AND relnamespace = 'public'::regnamespace);
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', part, each.name);
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', each.name, part,
            CASE each.edge WHEN 'date' THEN wanted::text ELSE period.starts_at::text END,
            CASE each.edge WHEN 'date' THEN (wanted + interval '1 month')::date::text ELSE period.ends_at::text END);
        IF period.revision > 0 THEN
            PERFORM core_lock_partition(part);
        END IF;
    END LOOP;
END $$;
REVOKE ALL ON FUNCTION core_ensure_month(date, timestamptz, timestamptz, text[]) FROM PUBLIC;
"""

# Whoever writes rows of months holds the signing lock shared (core/periods.py, hold_still). To wait for it alone keeps
# later ones waiting too, so it is tried for less than a second at a time. The first lock hinders nobody but a vacuum,
# which it ends: the locks that follow are then there at once.
SIGN = """
CREATE FUNCTION core_sign_month(wanted date, pack text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '800ms' AS $$
DECLARE
    part text;
    found text;
    parts text[];
BEGIN
    SELECT coalesce(array_agg(c.relname::text ORDER BY c.relname), '{}') INTO parts
    FROM core_monthly_table t JOIN pg_class c
        ON c.relname = t.name || to_char(wanted, '_YYYY_MM') AND c.relnamespace = 'public'::regnamespace;
    PERFORM set_config('lock_timeout', '5s', true);
    FOREACH part IN ARRAY parts LOOP
        EXECUTE format('LOCK TABLE %I IN SHARE UPDATE EXCLUSIVE MODE', part);
    END LOOP;
    PERFORM set_config('lock_timeout', '800ms', true);
    PERFORM pg_advisory_xact_lock(7301004);
    SELECT state INTO STRICT found FROM core_period WHERE month = wanted FOR UPDATE;
    IF found = 'signed' THEN
        RAISE EXCEPTION '% is signed already', to_char(wanted, 'YYYY-MM') USING ERRCODE = 'object_in_use';
    END IF;
    FOREACH part IN ARRAY parts LOOP
        PERFORM core_lock_partition(part);
    END LOOP;
    UPDATE core_period SET state = 'signed', revision = revision + 1, signed_at = now(), pack_sha256 = pack
    WHERE month = wanted;
END $$;
REVOKE ALL ON FUNCTION core_sign_month(date, text) FROM PUBLIC;

CREATE FUNCTION core_move_month(wanted date, target text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE core_period SET state = target WHERE month = wanted
        AND (state::text, target) IN (('open', 'closing'), ('closing', 'open'), ('signed', 'reopened'));
    RETURN FOUND;
END $$;
REVOKE ALL ON FUNCTION core_move_month(date, text) FROM PUBLIC;
"""

# For everybody, the owner included: what was signed stays said.
GUARD = """
CREATE FUNCTION core_guard_period() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF TG_OP = 'DELETE' OR NEW.month <> OLD.month OR NEW.starts_at <> OLD.starts_at OR NEW.ends_at <> OLD.ends_at
        OR NEW.revision < OLD.revision OR NEW.state NOT IN ('signed', 'reopened') THEN
        RAISE EXCEPTION 'The month % was signed and stays so', OLD.month
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER signed_stays BEFORE UPDATE OR DELETE ON core_period FOR EACH ROW WHEN (OLD.revision > 0)
    EXECUTE FUNCTION core_guard_period();
"""

BACK = """
DROP TRIGGER signed_stays ON core_period;
DROP FUNCTION core_guard_period();
DROP FUNCTION core_move_month(date, text);
DROP FUNCTION core_sign_month(date, text);
DROP FUNCTION core_ensure_month(date, timestamptz, timestamptz, text[]);
DROP FUNCTION core_lock_partition(text);
DROP FUNCTION core_refuse_signed();
DROP TABLE core_monthly_table;
"""


class Migration(migrations.Migration):
    dependencies = [("core", "0002_audit_xid")]
    operations = [migrations.RunSQL(TABLES + REFUSE + ENSURE + SIGN + GUARD, BACK)]

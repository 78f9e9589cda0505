"""Nothing more is booked in a month that was signed.

Corrections are the only lines that are booked in another month than their own. Those of signed months land in
partitions that have triggers anyhow; open partitions go on without any, and the nightly proof looks at theirs.
"""

from django.db import migrations

REFUSE = """
CREATE FUNCTION core_refuse_booking() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM core_period WHERE month = NEW.booked_month AND revision > 0) THEN
        RAISE EXCEPTION '% was signed: nothing more is booked in it', to_char(NEW.booked_month, 'YYYY-MM')
            USING ERRCODE = 'integrity_constraint_violation', HINT = 'Corrections are booked in the open month.';
    END IF;
    RETURN NEW;
END $$;
"""

LOCK = """
CREATE OR REPLACE FUNCTION core_lock_partition(part text) RETURNS void
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    EXECUTE format('CREATE OR REPLACE TRIGGER signed_insert BEFORE INSERT ON %I FOR EACH ROW '
        'WHEN (NEW.revision = 0) EXECUTE FUNCTION core_refuse_signed()', part);
    EXECUTE format('CREATE OR REPLACE TRIGGER signed_change BEFORE UPDATE OR DELETE ON %I FOR EACH ROW '
        'EXECUTE FUNCTION core_refuse_signed()', part);
    EXECUTE format('CREATE OR REPLACE TRIGGER signed_truncate BEFORE TRUNCATE ON %I FOR EACH STATEMENT '
        'EXECUTE FUNCTION core_refuse_signed()', part);
    EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER signed_insert, ENABLE ALWAYS TRIGGER signed_change, '
        'ENABLE ALWAYS TRIGGER signed_truncate', part);{booking}
END $$;
"""

BOOKING = """
    IF EXISTS (SELECT FROM pg_attribute WHERE attrelid = part::regclass AND attname = 'booked_month') THEN
        EXECUTE format('CREATE OR REPLACE TRIGGER signed_booking BEFORE INSERT ON %I FOR EACH ROW '
            'WHEN (NEW.revision > 0) EXECUTE FUNCTION core_refuse_booking()', part);
        EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER signed_booking', part);
    END IF;"""

# Those of months that are signed already.
EXISTING = """
DO $$
DECLARE
    part text;
BEGIN
    FOR part IN SELECT c.relname FROM core_period p CROSS JOIN core_monthly_table t
        JOIN pg_class c ON c.relname = t.name || to_char(p.month, '_YYYY_MM')
            AND c.relnamespace = 'public'::regnamespace
        WHERE p.revision > 0 LOOP
        PERFORM core_lock_partition(part);
    END LOOP;
END $$;
"""

BACK = """
DO $$
DECLARE
    part regclass;
BEGIN
    FOR part IN SELECT tgrelid FROM pg_trigger WHERE tgname = 'signed_booking' LOOP
        EXECUTE format('DROP TRIGGER signed_booking ON %s', part);
    END LOOP;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("core", "0003_signed_months")]
    operations = [
        migrations.RunSQL(
            REFUSE + LOCK.replace("{booking}", BOOKING) + EXISTING,
            BACK + LOCK.replace("{booking}", "") + "DROP FUNCTION core_refuse_booking();",
        )
    ]

"""Word of every change of a band, its limit or a mandate, written in its own transaction so that none is lost.

Looking for newer revisions by their time would lose one: its time is that of its transaction's start, and a month may
be worked out between that and its end.
"""

from django.db import migrations

TRIGGERS = """
CREATE FUNCTION economics_promise_changed() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO economics_changed_promise (workload_id) VALUES (NEW.workload_id);
    RETURN NULL;
END $$;
CREATE TRIGGER economics_promise_changed AFTER INSERT ON workloads_revision
    FOR EACH ROW EXECUTE FUNCTION economics_promise_changed();

CREATE FUNCTION economics_limit_changed() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO economics_changed_promise (workload_id)
    SELECT DISTINCT workload_id FROM workloads_revision WHERE latency_band_id = NEW.code;
    RETURN NULL;
END $$;
CREATE TRIGGER economics_limit_changed AFTER UPDATE ON catalog_latency_band
    FOR EACH ROW WHEN (OLD.limit_ms IS DISTINCT FROM NEW.limit_ms) EXECUTE FUNCTION economics_limit_changed();
"""
BACK = """
DROP TRIGGER economics_limit_changed ON catalog_latency_band;
DROP FUNCTION economics_limit_changed();
DROP TRIGGER economics_promise_changed ON workloads_revision;
DROP FUNCTION economics_promise_changed();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("economics", "0002_worth_in_part"),
        ("catalog", "0001_initial"),
        ("workloads", "0001_initial"),
    ]
    operations = [migrations.RunSQL(TRIGGERS, BACK)]

"""Each audit event knows its transaction, so that the sealer can tell what may still be overtaken (see audit.py)."""

from django.db import migrations

ADD = """
ALTER TABLE core_audit_event ADD COLUMN xid xid8 NOT NULL DEFAULT pg_current_xact_id();
CREATE INDEX core_audit_event_xid ON core_audit_event (xid, id);
"""


class Migration(migrations.Migration):
    dependencies = [("core", "0001_initial")]
    operations = [migrations.RunSQL(ADD, "ALTER TABLE core_audit_event DROP COLUMN xid;")]

"""A value case counts by the decision of somebody else, about the very version that was seen."""

from django.db import migrations

CASES = r"""
CREATE FUNCTION approvals_guard_case() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND (OLD.attested_by_id, OLD.attested_at, OLD.decision_id)
       IS NOT DISTINCT FROM (NEW.attested_by_id, NEW.attested_at, NEW.decision_id) THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'UPDATE' AND OLD.attested_at IS NOT NULL THEN
        RAISE EXCEPTION 'What was attested stays attested, by whom it was.';
    END IF;
    IF NEW.attested_by_id IS NULL AND NEW.attested_at IS NULL AND NEW.decision_id IS NULL THEN
        RETURN NEW;
    END IF;
    IF NOT EXISTS (
        SELECT FROM approvals_decision d JOIN approvals_confirmation c ON c.id = d.confirmation_id
         WHERE d.id = NEW.decision_id AND d.verdict = 'confirm' AND d.person_id = NEW.attested_by_id
           AND c.kind = 'attestation' AND c.subject_kind = 'economics.valuecase' AND c.subject_id = NEW.id
           AND c.workload_id = NEW.workload_id AND c.proposed -> 'assumptions' = NEW.assumptions) THEN
        RAISE EXCEPTION 'A value case is attested by the decision of somebody else.';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER approvals_guard_case BEFORE INSERT OR UPDATE ON economics_value_case
    FOR EACH ROW EXECUTE FUNCTION approvals_guard_case();
"""
CASES_BACK = r"""
DROP TRIGGER approvals_guard_case ON economics_value_case;
DROP FUNCTION approvals_guard_case();
"""


class Migration(migrations.Migration):
    dependencies = [("approvals", "0002_proof"), ("economics", "0001_initial")]
    operations = [migrations.RunSQL(CASES, CASES_BACK)]

"""A contract price is laid and ended by the decision of somebody else, except in the founding time (see 0004).

Looked at when the transaction commits: a new price first stands beside what it takes the place of, and what sticks out
of that goes on as copies. A copy within the period of an older row says nothing new. Whoever numbers rows themselves
gains nothing: a copy is justified by a lower number, and the lowest one by a decision.
"""

from django.db import migrations

PRICES = ("input", "cached", "cache_write", "cache_write_1h", "output", "reasoning", "gpu_hour")
ROW = ", ".join(f"{{0}}.{name}" for name in PRICES)
TOLD = ", ".join(f"(c.proposed -> 'prices' ->> '{name}')::numeric" for name in PRICES)

LAID = rf"""
CREATE FUNCTION approvals_guard_price() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    period tstzrange := tstzrange(NEW.valid_from, NEW.valid_to);
BEGIN
    IF (SELECT count(DISTINCT person_id) FROM accounts_role_grant WHERE role = 'administrator') < 2 THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'UPDATE' THEN
        IF EXISTS (
            SELECT FROM approvals_confirmation c JOIN approvals_decision d ON d.confirmation_id = c.id
             WHERE c.kind = 'contract_rate' AND d.verdict = 'confirm' AND c.proposed ->> 'deed' = 'end'
               AND c.proposed ->> 'rate' = NEW.id::text) THEN
            RETURN NULL;
        END IF;
        IF period <@ (
            SELECT range_agg(tstzrange(r.valid_from, r.valid_to)) FROM catalog_rate r
             WHERE r.scope = 'contract' AND r.superseded_by_id IS NULL AND r.offering_id = NEW.offering_id
               AND r.service_tier = NEW.service_tier AND r.prompt_band = NEW.prompt_band) THEN
            RETURN NULL;
        END IF;
        RAISE EXCEPTION 'A contract price is ended by the decision of somebody else.';
    END IF;
    IF EXISTS (
        SELECT FROM approvals_confirmation c JOIN approvals_decision d ON d.confirmation_id = c.id
         WHERE c.kind = 'contract_rate' AND d.verdict = 'confirm' AND c.subject_kind = 'catalog.offering'
           AND c.subject_id = NEW.offering_id AND c.proposed ->> 'deed' IN ('add', 'correct')
           AND (c.proposed ->> 'service_tier', c.proposed ->> 'prompt_band', c.proposed ->> 'currency')
               = (NEW.service_tier, NEW.prompt_band::text, NEW.currency)
           AND tstzrange((c.proposed ->> 'valid_from')::timestamptz, (c.proposed ->> 'valid_to')::timestamptz) @> period
           AND ({TOLD}) IS NOT DISTINCT FROM ({ROW.format("NEW")})) THEN
        RETURN NULL;
    END IF;
    IF EXISTS (
        SELECT FROM catalog_rate r
         WHERE r.id < NEW.id AND r.scope = 'contract' AND r.offering_id = NEW.offering_id
           AND r.service_tier = NEW.service_tier AND r.prompt_band = NEW.prompt_band AND r.currency = NEW.currency
           AND tstzrange(r.valid_from, r.valid_to) @> period
           AND ({ROW.format("r")}) IS NOT DISTINCT FROM ({ROW.format("NEW")})) THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'A contract price takes the decision of somebody else.';
END $$;
CREATE CONSTRAINT TRIGGER approvals_guard_price AFTER INSERT ON catalog_rate DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.scope = 'contract') EXECUTE FUNCTION approvals_guard_price();
CREATE CONSTRAINT TRIGGER approvals_guard_price_end AFTER UPDATE ON catalog_rate DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.scope = 'contract') EXECUTE FUNCTION approvals_guard_price();
"""
BACK = r"""
DROP TRIGGER approvals_guard_price_end ON catalog_rate;
DROP TRIGGER approvals_guard_price ON catalog_rate;
DROP FUNCTION approvals_guard_price();
"""


class Migration(migrations.Migration):
    dependencies = [("approvals", "0005_waiting"), ("catalog", "0002_reference_data")]
    operations = [migrations.RunSQL(LAID, BACK)]

"""What makes a signed month valid, held by the database: services say it earlier and in words, and cannot lift it.

A pack belongs to an open review, as its next revision, and its signer reviews the whole organisation. A month is signed
with the pack of its review and opened again by a confirmed decision about that very signature. A waiver takes such a
decision, too. While a review is signed off, nothing of it comes, goes or changes.
"""

from django.db import migrations, models

PACKS = r"""
CREATE FUNCTION reviews_guard_pack() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    c reviews_cycle;
    said jsonb;
BEGIN
    SELECT * INTO c FROM reviews_cycle WHERE id = NEW.cycle_id FOR UPDATE;
    IF c.state <> 'open' OR NEW.revision <> c.revision + 1 THEN
        RAISE EXCEPTION 'A pack is the next one of an open review.';
    END IF;
    said := NEW.body::jsonb;
    IF (said ->> 'month', said ->> 'revision', said ->> 'signed_by')
       IS DISTINCT FROM (c.month::text, NEW.revision::text, NEW.signed_by_id::text) THEN
        RAISE EXCEPTION 'The pack tells of another month, revision or signer.';
    END IF;
    IF NOT EXISTS (
        SELECT FROM accounts_role_grant g JOIN accounts_person p ON p.id = g.person_id AND p.active
         WHERE g.person_id = NEW.signed_by_id AND g.role = 'reviewer' AND g.cost_centre_id IS NULL
           AND g.valid_from <= clock_timestamp() AND (g.valid_to IS NULL OR g.valid_to > clock_timestamp())) THEN
        RAISE EXCEPTION 'A month is signed by a reviewer of the whole organisation.';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER reviews_guard_pack BEFORE INSERT ON reviews_pack
    FOR EACH ROW EXECUTE FUNCTION reviews_guard_pack();
"""
PACKS_BACK = r"""
DROP TRIGGER reviews_guard_pack ON reviews_pack;
DROP FUNCTION reviews_guard_pack();
"""

# The proposal names the revision that was signed, so that a decision opens one signature and no later one.
MONTHS = r"""
CREATE FUNCTION reviews_may_reopen(cycle bigint, signed integer) RETURNS boolean
LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
    SELECT EXISTS (
        SELECT FROM approvals_decision d JOIN approvals_confirmation c ON c.id = d.confirmation_id
         WHERE d.verdict = 'confirm' AND c.kind = 'reopen' AND c.subject_kind = 'reviews.cycle'
           AND c.subject_id = cycle AND c.proposed ->> 'revision' = signed::text)
$$;

CREATE FUNCTION reviews_guard_cycle() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.state <> 'open' OR NEW.revision <> 0 THEN
            RAISE EXCEPTION 'A review begins open.';
        END IF;
    ELSIF NEW.state = OLD.state THEN
        IF (NEW.revision, NEW.signed_at) IS DISTINCT FROM (OLD.revision, OLD.signed_at) THEN
            RAISE EXCEPTION 'The revision of a review counts its signatures.';
        END IF;
    ELSIF NEW.state = 'signed' THEN
        IF NEW.revision <> OLD.revision + 1 OR NOT EXISTS (
            SELECT FROM reviews_pack WHERE cycle_id = NEW.id AND revision = NEW.revision) THEN
            RAISE EXCEPTION 'A review is signed off with its pack.';
        END IF;
    ELSIF NEW.revision <> OLD.revision OR NOT reviews_may_reopen(NEW.id, OLD.revision) THEN
        RAISE EXCEPTION 'A signed review is opened again by the decision of a second person.';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER reviews_guard_cycle BEFORE INSERT OR UPDATE ON reviews_cycle
    FOR EACH ROW EXECUTE FUNCTION reviews_guard_cycle();

CREATE FUNCTION reviews_guard_month() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF NEW.state = 'signed' AND NOT EXISTS (
        SELECT FROM reviews_cycle c JOIN reviews_pack p ON p.cycle_id = c.id AND p.revision = c.revision
         WHERE c.month = NEW.month AND c.state = 'signed' AND p.sha256 = NEW.pack_sha256) THEN
        RAISE EXCEPTION 'A month is signed with the pack of its review.';
    END IF;
    IF NEW.state = 'reopened' AND NOT EXISTS (
        SELECT FROM reviews_cycle c WHERE c.month = NEW.month AND reviews_may_reopen(c.id, c.revision)) THEN
        RAISE EXCEPTION 'A signed month is opened again by the decision of a second person.';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER reviews_guard_month BEFORE UPDATE ON core_period FOR EACH ROW
    WHEN (NEW.state IN ('signed', 'reopened')) EXECUTE FUNCTION reviews_guard_month();

-- Which row is the signed one is said by signing, while the month is not signed yet.
CREATE FUNCTION reviews_guard_worth() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM core_period WHERE month = NEW.month AND state = 'signed') THEN
        RAISE EXCEPTION 'What % was worth is signed', to_char(NEW.month, 'YYYY-MM');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER reviews_guard_new_worth BEFORE INSERT ON economics_month FOR EACH ROW
    WHEN (NEW.state = 'signed') EXECUTE FUNCTION reviews_guard_worth();
CREATE TRIGGER reviews_guard_worth BEFORE UPDATE ON economics_month FOR EACH ROW
    WHEN ((OLD.state = 'signed', OLD.is_signed_now) IS DISTINCT FROM (NEW.state = 'signed', NEW.is_signed_now))
    EXECUTE FUNCTION reviews_guard_worth();
"""
MONTHS_BACK = r"""
DROP TRIGGER reviews_guard_worth ON economics_month;
DROP TRIGGER reviews_guard_new_worth ON economics_month;
DROP TRIGGER reviews_guard_month ON core_period;
DROP TRIGGER reviews_guard_cycle ON reviews_cycle;
DROP FUNCTION reviews_guard_worth();
DROP FUNCTION reviews_guard_month();
DROP FUNCTION reviews_guard_cycle();
DROP FUNCTION reviews_may_reopen(bigint, integer);
"""

WAIVERS = r"""
CREATE FUNCTION reviews_guard_waiver() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM approvals_decision d JOIN approvals_confirmation c ON c.id = d.confirmation_id
          JOIN reviews_cycle y ON y.id = c.subject_id AND y.revision = NEW.revision
         WHERE d.id = NEW.decision_id AND d.verdict = 'confirm' AND d.person_id = NEW.confirmed_by_id
           AND c.kind = 'waiver' AND c.subject_kind = 'reviews.cycle' AND c.subject_id = NEW.cycle_id
           AND c.asked_by_id = NEW.asked_by_id AND c.reason = NEW.reason
           AND c.proposed ->> 'blocker' = NEW.blocker AND c.proposed ->> 'digest' = NEW.digest) THEN
        RAISE EXCEPTION 'A waiver takes the decision of a second person.';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER reviews_guard_waiver BEFORE INSERT ON reviews_waiver
    FOR EACH ROW EXECUTE FUNCTION reviews_guard_waiver();
"""
WAIVERS_BACK = r"""
DROP TRIGGER reviews_guard_waiver ON reviews_waiver;
DROP FUNCTION reviews_guard_waiver();
"""

# Once a statement and not once a row: a review of 5,000 workloads is taken anew with every look.
FROZEN = r"""
CREATE FUNCTION reviews_refuse_signed() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    concerned bigint[] := ARRAY(SELECT DISTINCT cycle_id FROM touched);
BEGIN
    IF TG_OP = 'UPDATE' THEN
        concerned := concerned || ARRAY(SELECT DISTINCT cycle_id FROM became);
    END IF;
    -- A signing that goes on is waited for and then seen.
    PERFORM FROM reviews_cycle WHERE id = ANY (concerned) ORDER BY id FOR KEY SHARE;
    IF EXISTS (SELECT FROM reviews_cycle WHERE id = ANY (concerned) AND state <> 'open') THEN
        RAISE EXCEPTION 'This review is signed off';
    END IF;
    RETURN NULL;
END $$;
"""
CHANGING = ("reviews_figure", "reviews_item", "reviews_measurement")
ADDED = ("reviews_attestation", "reviews_attendance", "reviews_waiver")


def frozen(table: str, operation: str) -> str:
    named = {"INSERT": "NEW TABLE AS touched", "DELETE": "OLD TABLE AS touched"}
    both = "OLD TABLE AS touched NEW TABLE AS became"
    return (
        f"CREATE TRIGGER reviews_frozen_{operation.lower()} AFTER {operation} ON {table}"
        f" REFERENCING {named.get(operation, both)} FOR EACH STATEMENT EXECUTE FUNCTION reviews_refuse_signed();\n"
    )


def thawed(table: str, operation: str) -> str:
    return f"DROP TRIGGER reviews_frozen_{operation.lower()} ON {table};\n"


GUARDED = [
    *((table, operation) for table in CHANGING for operation in ("INSERT", "UPDATE", "DELETE")),
    *((table, "INSERT") for table in ADDED),
]


class Migration(migrations.Migration):
    dependencies = [
        ("reviews", "0001_initial"),
        ("approvals", "0004_roles"),
        ("core", "0004_booking"),
        ("economics", "0001_initial"),
    ]
    operations = [
        migrations.AddField(
            model_name="waiver",
            name="decision_id",
            field=models.BigIntegerField(help_text="By which the second person confirmed it.", null=True, unique=True),
        ),
        migrations.RunSQL(PACKS, PACKS_BACK),
        migrations.RunSQL(MONTHS, MONTHS_BACK),
        migrations.RunSQL(WAIVERS, WAIVERS_BACK),
        migrations.RunSQL(
            FROZEN + "".join(frozen(*each) for each in GUARDED),
            "".join(thawed(*each) for each in GUARDED) + "DROP FUNCTION reviews_refuse_signed();",
        ),
    ]

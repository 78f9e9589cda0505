"""Which role of a source holds, as one piece of SQL: every statement that asks has the same answer."""


def role_at(*, source: str, measure: str, workload: str, at: str) -> str:
    """'counts', 'checks', or NULL where nobody said; the arguments are SQL expressions.

    What is said of one workload goes before what is said of all; of these the newest holds, from its own hour on.
    """
    return f"""(
        SELECT said.role FROM sources_role said
        WHERE said.source_id = {source} AND said.measure = {measure} AND said.valid_from <= {at}
          AND (said.workload_id IS NULL OR said.workload_id = {workload})
        ORDER BY said.workload_id NULLS LAST, said.valid_from DESC LIMIT 1
    )"""

import pytest

from tests.support.db import Db

# With how long a page that meets locks is tried alone, and all of them together.
REHEARSAL = """
do $do$ declare
  v_text text = pg_get_functiondef('sync.rehearse_pages'::regproc);
  v_limit text;
begin
  foreach v_limit in array array['200 milliseconds', '1 second'] loop
    if strpos(v_text, v_limit) = 0 then
      raise exception 'rehearse_pages() has no limit of %', v_limit;
    end if;
    v_text = replace(v_text, v_limit, '90 seconds');
  end loop;
  execute v_text;
end $do$
"""
WAITING = ("fence", "complete_pages", "fail_chunk", "lock_budgets")


@pytest.fixture
def patient_calls(db: Db) -> None:
    """Calls wait for each other as long as the test lets them, not for some hundred milliseconds,
    in which a busy machine may not come to the commit that they wait for."""
    for function in WAITING:
        db.run(f"alter function sync.{function} set lock_timeout = '90s'")
    db.run("alter function public.extend_chunk_leases set lock_timeout = '90s'")
    db.run(REHEARSAL)

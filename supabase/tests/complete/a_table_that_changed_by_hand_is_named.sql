begin;
\ir ../support/setup.psql
select plan(18);

select declare_source('{"source_name": "crm", "requests_per_second": null}');
select declare_stream('{"source_name": "crm", "stream_name": "people", "path": "/people",
  "page_size": 2, "columns": {"name": "text"}}');
select register_workspace('acme', 'https://crm.example', 'k', 'crm');
select tests.serve('acme', 1, 2);
create function tests.answered() returns jsonb language sql as $$
  select public.complete_chunk_job_safe(l.queue_id, l.lease_token, tests.answer(l))
  from tests.claim() as l;
$$;

-- A trigger of the user's is as a constraint of theirs.
create function tests.refuse() returns trigger language plpgsql as $$
begin
  if new.id = 2 then
    raise exception 'nobody is called that';
  end if;
  return new;
end; $$;
create trigger refuse before insert on synced.crm_people for each row
execute function tests.refuse();
select tests.start('acme');
select ok(answer @> '{"code": "SY012", "outcome": "failed"}'
  and answer ->> 'message' like 'synced.crm\_people refuses record 2: nobody is called that. %',
  'what a trigger refuses is named with its table and record')
from tests.answered() as answer;
select is_empty('select 1 from synced.crm_people', 'nothing of the page was written');
drop trigger refuse on synced.crm_people;

create or replace function tests.refuse() returns trigger language plpgsql as $$
begin
  assert new.id <> 2, 'nobody is called that';
  return new;
end; $$;
create trigger refuse before insert on synced.crm_people for each row
execute function tests.refuse();
select tests.start('acme');
select ok(answer @> '{"code": "SY012", "outcome": "failed"}'
  and answer ->> 'message' like 'synced.crm\_people refuses record 2: nobody is called that. %',
  'so is what it asserts')
from tests.answered() as answer;
create or replace function tests.refuse() returns trigger language plpgsql as $$
begin
  raise exception using errcode = 'U0001', message = 'closed on Sundays';
end; $$;
select tests.start('acme');
select ok(answer @> '{"code": "U0001", "outcome": "retry"}'
  and answer ->> 'message' like 'synced.crm\_people cannot be written: closed on Sundays%',
  'an error of any other class is tried again, and the table is named')
from tests.answered() as answer;
select cancel_sync_job(id) from public.polling_job_status where status = 'running';
drop trigger refuse on synced.crm_people;

-- One that lets a record vanish is no other: completed would say that it is here.
create function tests.hide() returns trigger language plpgsql as $$
begin
  return case when new.id <> 2 then new end;
end; $$;
create trigger hide before insert or update on synced.crm_people for each row
execute function tests.hide();
select tests.start('acme');
select ok(answer @> '{"code": "SY012", "outcome": "failed"}'
  and answer ->> 'message' like 'synced.crm\_people refuses record 2: a trigger %returns null%',
  'what a trigger hides is named with its table and record')
from tests.answered() as answer;
select is_empty('select 1 from synced.crm_people', 'nothing of the page was written');
alter table synced.crm_people disable trigger hide;
select tests.start('acme');
select is(tests.answered() ->> 'outcome', 'completed', 'without it all is written');
alter table synced.crm_people enable trigger hide;
select tests.start('acme');
select is(tests.answered() ->> 'outcome', 'completed', 'what has not changed no trigger sees');
update tests.accounts set fields = fields || '{"name": "Other"}' where id = 2;
select tests.start('acme');
select ok(answer @> '{"code": "SY012"}' and answer ->> 'message' like '%refuses record 2: %',
  'a change that is hidden is named too')
from tests.answered() as answer;
update tests.accounts set fields = fields - 'name' where id = 2;
update synced.crm_people set deleted_at = now() where id = 1;
select tests.start('acme');
select is(tests.answered() ->> 'outcome', 'completed', 'what a trigger lets in is written');
select is((select count(*) from synced.crm_people where deleted_at is null), 2::bigint,
  'also where only its life changes');
create function tests.rename() returns trigger language plpgsql as $$
begin
  new.id := new.id + 100;
  return new;
end; $$;
drop trigger hide on synced.crm_people;
create trigger rename before insert on synced.crm_people for each row
execute function tests.rename();
delete from synced.crm_people;
select tests.start('acme');
select ok(answer @> '{"code": "SY012"}', 'so is a record that gets another key')
from tests.answered() as answer;
drop trigger rename on synced.crm_people;
delete from synced.crm_people;

-- What lacks a column, or its function, is tried again until it is whole.
alter table synced.crm_people drop column name;
select tests.start('acme');
select ok(answer @> '{"outcome": "retry"}'
  and answer ->> 'message' like 'synced.crm\_people cannot be written: %Declare the stream anew%',
  'a table that lacks a column is named with the way out')
from tests.answered() as answer;
select declare_stream('{"source_name": "crm", "stream_name": "people", "path": "/people",
  "page_size": 2, "columns": {"name": "text"}}');
drop function sync.apply_synced_crm_people(sync.incoming_record[]);
select tests.advance('1 minute');
select ok(answer @> '{"outcome": "retry"}'
  and answer ->> 'message' like 'synced.crm\_people cannot be written: %Declare the stream anew%',
  'so is one without its function')
from tests.answered() as answer;
select declare_stream('{"source_name": "crm", "stream_name": "people", "path": "/people",
  "page_size": 2, "columns": {"name": "text"}}');
select tests.advance('1 minute');
select is(tests.answered() ->> 'outcome', 'completed', 'declared as it was, both are whole');
select is((select count(*) from synced.crm_people where name like 'Account _'), 2::bigint,
  'and the records are there');

-- Another name is another table: the function of the old one stays that one's.
alter table synced.crm_people rename to persons;
select throws_like($$select declare_stream('{"source_name": "crm", "stream_name": "people",
  "path": "/people", "page_size": 2, "columns": {"name": "text"}}')$$,
  'stream "people": target_table is left out; it takes another name: %synced.persons',
  'a table that was renamed is named');
select lives_ok($$select declare_stream('{"source_name": "crm", "stream_name": "people",
  "path": "/people", "page_size": 2, "target_table": "synced.persons",
  "columns": {"name": "text"}}')$$, 'and adopted under its new name');

select * from finish();
rollback;

begin;
\ir ../support/setup.psql
select plan(3);

create function tests.refusal(p_name text) returns text language plpgsql as $$
begin
  perform register_workspace(p_name, 'https://bison.example', '1|key');
  return 'taken';
exception when sqlstate 'SY006' then
  return sqlerrm;
end; $$;

select ok(length(tests.refusal(repeat('x', 6000))) < 200
  and strpos(tests.refusal(repeat('x', 6000)), repeat('x', 40) || '…') > 0
  and strpos(tests.refusal(repeat('x', 6000)), '6000 characters') > 0,
  'the message has the beginning of the name, and how long it is');
select ok(strpos(tests.refusal(E'a\u202eb'), '''ab''') > 0,
  'one that is not printable is shown as far as it is');
select ok(strpos(tests.refusal(null), 'NULL') > 0 or strpos(tests.refusal(null), '''''') > 0,
  'a missing one too');

select * from finish();
rollback;

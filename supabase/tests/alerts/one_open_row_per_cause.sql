begin;
\ir ../support/setup.psql
select plan(5);

select sync.open_alert('no_worker', 'workers', 'first') from generate_series(1, 100);
select sync.open_alert('no_worker', 'others', 'said with 7|' || repeat('a', 40));
select results_eq($$select subject, repeats, resolved_at from sync_alerts order by id$$,
  $$values ('workers', 99, null::timestamptz), ('others', 0, null)$$,
  'a cause seen a hundred times is one row that counts');
select is_empty($$select 1 from sync_alerts where message like '%aaaa%'$$,
  'what looks like a token is masked');
select throws_ok($$insert into sync_alerts (kind, subject, message)
  values ('no_worker', 'workers', 'again')$$, '23505', null, 'a second open row cannot be written');
select throws_ok($$insert into sync_alerts (kind, subject, message)
  values ('weather', 'rain', 'today')$$, '23514', null, 'nor an unknown kind');
select tests.advance('1 hour');
select sync.resolve_alert('no_worker', 'workers');
select sync.open_alert('no_worker', 'workers', 'second');
select results_eq(
  $$select message, repeats, resolved_at is null from sync_alerts where subject = 'workers'
    order by id$$,
  $$values ('first', 99, false), ('second', 0, true)$$,
  'a cause that comes back is a new alert');

select * from finish();
rollback;

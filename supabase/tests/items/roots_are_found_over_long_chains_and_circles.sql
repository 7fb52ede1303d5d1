begin;
\ir ../support/setup.psql
\ir ../support/replies.psql
select plan(4);

select tests.workspace('acme', 1);
insert into tests.replies (id, root, fields)
select n, 1, jsonb_build_object('parent_id', nullif(n - 1, 0)) from generate_series(1, 400) as n;
insert into tests.replies (id, root, fields) values (501, 501, '{"parent_id": 502}'),
  (502, 501, '{"parent_id": 501}'), (503, 503, '{"parent_id": 503}'),
  (504, 504, '{"parent_id": 9}'),
  (600, 600, '{"parent_id": 99999}');
select tests.sync_replies('{replies}');
select results_eq($$select distinct root_id from public.sync_workspaces as w,
  sync.thread_roots(w.id, array(select generate_series(1, 400)::bigint))$$, array[1::bigint], 'a chain of 400 has one root');
select results_eq($$select r.* from public.sync_workspaces as w,
  sync.thread_roots(w.id, '{501,502,503}') as r order by 1$$,
  $$values (501::bigint, 501::bigint), (502, 501), (503, 503)$$, 'a circle has its lowest id');
select is((select root_id from public.sync_workspaces as w, sync.thread_roots(w.id, '{600}')),
  600::bigint, 'an unknown parent is no root');
select is((select root_id from public.sync_workspaces as w, sync.thread_roots(w.id, '{504}')),
  1::bigint, 'a reply of a known one leads to its root');

select * from finish();
rollback;

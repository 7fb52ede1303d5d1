begin;
\ir ../support/setup.psql
\ir ../support/tries.psql
select plan(12);

select tests.workspace('acme');

select is(tests.complaints(tests.tried('{}', tests.people(3, 1, 2), tests.people(3, 3))), null,
  'what holds is no matter for a complaint');
select is(tests.complaints(tests.tried('{}', tests.people(3, 1, 2), tests.people(3, 1, 2))),
  'page 2: repeats', 'page 2 repeats page 1');
select is(tests.complaints(tests.tried('{}', tests.people(4, 1, 2), tests.people(4, 2, 3))),
  'page 2: ids', 'an id comes again on page 2');
select is(tests.complaints(tests.tried('{}', tests.people(2, 1, 1))), 'page 1: ids',
  'ids repeat on a page');
select is(tests.complaints(tests.tried('{"page_size": 5}', tests.people(6, 1, 2),
  tests.people(6, 3, 4))), 'page 1: short', 'a page is shorter than declared');
select is(tests.complaints(tests.tried('{"page_size": 1}', tests.people(2, 1, 2))),
  'page 1: long', 'a page is longer than declared');
select is(tests.complaints(tests.tried('{"updated_at_path": ["at"], "time_format": "epoch"}',
  tests.people(1, 1))), 'page 1: times', 'times cannot be read');
select is(tests.complaints(tests.tried('{"updated_at_path": ["changed"]}', tests.people(1, 1))),
  'page 1: times', 'no record has a time');
select is(tests.complaints(tests.tried('{"item_path": "/people/{id}"}', tests.people(1, 1),
  '{"data": {"id": 7}}')), 'item: answer', 'an item is another record');
select is(tests.complaints(tests.tried('{"records_path": ["people"]}', tests.people(1, 1))),
  'page 1: answer', 'records stand elsewhere');
select is(tests.tried('{"id_path": ["no"]}', tests.people(1, 1)) #> '{steps,0,shape}',
  '{"data": "list of 1", "meta": {"total": "number", "last_page": "number"}}',
  'the shape of an answer is told, also of one that cannot be read');
select is(tests.complaints(tests.tried('{"completeness": "single"}', tests.people(2, 1, 2))), null,
  'one answer is a list, too');

select * from finish();
rollback;

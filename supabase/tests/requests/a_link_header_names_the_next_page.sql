begin;
\ir ../support/setup.psql
select plan(15);

select is(sync.link_next(given), wanted, coalesce(given, 'no header')) from (values
  (null, null), ('', null), (' , ', null),
  ('<https://a/?page=2>; rel="next", <https://a/?page=9>; rel="last"', 'https://a/?page=2'),
  ('<https://a/?page=1>; rel="prev first", <https://a/?page=3>; rel="last Next"',
    'https://a/?page=3'),
  ('<https://a/?page=2>;rel=next', 'https://a/?page=2'),
  ('<https://a/?a=1,2;3>; title="a, <b>; rel=\"next\""; rel="prev" , </?page=2>; REL="next"',
    '/?page=2'),
  ('<https://a/?page=1>; rel="prev"; rel="next"', null),
  ('<https://a/?page=2>; anchor="#x"; rel="next"', null),
  ('<https://a/?page=2>; title="rel=next"', null),
  ('<https://a/?page=2>; crossorigin; rel = "next"', 'https://a/?page=2'),
  ('<>; rel="next"', '')) as t (given, wanted);
select throws_ok(format('select sync.link_next(%L)', given), 'SY010', null,
  format('%s cannot be read and ends no list', given))
from unnest('{"https://a/?page=2; rel=next","<https://a/?page=2","<a>; rel=\"next"}'::text[])
  as given;

select * from finish();
rollback;

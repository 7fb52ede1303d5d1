begin;
\ir ../support/setup.psql
set local standard_conforming_strings = on;
select plan(17);

create temp table keys (key text primary key);
insert into keys values
  ('12|abcdefgh-IJKL_mno.pqr+stu/vwx=yz'), ('a"b<c>d&e''f\g%h~i#j$k(l)m*n'),
  ('p@ss word with blanks'), ('schlüssel-mit-ümlauten'), ('%41%42&amp;\u0041xyz'),
  ('0000"%00');
create temp view parts as
  select k.key, substr(k.key, place, size) as part
  from keys as k, generate_series(1, length(k.key) - 7) as place, unnest(array[8, 11]) as size;

create function tests.percent(p_text text) returns text language sql immutable as $$
  select string_agg(format('%%%s', upper(b)), '' order by n)
  from regexp_matches(encode(convert_to(p_text, 'UTF8'), 'hex'), '..', 'g') with ordinality as m(x, n),
    lateral (select x[1] as b) as b;
$$;
create function tests.each(p_text text, p_format text, p_digits int) returns text
language sql immutable as $$
  select string_agg(format(p_format, case when p_digits = 0 then ascii(c)::text
    else lpad(to_hex(ascii(c)), p_digits, '0') end), '' order by n)
  from regexp_split_to_table(p_text, '') with ordinality as m(c, n);
$$;
create function tests.shown(p_said text, p_key text) returns boolean language sql immutable as $$
  select sync.foreign_text(p_said, p_key) <> '(not shown: it repeats the key)';
$$;

create temp view spellings as
  select p.key, p.part, s.* from parts as p, lateral (values
    ('plain', 'you sent ' || p.part || '!'),
    ('hex', 'you sent ' || encode(convert_to(p.part, 'UTF8'), 'hex')),
    ('upper-case hex', 'you sent ' || upper(encode(convert_to(p.part, 'UTF8'), 'hex'))),
    ('\u00xx', 'you sent ' || tests.each(p.part, '\u%s', 4)),
    ('a JSON string', jsonb_build_object('sent', p.part)::text),
    ('a JSON string in one', to_jsonb(to_jsonb(p.part)::text)::text),
    ('percent-encoded', 'you sent ' || tests.percent(p.part)),
    ('lower-case percent-encoded', 'you sent ' || lower(tests.percent(p.part))),
    ('percent-encoded twice', 'you sent ' || replace(tests.percent(p.part), '%', '%25')),
    ('a parameter', 'key=' || replace(replace(replace(p.part, '%', '%25'), '+', '%2B'), ' ', '+')),
    ('decimal entities', 'you sent ' || tests.each(p.part, '&#%s;', 0)),
    ('hex entities', 'you sent ' || tests.each(p.part, '&#x%s;', 2)),
    ('named entities', 'you sent ' || replace(replace(replace(replace(p.part, '&', '&amp;'), '<',
      '&lt;'), '>', '&gt;'), '"', '&quot;') || '.'),
    ('percent-encoded in JSON', to_jsonb(tests.percent(p.part))::text)) as s (spelling, said);

select is_empty($$
  select spelling, key, part, said from spellings where tests.shown(said, key)
$$, 'none of a text is kept that spells eight characters of a key, in whatever way');
select is_empty($$
  select p.key, p.part, alphabet, before from parts as p, generate_series(0, 5) as before,
    unnest(array['+/', '-_']) as alphabet
  where tests.shown('sent: ' || translate(encode(convert_to(repeat('~', before) || p.part || 'zz',
    'UTF8'), 'base64'), '+/', alphabet), p.key)
$$, 'nor one that has them in base64, wherever they stand in what was encoded');

select is(sync.foreign_text(repeat('a bc', 100), '12|abcdefgh'), repeat('a bc', 50),
  'of any other, 200 characters are kept');
select is(sync.foreign_text(repeat('x', 190) || '12|abcdefgh', '12|abcdefgh'),
  '(not shown: it repeats the key)', 'none either if the key begins in the part that is kept');
select is(sync.foreign_text(E'a\nb\u001b[31m\u202ec\u200bd  e', null), 'a b[31mcd e',
  'controls, and what turns a line around, are not kept');
select is(sync.foreign_text('short s3cr3t', 's3cr3t'), '(not shown: it repeats the key)',
  'a shorter key is looked for whole');
select is(sync.foreign_text('short s3cr3', 's3cr3t'), 'short s3cr3', 'not in part');
select is(sync.foreign_text('id of planted-client-word',
  '{"client": {"secret": "planted-client-word"}}'),
  '(not shown: it repeats the key)', 'every string of a key in JSON is one');
select is(sync.foreign_text('of planted-user', 'planted-user:word'),
  '(not shown: it repeats the key)', 'a user is one');
select is(sync.foreign_text('its word', 'planted-user:word'), '(not shown: it repeats the key)',
  'and so is a password');
select is(sync.foreign_text('any xxx', 'planted-user:xxx'), 'any xxx',
  'one of three characters stands in too many words');
select is(sync.foreign_text('code abc', '{"client": {"secret": "abc"}}'), 'code abc',
  'as does such a string of JSON');
select is(sync.foreign_text('{not JSON', '{not JSON'), '(not shown: it repeats the key)',
  'what only looks like JSON is the key itself');
select is(sync.foreign_text(null, 'key'), null, 'no text is none');

select tests.workspace('acme');
select rotate_workspace_key('acme', '12|abcdefghijkl');
select is(sync.failure_text('HTTP 502: of ' || encode('12|abcdefghijkl', 'hex'), id),
  'HTTP 502: (not shown: it repeats the key)', 'our own words before it stay')
from public.sync_workspaces where workspace_name = 'acme';
select is(sync.failure_text('no answer from api.example:8443: abcdefghijkl', id),
  'no answer from api.example:8443: (not shown: it repeats the key)', 'with the host')
from public.sync_workspaces where workspace_name = 'acme';
select is(sync.mask_workspace_key('field meta.total is "abcdefghijkl" and no number', id),
  'field meta.total is *** and no number', 'and the words around it in a sentence of ours')
from public.sync_workspaces where workspace_name = 'acme';

select * from finish();
rollback;

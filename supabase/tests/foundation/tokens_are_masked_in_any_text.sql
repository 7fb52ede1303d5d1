begin;
\ir ../support/setup.psql
select plan(1);

select results_eq($$
  select sync.mask_secrets(text) from unnest(array[
    'refused: Bearer 12|abcdefghijklmnop',
    'GET https://bison.example/api?key=12|abcdefghijklmnop failed',
    'apikey sb_secret_abc-DEF_123 is old',
    'token eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoieCJ9.c2lnbmF0dXJl expired',
    'authorization: basic dXNlcjpwYXNz, retry',
    'oauth ya29.a0AfH6SMBx-planted_1 and {"refresh_token": "1//0gplanted", "n": 1}',
    'POST /token?client_secret=planted&x=1: {\"access_token\":\"planted\"}',
    'page 12 of 30 | nothing secret']) as text
$$, $$
  values ('refused: Bearer ***'), ('GET https://bison.example/api?key=*** failed'),
    ('apikey *** is old'), ('token *** expired'),
    ('authorization: basic ***, retry'),
    ('oauth *** and {"refresh_token": "***", "n": 1}'),
    ('POST /token?client_secret=***&x=1: {\"access_token\":\"***\"}'),
    ('page 12 of 30 | nothing secret')
$$, 'whatever looks like a token is masked, the rest stays');

select * from finish();
rollback;

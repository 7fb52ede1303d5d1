-- Keys: secrets in Vault, and texts without them.

create function sync.mask_secrets(p_text text) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on as $$
declare
  v_text text := regexp_replace(p_text, '(bearer|basic)\s+[^\s"'',;]+', '\1 ***', 'gi');
begin
  v_text := regexp_replace(v_text, '(\m[0-9]+\|[A-Za-z0-9]{8,}|\msb_secret_[A-Za-z0-9_-]+'
    '|\meyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*|\mya29\.[A-Za-z0-9_-]+'
    '|\m1//[A-Za-z0-9_-]{20,})', '***', 'g');
  v_text := regexp_replace(v_text, '((_token|password|_secret|api_key)["\\]*\s*[=:]\s*["\\]*)'
    '[^\s"\\'',;&]+', '\1***', 'gi');
  return left(v_text, 1000);
end; $$;
comment on function sync.mask_secrets(text) is
$$Returns: the text without anything that looks like a token, at most 1,000 characters. The workers
mask the exact keys before.$$;

create function sync.read_secret(p_secret_id uuid) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return (select nullif(decrypted_secret, '') from vault.decrypted_secrets where id = p_secret_id);
exception when others then
  if sqlstate ~ '^(40|53|55|57|58)' then
    raise;
  end if;
  return null;
end; $$;
comment on function sync.read_secret(uuid) is
$$Returns: a secret of Vault, null if it is not there, is empty or cannot be decrypted: one secret
that cannot be read fails nothing but what needs it. In a query it sees what the query sees. Raises:
what the database's own trouble raises.$$;

create function sync.write_secret(p_name text, p_secret text, p_description text) returns uuid
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_secret_id uuid := (select id from vault.secrets where name = p_name);
begin
  if v_secret_id is null then
    return vault.create_secret(p_secret, p_name, p_description);
  end if;
  perform vault.update_secret(v_secret_id, p_secret);
  return v_secret_id;
end; $$;
comment on function sync.write_secret(text, text, text) is
$$Put a secret into Vault, in place of the one of that name, readable or not. Returns: its id.$$;

create function sync.one_line(p_text text) returns text
language sql immutable set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on as $$
  select btrim(regexp_replace(regexp_replace(p_text, '[\s\u0085\u2028\u2029]+', ' ', 'g'),
    '[\u0001-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff'
    '\ufff9-\ufffb\U000e0000-\U000e007f]', '', 'g'));
$$;
comment on function sync.one_line(text) is
$$Returns: the text without controls and other characters that are not seen or that turn a line
around, with one space for what parts lines or words.$$;

create function sync.as_bytes(p_text text) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select convert_from(convert_to(p_text, 'UTF8'), 'LATIN1');
$$;
comment on function sync.as_bytes(text) is
$$Returns: a character for each byte of the text's UTF-8, so that a part of it can be looked for
that is spelled by itself.$$;

create function sync.character(p_code bigint) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select case when p_code between 1 and 55295 or p_code between 57344 and 1114111
    then sync.as_bytes(chr(p_code::int)) else '?' end;
$$;
comment on function sync.character(bigint) is
$$Returns: the bytes of a Unicode character, ? where there is none.$$;

create function sync.resolved(p_text text, p_escapes text) returns text
language sql immutable set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on as $$
  select coalesce(string_agg(case
    when m.part[1] ~ '^%..$' then chr(greatest(('x' || right(m.part[1], 2))::bit(8)::int, 1))
    when m.part[1] ~ '^\\u....$'
    then sync.character(('x' || right(m.part[1], 4))::bit(16)::bigint)
    when m.part[1] ~ '^\\x..$' then chr(greatest(('x' || right(m.part[1], 2))::bit(8)::int, 1))
    when m.part[1] ~ '^\\.$' then translate(right(m.part[1], 1), 'nrtbf', e'\n\r\t\b\f')
    when m.part[1] ~ '^&#[xX]' then sync.character(
      ('x' || lpad(rtrim(substr(m.part[1], 4), ';'), 8, '0'))::bit(32)::bigint)
    when m.part[1] ~ '^&#[0-9]' then sync.character(rtrim(substr(m.part[1], 3), ';')::bigint)
    when m.part[1] ~ '^&[A-Za-z]+;$' then coalesce(
      '{"amp": "&", "AMP": "&", "lt": "<", "LT": "<", "gt": ">", "GT": ">", "quot": "\"",
        "QUOT": "\"", "apos": "''", "excl": "!", "num": "#", "dollar": "$", "percnt": "%",
        "lpar": "(", "rpar": ")", "ast": "*", "midast": "*", "plus": "+", "comma": ",",
        "period": ".", "sol": "/", "colon": ":", "semi": ";", "equals": "=", "quest": "?",
        "commat": "@", "lsqb": "[", "lbrack": "[", "bsol": "\\", "rsqb": "]", "rbrack": "]",
        "Hat": "^", "lowbar": "_", "UnderBar": "_", "grave": "`", "lcub": "{", "lbrace": "{",
        "verbar": "|", "vert": "|", "VerticalLine": "|", "rcub": "}", "rbrace": "}"}'::jsonb
      ->> trim(both '&;' from m.part[1]), m.part[1])
    else m.part[1] end, '' order by m.place), '')
  from regexp_matches(p_text, p_escapes || '|[^%\\&]+|.', 'g') with ordinality as m(part, place);
$$;
comment on function sync.resolved(text, text) is
$$Returns: the text, as bytes, with the escapes that match an expression resolved.$$;

create function sync.readings(p_text text) returns text[]
language plpgsql immutable set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on as $$
declare
  v_url constant text := '%[0-9A-Fa-f]{2}';
  v_json constant text := '\\u[0-9A-Fa-f]{4}|\\x[0-9A-Fa-f]{2}|\\.';
  v_html constant text := '&#[0-9]{1,7};?|&#[xX][0-9A-Fa-f]{1,6};?|&[A-Za-z]{2,24};';
  v_any constant text := v_url || '|' || v_json || '|' || v_html;
  v_text text := sync.as_bytes(p_text);
  v_once text;
  v_twice text;
  v_by_url text;
  v_by_json text;
  v_by_html text;
begin
  if v_text !~ '[%\\&]' then
    return array[v_text];
  end if;
  v_once := sync.resolved(v_text, v_any);
  v_twice := sync.resolved(v_once, v_any);
  v_by_url := sync.resolved(v_text, v_url);
  v_by_json := sync.resolved(v_text, v_json);
  v_by_html := sync.resolved(v_text, v_html);
  return array[v_text, v_by_url, sync.resolved(v_by_url, v_url),
    v_by_json, sync.resolved(v_by_json, v_json), v_by_html, sync.resolved(v_by_html, v_html),
    v_once, v_twice, sync.resolved(v_twice, v_any)];
end; $$;
comment on function sync.readings(text) is
$$Returns: the text, as bytes, and as it reads once what may be escapes of URLs, JSON and HTML in it
are resolved, also one in another.$$;

create function sync.strings_of(p_secret text) returns setof text
language plpgsql immutable set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on as $$
begin
  return next p_secret;
  if p_secret ~ '^\s*[{[]' then
    return query select s.part #>> '{}' from jsonb_path_query(p_secret::jsonb, 'strict $.**')
      as s(part) where jsonb_typeof(s.part) = 'string' and length(s.part #>> '{}') >= 4;
  elsif strpos(p_secret, ':') > 0 then
    return query select s.part from unnest(array[split_part(p_secret, ':', 1),
      substr(p_secret, strpos(p_secret, ':') + 1)]) as s(part) where length(s.part) >= 4;
  end if;
exception when invalid_text_representation then
  return;
end; $$;
comment on function sync.strings_of(text) is
$$Returns: a secret; if it is JSON every string in it, and if it reads user:password both, but none
of fewer than 4 characters, which stand in too many words.$$;

create function sync.json_object(p_text text) returns jsonb
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  v_value jsonb := sync.json_or_null(p_text);
begin
  return case when jsonb_typeof(v_value) = 'object' then v_value end;
end; $$;
comment on function sync.json_object(text) is
$$Returns: a text as the JSON object that it is; null if it is none.$$;

create function sync.wrong_in_secret(p_auth text, p_auth_in text, p_secret text) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on as $$
declare
  v_form constant text := format('the secret of a source with %s auth', p_auth);
  v_grant jsonb;
  v_lacks text;
begin
  if p_auth = 'none' then
    return case when p_secret <> '' then 'its source takes no key: its auth is none' end;
  elsif coalesce(p_secret, '') = '' then
    return 'the key is empty';
  elsif p_auth = 'key' then
    return case
      when p_secret ~ '[\u0001-\u001f\u007f]' then 'the key has a line break or another control in it'
      when p_auth_in = 'header' and p_secret ~ '[^\u0020-\u007e]'
      then 'the key has a letter that no header carries: only ASCII does' end;
  elsif p_auth = 'basic' then
    return case
      when strpos(p_secret, ':') = 0 then v_form || ' reads user:password; this one has no colon'
      when p_secret ~ '[\u0001-\u001f\u007f]'
      then v_form || ' reads user:password; this one has a line break or another control in it' end;
  end if;
  v_grant := sync.json_object(p_secret);
  if v_grant is null then
    return v_form || ' is a JSON object; this one is none';
  end if;
  select string_agg(f.name, ', ') into v_lacks
  from unnest(case p_auth when 'oauth2_client' then '{client_id,client_secret}'::text[]
    else '{client_id,refresh_token}'::text[] end) as f (name)
  where coalesce(jsonb_typeof(v_grant -> f.name), '') <> 'string' or v_grant ->> f.name = '';
  return case
    when v_lacks is not null then format('%s is a JSON object with texts; this one lacks %s',
      v_form, v_lacks)
    when jsonb_typeof(coalesce(v_grant -> 'client_secret', '""')) <> 'string'
    then v_form || ' is a JSON object with texts; this one has another client_secret'
    when v_grant - array['client_id', 'client_secret',
      case p_auth when 'oauth2_refresh' then 'refresh_token' else 'client_id' end] <> '{}'
    then v_form || ' is a JSON object; this one has more fields than that takes' end;
end; $$;
comment on function sync.wrong_in_secret(text, text, text) is
$$Returns: what of a secret is not of the form that its source's auth takes, in words that show
nothing of it; null if it fits.$$;

create function sync.secret_form(p_auth text) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select case p_auth
    when 'none' then 'Hand over null, or register the workspace with a source that takes one.'
    when 'basic' then 'It reads user:password; what stands before the first colon is the user.'
    when 'oauth2_client' then 'It reads {"client_id": "…", "client_secret": "…"}.'
    when 'oauth2_refresh' then 'It reads {"client_id": "…", "client_secret": "…", "refresh_token": '
      '"…"}; a public client has no client_secret.'
    else 'Hand over the key that the API gave for this workspace.' end;
$$;
comment on function sync.secret_form(text) is
$$Returns: how a secret reads by a source's auth, in words.$$;

create function sync.repeats_secret(p_text text, p_secret text) returns boolean
language plpgsql immutable set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on as $$
declare
  -- What no reading has parts them, so that no secret begins in one and ends in the next.
  v_text constant text := array_to_string(sync.readings(p_text), chr(2));
  v_lower constant text := lower(v_text);
  v_with_spaces constant text := translate(v_text, '+', ' ');
  v_base64 constant text := translate(regexp_replace(v_text, '\s', '', 'g'), '-_', '+/');
begin
  return exists (
    select from sync.strings_of(p_secret) as s(value),
      lateral (select sync.as_bytes(s.value) as bytes) as b,
      generate_series(1, greatest(length(b.bytes) - 7, 1)) as place,
      lateral (select substr(b.bytes, place, 8) as part) as p,
      lateral (select convert_to(p.part, 'LATIN1') as raw) as r
    where p.part <> '' and (strpos(v_text, p.part) > 0 or strpos(v_with_spaces, p.part) > 0
      or strpos(v_lower, encode(r.raw, 'hex')) > 0
      -- As base64 has it behind 0, 1 or 2 other bytes, without the characters that tell of those.
      or exists (
        select from (values (0, 1), (1, 3), (2, 4)) as a(before, first),
          lateral (select substr(encode(convert_to(repeat('x', a.before), 'LATIN1') || r.raw,
            'base64'), a.first, (a.before + length(p.part)) * 8 / 6 - a.first + 1) as piece) as e
        where length(e.piece) >= 4 and strpos(v_base64, e.piece) > 0)));
end; $$;
comment on function sync.repeats_secret(text, text) is
$$Returns: whether the text holds eight bytes in a row of a string of the secret, or a shorter one
whole: as it stands, in base64 or in hexadecimal digits, and with what URLs, JSON or HTML escape.$$;

create function sync.foreign_text(p_text text, p_secret text) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select case when sync.repeats_secret(k.kept, p_secret) then '(not shown: it repeats the key)'
    else sync.mask_secrets(rtrim(left(k.kept, 200))) end
  from (select left(sync.one_line(left(p_text, 10000)), 600) as kept) as k;
$$;
comment on function sync.foreign_text(text, text) is
$$Returns: what is kept of a text that others wrote: 200 printable characters, and nothing if it
repeats a secret, which may be null.$$;

create function sync.workspace_secret(p_workspace_id bigint) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_key text;
  v_tokens text;
begin
  select sync.read_secret(w.secret_id), sync.read_secret(t.secret_id) into v_key, v_tokens
  from public.sync_workspaces as w left join sync.workspace_tokens as t on t.workspace_id = w.id
  where w.id = p_workspace_id;
  return case when v_tokens is null then v_key
    else jsonb_build_array(sync.json_object(v_key), sync.json_object(v_tokens))::text end;
end; $$;
comment on function sync.workspace_secret(bigint) is
$$Returns: a workspace's key, with its tokens where it has some; null if there is none that can be
read.$$;

create function sync.failure_text(p_text text, p_workspace_id bigint) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on as $$
declare
  v_key constant text := sync.workspace_secret(p_workspace_id);
  v_own constant text := substring(p_text from '^(HTTP [0-9]{3}|no answer( from [^\s:]+(:[0-9]+)?)?'
    '|the request cannot be (made|sent)|the page was refused): ');
begin
  if v_own is null or sync.repeats_secret(v_own, v_key) then
    return sync.foreign_text(p_text, v_key);
  end if;
  return v_own || ': ' || sync.foreign_text(substr(p_text, length(v_own) + 3), v_key);
end; $$;
comment on function sync.failure_text(text, bigint) is
$$Returns: what is kept of a worker's message about a request: its own words, as the protocol has
them, and the foreign text behind.$$;

create function sync.mask_workspace_key(p_text text, p_workspace_id bigint) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on as $$
declare
  v_key constant text := sync.workspace_secret(p_workspace_id);
  v_text text := left(p_text, 1000);
begin
  if sync.repeats_secret(v_text, v_key) then
    v_text := (
      select string_agg(case when sync.repeats_secret(w.word[1], v_key) then '***'
        else w.word[1] end, '' order by w.place)
      from regexp_matches(v_text, '\s+|\S+', 'g') with ordinality as w(word, place));
    if sync.repeats_secret(v_text, v_key) then
      return '(not shown: it repeats the key)';
    end if;
  end if;
  return sync.mask_secrets(v_text);
end; $$;
comment on function sync.mask_workspace_key(text, bigint) is
$$Returns: a text of our own in which foreign words stand, without the words that repeat this
workspace's key, and without what looks like a token.$$;

revoke all on function
  sync.mask_secrets, sync.read_secret, sync.write_secret, sync.one_line, sync.as_bytes,
  sync.character, sync.resolved, sync.readings, sync.strings_of, sync.repeats_secret,
  sync.foreign_text, sync.workspace_secret, sync.failure_text, sync.mask_workspace_key,
  sync.json_object, sync.wrong_in_secret, sync.secret_form
from public, anon, authenticated, service_role;

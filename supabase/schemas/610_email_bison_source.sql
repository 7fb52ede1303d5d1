-- Email Bison: the API, and whose key it is.

select public.declare_source('{
  "source_name": "email_bison", "base_path": "/api", "success_path": ["success"],
  "message_path": ["message"],
  "class_rules": [{"text": "Too Many Attempts", "class": "rate_limited"}],
  "requests_per_second": 5, "max_in_flight": 10, "budget_scope": "instance"}');

select public.declare_stream('{
  "source_name": "email_bison", "stream_name": "connection", "is_default": false,
  "completeness": "connection", "path": "/users",
  "page_size": 1, "id_path": ["data", "workspace", "id"],
  "name_path": ["data", "workspace", "name"],
  "drop_paths": [["data", "webhooks_secret_key"]]}');

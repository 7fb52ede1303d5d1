#!/usr/bin/env bash
# Builds the page, unless it is built from what is here.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly page=workers/chunkwise/dashboard/page
stamp=$(find dashboard package-lock.json -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum)
[[ -e $page/index.html && $(cat node_modules/.page 2>/dev/null) == "$stamp" ]] && exit
echo 'Building the page'
log=$(mktemp)
trap 'rm -f "$log"' EXIT
node_modules/.bin/vite build dashboard --logLevel warn >"$log" 2>&1 || {
  cat "$log" >&2
  exit 1
}
echo "$stamp" >node_modules/.page

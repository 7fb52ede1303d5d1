#!/usr/bin/env bash
# Writes the lock files from their .in files: hashes, but no address of any registry.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
python3 -m venv "$tools"
"$tools/bin/pip" install --quiet pip-tools==7.6.2

lock() {
  env -u PIP_FIND_LINKS -u PIP_EXTRA_INDEX_URL PIP_CONFIG_FILE=/dev/null "$tools/bin/pip-compile" \
    --quiet --generate-hashes --allow-unsafe --strip-extras --no-header --no-emit-index-url \
    --no-emit-find-links --no-emit-trusted-host --output-file "$1.lock" "$1.in"
  sed -i -e "s/-r $1.in/$1.in/" -e '/^# The following packages/d' -e '/^ *# *-c requirements.lock$/d' \
    -e "1i # Every package of $1.in with its hashes, for Python 3.11. Written by \`make lock\`." \
    "$1.lock"
}

case ${1:-all} in
  all) lock requirements && lock requirements-worker ;;
  worker) lock requirements-worker ;;
  *) echo "$0 [all|worker]" >&2 && exit 2 ;;
esac

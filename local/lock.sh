#!/usr/bin/env bash
# Writes requirements.lock from requirements.in: hashes, but no address of any registry.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
python3 -m venv "$tools"
"$tools/bin/pip" install --quiet pip-tools==7.6.2
env -u PIP_FIND_LINKS -u PIP_EXTRA_INDEX_URL PIP_CONFIG_FILE=/dev/null "$tools/bin/pip-compile" \
  --quiet --generate-hashes --allow-unsafe --strip-extras --no-header --no-emit-index-url \
  --no-emit-find-links --no-emit-trusted-host --output-file requirements.lock requirements.in
sed -i -e 's/-r requirements.in/requirements.in/' -e '/^# The following packages/d' \
  -e '1i # Every package of requirements.in with its hashes, for Python 3.11. Written by `make lock`.' \
  requirements.lock

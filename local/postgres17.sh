#!/usr/bin/env bash
# Brings in PostgreSQL 17 beside Debian 12's own: the packages of Debian 13, unpacked into a folder
# of the cache, with nothing installed. Does nothing, quickly, when it is there.
#
#   local/postgres17.sh        bring it in
#   local/postgres17.sh bin    print the folder of its programs
set -euo pipefail
umask 022

readonly keys=/usr/share/keyrings/debian-archive-keyring.gpg
readonly packages=(postgresql-17 postgresql-17-cron postgresql-17-pgtap postgresql-17-plpgsql-check)

# Where the system itself has 17 with pg_cron, that is it.
readonly of_system=/usr/lib/postgresql/17/bin
if [[ -x $of_system/postgres && -e /usr/share/postgresql/17/extension/pg_cron.control ]]; then
  [[ ${1:-} != bin ]] || echo "$of_system"
  exit
fi

# Nobody but root reads root's home, and the server does not run as root.
if [[ $(id -u) -eq 0 ]]; then cache=/var/cache; else cache=${XDG_CACHE_HOME:-$HOME/.cache}; fi
readonly root=$cache/chunkwise/postgresql-17
readonly bin=$root/usr/lib/postgresql/17/bin

if [[ ${1:-} == bin ]]; then
  echo "$bin"
  exit
fi
[[ -x $bin/postgres ]] && exit

# Who comes second waits, and finds it done.
mkdir -p "$(dirname "$root")"
exec {folder}<"$(dirname "$root")"
flock "$folder"
[[ -x $bin/postgres ]] && exit

work=$(mktemp -d "$root.XXXXXX")
trap 'rm -rf "$work"' EXIT
readonly new=$work/root apt=$work/apt
mkdir -p "$new" "$apt"/{state/lists/partial,cache/archives/partial}

# The mirrors that this machine takes Debian 12 from have Debian 13 as well.
apt-get indextargets --format '$(REPO_URI) $(RELEASE)' \
  'Identifier: Packages' 'Origin: Debian' 'Component: main' |
  sed -nE 's/^(\S+) bookworm(-updates|-security)?$/\1 trixie\2 main/p' |
  sort -u |
  sed "s|^|deb [signed-by=$keys] |" >"$apt/sources.list"
if ! [[ -s $apt/sources.list ]]; then
  echo 'apt knows no mirror of Debian 12 here: run `apt-get update`. On another system, install' \
    "${packages[*]} yourself." >&2
  exit 1
fi

# An apt of its own, on whose system nothing is installed: it fetches the C library, too.
touch "$apt/state/status"
fetch() {
  apt-get -o Dir::Etc::SourceList="$apt/sources.list" -o Dir::Etc::SourceParts=/dev/null \
    -o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null \
    -o Dir::State="$apt/state" -o Dir::State::Status="$apt/state/status" \
    -o Dir::Cache="$apt/cache" -o APT::Sandbox::User="$(id -un)" -o Acquire::Languages=none "$@"
}
echo 'Unpacking PostgreSQL 17'
if ! { fetch update && fetch install -y --no-install-recommends --download-only "${packages[@]}"; } \
  >"$work/log" 2>&1; then
  cat "$work/log" >&2
  exit 1
fi
for package in "$apt"/cache/archives/{lib,postgresql}*.deb; do
  dpkg-deb --extract "$package" "$new"
done

# Debian 13's programs need Debian 13's C library: each gets a script of its name, which starts it
# with that library. `--argv0` keeps the script's path, beside which it looks for its own kind.
mv "$new/usr/lib/postgresql/17"/{bin,programs}
mkdir "$new/usr/lib/postgresql/17/bin"
for program in "$new"/usr/lib/postgresql/17/programs/*; do
  name=$(basename "$program")
  cat >"$new/usr/lib/postgresql/17/bin/$name" <<SCRIPT
#!/bin/sh
export LOCPATH='$root/usr/lib/locale'
exec '$root/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2' --argv0 '$bin/$name' \\
  --library-path '$root/usr/lib/x86_64-linux-gnu' '$root/usr/lib/postgresql/17/programs/$name' "\$@"
SCRIPT
  chmod +x "$new/usr/lib/postgresql/17/bin/$name"
done
rm -rf "$root"
mv -T "$new" "$root"

#!/usr/bin/env bash
#
# Installs the requirements of Gatehouse's local database: Postgres server binaries
# (15 or newer), the contrib extension pg_trgm, and pgvector. It prints one line per
# step, and prints nothing if all of them are installed. It starts no server and does
# not change the package sources of the machine.
#
# If the distribution has a package of pgvector, that package is used. Debian 12 has
# none. There the source package of Debian 13 is built against the headers of the
# installed server, which takes about ten seconds.
#
#   deploy/setup/postgres.sh           install missing requirements
#   deploy/setup/postgres.sh --check   report missing requirements, install nothing
set -euo pipefail

readonly MIN_MAJOR=15
readonly SOURCE_SUITE=trixie

say() { printf 'setup: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# server_major prints the newest usable major version under /usr/lib/postgresql, or
# nothing. Debian and its derivatives install servers there.
server_major() {
  local dir major best=0
  for dir in /usr/lib/postgresql/*/bin; do
    major=${dir#/usr/lib/postgresql/}
    major=${major%/bin}
    [[ $major =~ ^[0-9]+$ && -x $dir/postgres && -x $dir/initdb ]] || continue
    if ((major >= MIN_MAJOR && major > best)); then best=$major; fi
  done
  if ((best > 0)); then printf '%s' "$best"; fi
}

# has_extension MAJOR NAME reports whether the extension's control file is installed.
has_extension() { [[ -e /usr/share/postgresql/$1/extension/$2.control ]]; }

# elsewhere_complete checks a Postgres that is not a package of the distribution: the
# installation of the pg_config on the PATH.
elsewhere_complete() {
  local bin share version
  command -v pg_config >/dev/null 2>&1 || return 1
  bin=$(pg_config --bindir) share=$(pg_config --sharedir)
  [[ -x $bin/postgres && -x $bin/initdb ]] || return 1
  version=$(pg_config --version)
  version=${version#PostgreSQL }
  version=${version%%[^0-9]*}
  ((version >= MIN_MAJOR)) || return 1
  [[ -e $share/extension/vector.control && -e $share/extension/pg_trgm.control ]]
}

complete() {
  local major
  major=$(server_major)
  if [[ -n $major ]] && has_extension "$major" vector && has_extension "$major" pg_trgm; then
    return 0
  fi
  elsewhere_complete
}

# as_root runs a command as root. root_or_explain has checked that this is possible.
as_root() {
  if ((EUID == 0)); then "$@"; else sudo -- "$@"; fi
}

root_or_explain() {
  if ((EUID == 0)) || command -v sudo >/dev/null 2>&1; then return 0; fi
  local major
  major=$(server_major)
  say "Postgres ${MIN_MAJOR}+ with pgvector is not complete here, and installing it needs root (there is no sudo)."
  say "As root, run either of these:"
  say "  $(realpath "${BASH_SOURCE[0]}")"
  say "  apt-get update && apt-get install postgresql postgresql-${major:-NN}-pgvector    (where the distribution has that package)"
  exit 1
}

apt_install() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends "$@" >"$work/apt.log" 2>&1 ||
    { tail -n 20 "$work/apt.log" >&2; die "apt-get install $* failed"; }
}

# refresh_lists runs apt-get update once, before the first installation: with missing or
# old lists, apt-get does not find existing packages.
lists_fresh=no
refresh_lists() {
  [[ $lists_fresh == no ]] || return 0
  say "refreshing the package lists"
  as_root apt-get update --quiet >"$work/apt.log" 2>&1 ||
    { tail -n 20 "$work/apt.log" >&2; die "apt-get update failed"; }
  lists_fresh=yes
}

has_package() {
  local candidate
  candidate=$(apt-cache policy "$1" 2>/dev/null | sed -n 's/^ *Candidate: //p')
  [[ -n $candidate && $candidate != '(none)' ]]
}

ensure_server() {
  local major
  major=$(server_major)
  if [[ -n $major ]] && has_extension "$major" pg_trgm; then return 0; fi
  refresh_lists
  say "installing the Postgres server"
  # By default the package creates and starts its own cluster. Gatehouse does not need
  # it, because it uses a private cluster. The setting is written only if no
  # administrator has set it.
  if [[ ! -e /etc/postgresql-common/createcluster.conf ]]; then
    as_root mkdir -p /etc/postgresql-common
    printf 'create_main_cluster = false\n' | as_root tee /etc/postgresql-common/createcluster.conf >/dev/null
  fi
  apt_install postgresql postgresql-contrib
  major=$(server_major)
  [[ -n $major ]] || die "the distribution's Postgres is older than ${MIN_MAJOR}; install a newer one and run this again"
}

ensure_pgvector() {
  local major
  major=$(server_major)
  if has_extension "$major" vector; then return 0; fi
  refresh_lists
  if has_package "postgresql-$major-pgvector"; then
    say "installing postgresql-$major-pgvector"
    apt_install "postgresql-$major-pgvector"
  else
    build_pgvector "$major"
  fi
  has_extension "$major" vector || die "pgvector was installed, but not where Postgres $major looks for it"
}

# archive_uri prints the URI of the main archive from the sources of this machine, so
# that mirrors and proxies are used.
archive_uri() {
  local file uri
  for file in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list /etc/apt/sources.list.d/*; do
    [[ -r $file ]] || continue
    uri=$(awk '
      function choose(u, s) { if (found == "" && u != "" && s !~ /security|backports/) found = u }
      /^[[:space:]]*#/ { next }
      # one-line format: deb [options] URI suite components
      /^deb(-src)?[[:space:]]/ { sub(/\[[^]]*\]/, ""); choose($2, $3) }
      # deb822: a paragraph per source
      /^URIs:/   { uri = $2 }
      /^Suites:/ { suite = $2 }
      /^[[:space:]]*$/ { choose(uri, suite); uri = suite = "" }
      END { choose(uri, suite); print found }
    ' "$file")
    if [[ -n $uri ]]; then
      printf '%s' "$uri"
      return 0
    fi
  done
  return 1
}

# build_pgvector MAJOR builds pgvector from the source package. It fetches the package
# with a separate sources list, lists directory and cache in the scratch directory.
build_pgvector() {
  local major=$1 uri keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  [[ -r $keyring ]] || die "no package postgresql-$major-pgvector here; install pgvector for Postgres $major by hand"
  uri=$(archive_uri) || die "found no archive in /etc/apt/sources.list.d/debian.sources or /etc/apt/sources.list"

  say "installing the build requirements of pgvector for Postgres $major"
  apt_install "postgresql-server-dev-$major" dpkg-dev build-essential

  say "fetching pgvector's source package from $SOURCE_SUITE"
  mkdir -p "$work/parts" "$work/lists/partial" "$work/cache/archives/partial" "$work/src"
  printf 'deb-src [signed-by=%s] %s %s main\n' "$keyring" "$uri" "$SOURCE_SUITE" >"$work/sources.list"
  local -a apt=(apt-get --quiet
    -o "Dir::Etc::sourcelist=$work/sources.list"
    -o "Dir::Etc::sourceparts=$work/parts"
    -o "Dir::State::lists=$work/lists"
    -o "Dir::Cache=$work/cache"
    -o "APT::Sandbox::User=$(id -un)")
  if ! { "${apt[@]}" update && cd "$work/src" && "${apt[@]}" source --only-source pgvector; } >"$work/source.log" 2>&1; then
    tail -n 20 "$work/source.log" >&2
    die "could not fetch pgvector's source package"
  fi

  say "building pgvector (about ten seconds)"
  local -a tree=("$work"/src/pgvector-*/)
  local pg_config=/usr/lib/postgresql/$major/bin/pg_config
  # OPTFLAGS: the default is -march=native, which fails for an image that is built on
  # one machine and run on another.
  make -C "${tree[0]}" -j"$(nproc)" PG_CONFIG="$pg_config" OPTFLAGS= >"$work/make.log" 2>&1 ||
    { tail -n 30 "$work/make.log" >&2; die "building pgvector failed"; }
  as_root make -C "${tree[0]}" install PG_CONFIG="$pg_config" OPTFLAGS= >"$work/make.log" 2>&1 ||
    { tail -n 30 "$work/make.log" >&2; die "installing pgvector failed"; }
}

main() {
  if complete; then exit 0; fi
  if [[ ${1:-} == --check ]]; then
    die "Postgres ${MIN_MAJOR}+ with pg_trgm and pgvector is not complete; run deploy/setup/postgres.sh"
  fi
  command -v apt-get >/dev/null 2>&1 ||
    die "no apt-get here: install Postgres ${MIN_MAJOR} or newer with contrib and pgvector, so that pg_config is on the PATH"
  root_or_explain

  work=$(mktemp -d)
  trap 'rm -rf -- "$work"' EXIT
  ensure_server
  ensure_pgvector
  say "Postgres $(server_major) with pgvector is ready"
}

main "$@"

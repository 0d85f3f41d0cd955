#!/usr/bin/env bash
#
# Makes the commands of a tools module available in .bin. They are built once for each
# version of the module and of Go, in a cache outside of the clone, and linked from there.
#
#   tools/build/install.sh MODULE WHAT
#
# MODULE is a folder with a go.mod that lists tools; WHAT describes them to the user. The
# cache is $XDG_CACHE_HOME/gatehouse or ~/.cache/gatehouse. It can be deleted at any time.
set -euo pipefail

module=$1 what=$2
root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root/$module"
version=$({ go version; cat go.mod go.sum; } | sha256sum | cut -c1-16)
cache=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/gatehouse/tools/$version

if [ ! -e "$cache/.complete" ]; then
  echo "setup: building $what, pinned in $module/go.mod (once for each version)" >&2
  # Built beside, so that an interrupted build leaves nothing that looks complete.
  building=$(mktemp -d)
  trap 'rm -rf "$building"' EXIT
  GOWORK=off GOBIN=$building go install tool
  mkdir -p "$cache"
  cp -a "$building/." "$cache/"
  touch "$cache/.complete"
fi
mkdir -p "$root/.bin"
for command in "$cache"/*; do
  ln -sfn "$command" "$root/.bin/$(basename "$command")"
done

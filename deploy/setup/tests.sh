#!/usr/bin/env bash
#
# Installs the commands that the tests call: a C compiler for the race detector, curl and
# python3 for the tour of the README, Chromium for the pages, and oathtool. It prints what
# it installs, and prints nothing if all of them are installed.
#
#   deploy/setup/tests.sh
set -euo pipefail

say() { printf 'setup: %s\n' "$*" >&2; }

# The package of each command on Debian and its derivatives.
declare -A package=(
  [cc]=build-essential
  [curl]=curl
  [python3]=python3
  [chromium]=chromium
  [oathtool]=oathtool
)

missing=()
for command in "${!package[@]}"; do
  command -v "$command" >/dev/null 2>&1 || missing+=("${package[$command]}")
done
((${#missing[@]})) || exit 0

as_root() { if ((EUID == 0)); then "$@"; else sudo -- "$@"; fi; }

if ! command -v apt-get >/dev/null 2>&1 || ! { ((EUID == 0)) || command -v sudo >/dev/null 2>&1; }; then
  say "the tests need these packages, which cannot be installed here: ${missing[*]}"
  exit 1
fi
say "installing the commands of the tests: ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
{ as_root apt-get update --quiet &&
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 ||
  { tail -n 20 "$log" >&2; say "apt-get failed"; exit 1; }

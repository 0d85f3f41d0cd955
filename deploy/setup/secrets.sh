#!/usr/bin/env bash
#
# Makes the secrets that docker-compose.yml hands to its services, in
# deploy/secrets. What is there already stays as it is, so it can be run again.
#
# The folder is closed to other users of this machine; the files in it are
# readable, because a service reads them as a user of its own.
set -euo pipefail

cd "$(dirname "$0")/.."
mkdir -p secrets
chmod 0700 secrets
cd secrets

# keep NAME: writes standard input to a new file; leaves an old one alone.
keep() {
  if [[ -e $1 ]]; then return 0; fi
  (umask 022 && cat >"$1")
  printf 'setup: made deploy/secrets/%s\n' "$1" >&2
}

random() { head -c "$1" /dev/urandom; }

random 32 | base64 -w0 | keep secret_key
random 15 | base64 -w0 | keep admin_password
# Hexadecimal, so that it can stand in a URL as it is.
random 24 | od -An -tx1 | tr -d ' \n' | keep database_password
printf 'postgres://postgres:%s@postgres:5432/gatehouse?sslmode=disable' "$(<database_password)" | keep database_url

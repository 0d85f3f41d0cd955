#!/usr/bin/env bash
#
# Creates the secrets for docker-compose.yml in deploy/secrets. Existing secrets are not
# changed, so it can be run again.
#
# Other users of this machine have no access to the directory. The files in it are
# readable, because each service reads them as its own user.
set -euo pipefail

cd "$(dirname "$0")/.."
mkdir -p secrets
chmod 0700 secrets
cd secrets

# keep NAME writes standard input to a new file. It does not change an existing file.
keep() {
  if [[ -e $1 ]]; then return 0; fi
  (umask 022 && cat >"$1")
  printf 'setup: created deploy/secrets/%s\n' "$1" >&2
}

random() { head -c "$1" /dev/urandom; }

random 32 | base64 -w0 | keep secret_key
random 15 | base64 -w0 | keep admin_password
# Hexadecimal, so that a URL can contain it without escapes.
random 24 | od -An -tx1 | tr -d ' \n' | keep database_password
printf 'postgres://postgres:%s@postgres:5432/gatehouse?sslmode=disable' "$(<database_password)" | keep database_url

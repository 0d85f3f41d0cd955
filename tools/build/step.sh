#!/usr/bin/env bash
#
# Runs a command as a named step and prints how long it took.
#
#   tools/build/step.sh NAME COMMAND...
set -uo pipefail

name=$1
shift
from=$SECONDS
"$@"
status=$?
printf '%5d s  %s\n' "$((SECONDS - from))" "$name" >&2
exit "$status"

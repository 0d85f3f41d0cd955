#!/usr/bin/env bash
# Adds an entity to a clone of the committed tree, as a developer would, and tests what it
# touched; then adds a field to it and tests that. Prints the time and files of each step.
#
#   tools/entity/try.sh [NAME] [SERVICE]
set -euo pipefail

name=${1:-prompt} service=${2:-management}
root=$(git -C "$(dirname "$0")" rev-parse --show-toplevel)
clone=$(mktemp -d)
trap 'rm -rf "$clone"' EXIT
git clone --quiet "$root" "$clone"
cd "$clone"
# Tools that are built already are not built again.
if [ -d "$root/.bin" ]; then cp -a "$root/.bin" .; touch .bin/.installed; fi
if [ -d "$root/clients/typescript/node_modules" ]; then
  cp -a "$root/clients/typescript/node_modules" clients/typescript/
  touch clients/typescript/node_modules/.package-lock.json
fi

step() { echo "== $1"; shift; local from=$SECONDS; "$@"; echo "   $((SECONDS - from)) s"; }

check() {
  .bin/buf lint
  (cd proto && GOWORK=off go test -tags grpcnotrace ./...)
  (cd services && GOWORK=off go test -tags grpcnotrace "./$service/...")
  if [ -x .bin/golangci-lint ]; then (cd services && GOWORK=off ../.bin/golangci-lint run "./$service/..."); fi
  (cd gateway && GOWORK=off go test -tags grpcnotrace -run 'OpenAPI' .)
  (cd cmd && GOWORK=off go test -tags grpcnotrace ./surface ./clients ./internal/rules)
  make --no-print-directory check-generated
}

step "make entity NAME=$name SERVICE=$service" make --no-print-directory entity NAME="$name" SERVICE="$service"
git add -A
step "lint, test and walk what it touched" check
git -c user.name=try -c user.email=try@example.com commit --quiet -m "Add an entity"

package=${name//_/}
add_field() {
  local contract=proto/gatehouse/$service/v1/$name.proto room=services/$service/$package
  sed -i 's|^  string etag = 6 .*|&\n  // The category.\n  string category = 7 [(buf.validate.field).string.max_len = 50];|' "$contract"
  sed -i 's|^    description     text.*|&\n    category        text        NOT NULL,|' services/"$service"/migrations/*_"$name"s.sql
  sed -i 's|^\tDescription string .*|&\n\tCategory    string `db:"category,patch"`|' "$room/$package.go"
  sed -i 's|^\t\tDescription: in\.GetDescription(),|&\n\t\tCategory:    in.GetCategory(),|; s|^\t\tDescription: s\.Description,|&\n\t\tCategory:    s.Category,|' "$room/codec.go"
}
step "add a field" add_field
echo "   places: $(git diff --unified=0 | grep -c '^@@'), files: $(git diff --name-only | wc -l)"
step "regenerate" bash -c "make --no-print-directory generate && cd services && GOWORK=off go test -tags grpcnotrace ./$service/migrations -update"
git add -A
step "lint, test and walk again" check

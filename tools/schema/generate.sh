#!/usr/bin/env bash
# Writes shared/pod/schema.json, the fields of pods in every supported Kubernetes version, read from Kubernetes' Go
# types and checked against its OpenAPI documents, and tests/vectors/quantity.json. Needs Go, Deno and the Go
# module proxy; downloads k8s.io/kubernetes of each version, about 40 MB each, for the OpenAPI document alone.
#
# To support a new version, copy the newest versions/*.mod, change the numbers in it, run
# `go mod tidy -modfile=versions/1.N.mod` and this script, and review what changes in schema.json: a new field
# needs a decision in defaults.ts, normal_form.ts, compare.ts and rebuild.ts.
set -euo pipefail
cd "$(dirname "$0")"
export GOWORK=off
tables=$(mktemp -d)
trap 'rm -rf "$tables"' EXIT
arguments=()
for file in versions/*.mod; do
  minor=$(basename "$file" .mod)
  patch=$(sed -n 's|^\tk8s.io/api v0\.\(.*\)$|v1.\1|p' "$file")
  kubernetes=$(go mod download -json "k8s.io/kubernetes@$patch" | sed -n 's/.*"Dir": "\(.*\)",/\1/p')
  go run -modfile="$file" . > "$tables/$minor.json"
  arguments+=("$minor=$tables/$minor.json=$kubernetes/api/openapi-spec/swagger.json")
done
go run ./merge "${arguments[@]}" > "$tables/schema.json"
mv "$tables/schema.json" ../../shared/pod/schema.json
go run -modfile=versions/1.37.mod ./quantity > "$tables/quantity.json"
deno fmt --quiet --line-width 110 "$tables/quantity.json"
mv "$tables/quantity.json" ../../tests/vectors/quantity.json

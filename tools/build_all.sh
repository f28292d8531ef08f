#!/usr/bin/env bash
# Compiles the three programs for each target into dist/, with SHA256SUMS and an SBOM (CycloneDX) of each program.
#
# dist/ is all of it or nothing: what was there stays until everything has been made. Without the network nothing can be
# compiled, since `deno compile` downloads a base binary for each target; then this checks modules, types and flags, says which
# bases are missing, and fails. Environment:
#   DIST         another folder than dist
#   TARGETS      some of the targets, with spaces between
#   EXEC_PLUGIN  path of the one program that kubelet-proxy may run on the node; see docs/adr/0018-containers-and-binaries.md
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tools/programs.sh
source tools/programs.sh
check_exec_plugin
export DENO_DIR=${DENO_DIR:-$PWD/.tools/deno_dir} DENO_NO_UPDATE_CHECK=1 NO_COLOR=1
deno=${DENO:-$PWD/.tools/deno}
dist=${DIST:-dist}
known="x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu x86_64-apple-darwin aarch64-apple-darwin"
read -ra targets <<<"${TARGETS:-$known}"
for target in "${targets[@]}"; do
  [[ " $known " == *" $target "* ]] || { echo "build-all: \"$target\" is not one of the targets: $known" >&2; exit 2; }
done

work=$(mktemp -d "$PWD/.build-all-XXXXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/dist"

# The words by which Deno says that the base binary, and nothing else, is missing. By then it has read all modules.
base_is_missing='Setting up base binary'

# Compiles one program; 3 means that the base binary is missing.
compile() { # PROGRAM TARGET
  # shellcheck disable=SC2046  # the flags are words
  if "$deno" compile --quiet --frozen --no-prompt --check --target "$2" $(settings "$1") $(frozen_permissions "$1") \
      --output "$work/dist/$1-$2" "$(folder_of "$1")/main.ts" >"$work/log" 2>&1; then
    [ -s "$work/dist/$1-$2" ] && return
    echo "deno compile made no file" >>"$work/log"
    return 1
  fi
  grep -q "$base_is_missing" "$work/log" && return 3
  return 1
}

missing=()
for target in "${targets[@]}"; do
  for program in "${PROGRAMS[@]}"; do
    status=0
    compile "$program" "$target" || status=$?
    case $status in
      0) echo "build-all: $program for $target" ;;
      3) missing+=("$program for $target: $(grep -m1 -oE 'https://[^ )]*' "$work/log" || echo "see deno compile --target $target")") ;;
      *)
        echo "build-all: cannot compile $program for $target:" >&2
        cat "$work/log" >&2
        exit 1
        ;;
    esac
  done
done
if [ ${#missing[@]} -gt 0 ]; then
  {
    echo "build-all: modules, types and flags of all programs are in order, but $dist was not made: Deno's base binary could not be had for"
    printf 'build-all:   %s\n' "${missing[@]}"
    echo "build-all: run this where these addresses can be reached"
  } >&2
  exit 1
fi

for program in "${PROGRAMS[@]}"; do
  "$deno" info --json --frozen "$(folder_of "$program")/main.ts" |
    "$deno" run --quiet --frozen --no-prompt --allow-read=deno.lock tools/sbom.ts "$program" >"$work/dist/$program.cdx.json"
done
(cd "$work/dist" && if command -v sha256sum >/dev/null; then sha256sum -- *; else shasum -a 256 -- *; fi >"$work/SHA256SUMS")
mv "$work/SHA256SUMS" "$work/dist/SHA256SUMS"
rm -rf "$dist.before"
[ ! -e "$dist" ] || mv "$dist" "$dist.before"
mv "$work/dist" "$dist"
rm -rf "$dist.before"
echo "build-all: $dist has $(wc -l <"$dist/SHA256SUMS" | tr -d ' ') files and SHA256SUMS"

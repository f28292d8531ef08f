#!/usr/bin/env bash
# Makes bin/NAME for each NAME given: a compiled binary where Deno's base binary can be had, else a launcher on the
# pinned Deno. Ends by running each with --version.
#
# A compiled binary's permissions are frozen, so they name what can be named beforehand. A launcher asks the program's
# permissions.ts for the exact files and hosts that its command line means. Modules and libraries are bundled into one file for each
# start, build/programs/NAME/, which Deno loads faster than hundreds; see docs/adr/0023-starting-fast.md.
set -euo pipefail
cd "$(dirname "$0")/.."
export DENO_DIR="$PWD/.tools/deno_dir"
deno="$PWD/.tools/deno"
# shellcheck source=tools/programs.sh
source tools/programs.sh
check_exec_plugin

# Deno trusts its default certificate authorities beside those it is given; the node trusts the kubeconfig's alone.
environment() {
  case $1 in
    kubelet-proxy) echo 'export DENO_TLS_CA_STORE=system SSL_CERT_FILE=/dev/null SSL_CERT_DIR=/dev/null' ;;
  esac
}

launcher() {
  cat <<EOF
#!/bin/sh
# $1 on the project's pinned Deno, with permission for exactly the files and hosts that the command line names.
set -euf
root=\$(dirname -- "\$(dirname -- "\$(readlink -f -- "\$0")")")
deno=\$root/.tools/deno
export DENO_DIR="\$root/.tools/deno_dir" DENO_NO_UPDATE_CHECK=1
unset HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY http_proxy https_proxy all_proxy no_proxy
$(environment "$1")
if [ ! -x "\$deno" ]; then
  echo "$1: this is a launcher, which needs the folder that it was made in: \$deno is missing. Run make setup there, or make a symbolic link to the launcher instead of copying it" >&2
  exit 2
fi
modules=\$root/build/programs/$1
permissions=\$("\$deno" run --quiet --no-config --no-remote --no-npm --no-prompt --ignore-env --allow-read --allow-env=SIGNING_SERVER_URL,NOTIFY_SOCKET "\$modules/permissions.js" "\$@")
IFS='
'
exec "\$deno" run --quiet --no-config --no-remote --no-npm --no-prompt $unstable $(settings "$1") \$permissions "\$modules/main.js" "\$@"
EOF
}

# One file for each of the modules that a launcher starts.
bundle() { # PROGRAM FOLDER
  local module
  mkdir -p "build/programs/$1"
  for module in main permissions; do
    "$deno" bundle --quiet --frozen --output "build/programs/$1/new-$module.js" "$2/$module.ts"
    mv -f "build/programs/$1/new-$module.js" "build/programs/$1/$module.js"
  done
  if [ "$(ls "$DENO_DIR/dl")" != "$esbuild" ]; then
    echo "build: this Deno does not bundle with $esbuild, which tools/esbuild pins; pin the one that it has put into $DENO_DIR/dl" >&2
    return 1
  fi
}

# What deno.json says to all modules is said to bundles by flags.
# shellcheck disable=SC2016  # the text is a program
unstable=$("$deno" eval 'import config from "./deno.json" with { type: "json" };
  console.log(config.unstable.map((feature) => `--unstable-${feature}`).join(" "))')
esbuild=$(sed -n 's/.*"npm:\(esbuild\)@\([0-9.]*\)".*/\1-\2/p' tools/esbuild/deno.json)
mkdir -p bin build
for name in "$@"; do
  folder=$(folder_of "$name")
  "$deno" check --quiet --frozen "$folder/main.ts" "$folder/permissions.ts"
  # shellcheck disable=SC2046  # the flags are words
  if "$deno" compile --quiet --frozen --no-prompt $(settings "$name") $(frozen_permissions "$name") \
      --output "bin/$name.new" "$folder/main.ts" >"build/compile-$name.log" 2>&1; then
    form="one file, can be copied"
  else
    bundle "$name" "$folder"
    launcher "$name" >"bin/$name.new"
    chmod 755 "bin/$name.new"
    form="a launcher that needs this folder, since deno compile has no base binary here; see build/compile-$name.log"
  fi
  mv -f "bin/$name.new" "bin/$name"
  said=$("bin/$name" --version)
  echo "build: bin/$name ($form): $said"
done

#!/usr/bin/env bash
# Makes bin/NAME for each NAME given: a compiled binary where Deno's base binary can be had, else a launcher on the
# pinned Deno. Ends by running each with --version.
#
# A compiled binary's permissions are frozen, so they name what can be named beforehand. A launcher asks
# FOLDER/permissions.ts for the exact files and hosts that its command line means.
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
permissions=\$("\$deno" run --quiet --frozen --cached-only --no-prompt --ignore-env --allow-read --allow-env=SIGNING_SERVER_URL,NOTIFY_SOCKET --config "\$root/deno.json" "\$root/$2/permissions.ts" "\$@")
IFS='
'
exec "\$deno" run --quiet --frozen --cached-only --no-prompt --config "\$root/deno.json" $(settings "$1") \$permissions "\$root/$2/main.ts" "\$@"
EOF
}

mkdir -p bin build
for name in "$@"; do
  folder=$(folder_of "$name")
  "$deno" check --quiet --frozen "$folder/main.ts" "$folder/permissions.ts"
  # shellcheck disable=SC2046  # the flags are words
  if "$deno" compile --quiet --frozen --no-prompt $(settings "$name") $(frozen_permissions "$name") \
      --output "bin/$name.new" "$folder/main.ts" >"build/compile-$name.log" 2>&1; then
    form="one file, can be copied"
  else
    launcher "$name" "$folder" >"bin/$name.new"
    chmod 755 "bin/$name.new"
    form="a launcher that needs this folder, since deno compile has no base binary here; see build/compile-$name.log"
  fi
  mv -f "bin/$name.new" "bin/$name"
  said=$("bin/$name" --version)
  echo "build: bin/$name ($form): $said"
done

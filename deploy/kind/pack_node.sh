#!/usr/bin/env bash
# Writes what a node needs to standard output, as a tar archive: bin/kubelet-proxy and bin/podsign for its architecture, deploy/
# and the trusted certificate as signing.pem.
#
#   deploy/kind/pack_node.sh x86_64 signing.pem | ssh root@node tar -xf - -C /opt/signed-pods
set -euo pipefail
if [ $# != 2 ]; then
  echo "Usage: pack_node.sh ARCHITECTURE CERTIFICATE" >&2
  exit 2
fi
certificate=$(cd "$(dirname "$2")" && pwd)/$(basename "$2")
cd "$(dirname "$0")/../.."
arch=$1
[ "$arch" != arm64 ] || arch=aarch64
mine=$(uname -m)
[ "$mine" != arm64 ] || mine=aarch64
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$certificate" "$work/signing.pem"
files=(deploy)
if [ "$(uname -s) $mine" = "Linux $arch" ]; then
  files+=(bin/kubelet-proxy bin/podsign)
  # Launchers need Deno and the modules; compiled programs have them inside.
  if [ "$(head -c 2 bin/kubelet-proxy)" = '#!' ]; then
    files+=(.tools/deno build/programs/kubelet-proxy build/programs/podsign)
  fi
else
  mkdir "$work/bin"
  for program in kubelet-proxy podsign; do
    if [ ! -s "dist/$program-$arch-unknown-linux-gnu" ]; then
      echo "pack_node: dist/$program-$arch-unknown-linux-gnu is missing, and this machine is another kind than the node: run make build-all first" >&2
      exit 1
    fi
    cp "dist/$program-$arch-unknown-linux-gnu" "$work/bin/$program"
  done
fi
tar -chf - -C "$work" . -C "$PWD" "${files[@]}"

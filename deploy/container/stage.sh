#!/bin/sh
# Lays out the signing-server's container: OUT/root is its file system beside the base image's, OUT/data its volume. Run in the
# repository by Dockerfile.signing-server, and by the tests.
set -eu
if [ $# != 1 ]; then
  echo "Usage: stage.sh OUT" >&2
  exit 2
fi
out=$1
deno=${DENO:-deno}
app=$out/root/app
mkdir -p "$app/deploy/container" "$app/proxy" "$app/cli" "$out/root/usr/bin" "$out/root/etc/signing-server" "$out/data"
# The workspace's other members are named in deno.json, so Deno wants their own ones. No code of theirs comes along.
cp deno.json deno.lock "$app/"
cp proxy/deno.json "$app/proxy/"
cp cli/deno.json "$app/cli/"
cp -R shared signer "$app/"
cp deploy/container/healthcheck.ts "$app/deploy/container/"
cp -L "$(command -v "$deno")" "$out/root/usr/bin/deno"
# Into the container's own cache, checked against deno.lock; what the server does not import stays out.
cd "$app"
DENO_DIR=$app/.deno "$deno" cache --quiet --frozen signer/main.ts deploy/container/healthcheck.ts
# Compiled forms belong to the paths here; the container's folder is not the same.
rm -rf .deno/gen .deno/*_cache_v2*
chmod -R u=rwX,go=rX "$out/root"

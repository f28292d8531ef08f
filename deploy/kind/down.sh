#!/usr/bin/env bash
# Removes all that up.sh made, the signing key among it (make teardown-kind). What is gone already is no error.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=deploy/kind/common.sh
source deploy/kind/common.sh
need <<'LIST'
docker https://docs.docker.com/engine/install
kind https://kind.sigs.k8s.io
LIST
if cluster_exists; then kind delete cluster --name "$CLUSTER"; fi
if docker container inspect "$SIGNER" >/dev/null 2>&1; then docker rm --force "$SIGNER" >/dev/null; fi
if docker volume inspect "$SIGNER_VOLUME" >/dev/null 2>&1; then docker volume rm "$SIGNER_VOLUME" >/dev/null; fi
if docker image inspect "$SIGNER_IMAGE" >/dev/null 2>&1; then docker image rm "$SIGNER_IMAGE" >/dev/null; fi
rm -rf "$STATE"
say "everything is removed"

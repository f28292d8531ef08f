#!/usr/bin/env bash
# A kind cluster of two nodes whose worker runs signed pods only (make deploy-kind). Run it again after a change: what is there
# stays, and what is new is put in place.
#
#   1. the cluster, cluster.yaml
#   2. signing-server as a container on 127.0.0.1:8080, from Dockerfile.signing-server, with a token
#   3. the system's DaemonSets and Deployments are signed: nothing on the worker is exempt
#   4. deploy/install.sh on the worker: kubelet-proxy between the kubelet and the API server
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=deploy/kind/common.sh
source deploy/kind/common.sh
need <<'LIST'
docker https://docs.docker.com/engine/install
kind https://kind.sigs.k8s.io, or go install sigs.k8s.io/kind
kubectl https://kubernetes.io/docs/tasks/tools
openssl your system's package openssl
tar your system's package tar
LIST

# ---- 1. the cluster

if cluster_exists; then
  say "the cluster $CLUSTER is there"
else
  kind create cluster --config deploy/kind/cluster.yaml ${KIND_NODE_IMAGE:+--image "$KIND_NODE_IMAGE"} --wait "${READY_TIMEOUT}s"
fi
mkdir -p "$STATE"
chmod 700 "$STATE"
kind get kubeconfig --name "$CLUSTER" >"$STATE/kubeconfig"
chmod 600 "$STATE/kubeconfig"
export KUBECONFIG=$PWD/$STATE/kubeconfig

# ---- 2. the signing-server, on the owner's machine: outside of the cluster

if [ ! -s "$STATE/tokens" ]; then
  # Others cannot enter the folder; in the container the user is another one and has to read the file.
  openssl rand -hex 32 >"$STATE/tokens.new"
  chmod 444 "$STATE/tokens.new"
  mv "$STATE/tokens.new" "$STATE/tokens"
fi
docker build --file Dockerfile.signing-server --tag "$SIGNER_IMAGE" .
wanted=$(docker image inspect --format '{{.Id}}' "$SIGNER_IMAGE")
running=$(docker container inspect --format '{{.Image}} {{.State.Running}}' "$SIGNER" 2>/dev/null || true)
if [ "$running" = "$wanted true" ]; then
  say "the signing-server runs"
else
  # The key is in the volume and outlives the container.
  docker rm --force "$SIGNER" >/dev/null 2>&1 || true
  docker run --detach --name "$SIGNER" --read-only --cap-drop=ALL --security-opt=no-new-privileges --memory=512m --pids-limit=256 \
    --publish 127.0.0.1:8080:8080 --volume "$SIGNER_VOLUME:/var/lib/signing-server" \
    --volume "$PWD/$STATE/tokens:/etc/signing-server/tokens:ro" "$SIGNER_IMAGE" >/dev/null
fi
signer_is_healthy() { [ "$(docker container inspect --format '{{.State.Health.Status}}' "$SIGNER")" = healthy ]; }
wait_for "the signing-server is healthy; see docker logs $SIGNER" signer_is_healthy
bin/podsign get-cert --server "$SIGNER_URL" >"$STATE/signing.pem.new"
mv "$STATE/signing.pem.new" "$STATE/signing.pem"

# ---- 3. what the nodes run already

CERT=$STATE/signing.pem deploy/kind/sign_workloads.sh kube-system local-path-storage -- --server "$SIGNER_URL" --token-file "$STATE/tokens"

# ---- 4. the worker

deploy/kind/pack_node.sh "$(docker exec "$WORKER" uname -m)" "$STATE/signing.pem" |
  docker exec --interactive "$WORKER" sh -c 'rm -rf /opt/signed-pods && mkdir -p /opt/signed-pods && tar -xf - -C /opt/signed-pods'
trust=(--trust /opt/signed-pods/signing.pem)
# Later runs are upgrades, which keep what was chosen the first time.
if docker exec "$WORKER" test -e /var/lib/kubelet-proxy-found/installed; then trust=(); fi
docker exec "$WORKER" /opt/signed-pods/deploy/install.sh ${trust[@]+"${trust[@]}"}
kubectl wait --for=condition=Ready "node/$WORKER" --timeout="${READY_TIMEOUT}s"
say "KUBECONFIG=$KUBECONFIG kubectl get nodes; make test-kind; make teardown-kind"

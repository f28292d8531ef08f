# What the kind scripts share. Sourced from the repository's root.
# shellcheck shell=bash disable=SC2034  # the names are for those who source it

CLUSTER=signed-pods
CONTEXT=kind-$CLUSTER
WORKER=$CLUSTER-worker
SIGNER=$CLUSTER-signer
SIGNER_IMAGE=localhost/signing-server:kind
SIGNER_VOLUME=$CLUSTER-signing-key
SIGNER_URL=http://127.0.0.1:8080
# What kind itself is released with; by tag and digest in its release notes: KIND_NODE_IMAGE=kindest/node:vX.Y.Z@sha256:…
KIND_NODE_IMAGE=${KIND_NODE_IMAGE:-}
# Token and certificate of the signing-server; removed by down.sh.
STATE=${KIND_STATE:-build/kind}
# How long something that was started may take to be ready, in seconds.
READY_TIMEOUT=${READY_TIMEOUT:-120}

say() { printf 'kind: %s\n' "$*"; }
die() { printf 'kind: %s\n' "$*" >&2; exit 1; }

# Checks all that is needed and names all that is missing at once: each line is a program and where it comes from.
need() {
  local missing=() program source
  while read -r program source; do
    command -v "$program" >/dev/null || missing+=("$program ($source)")
  done
  if [ ${#missing[@]} -gt 0 ]; then
    printf 'kind: missing: %s\n' "${missing[@]}" >&2
    die "install what is missing and try again; without Docker, make test-cluster tests the same on a node of its own"
  fi
  docker info >/dev/null 2>&1 || die "docker info fails: start the Docker engine, or let this user use it (group docker)"
}

cluster_exists() { kind get clusters 2>/dev/null | grep -qxF "$CLUSTER"; }

# Runs a command until it succeeds.
wait_for() { # WHAT COMMAND…
  local deadline=$((SECONDS + READY_TIMEOUT))
  until "${@:2}"; do
    [ $SECONDS -lt $deadline ] || die "waited $READY_TIMEOUT s in vain: $1"
    sleep 0.5
  done
}

#!/usr/bin/env bash
# Signs the DaemonSets and Deployments of namespaces in place, those that do not verify, and waits until their pods are new.
#
#   CERT=signing.pem deploy/kind/sign_workloads.sh kube-system -- --server URL --token-file FILE
#
# What follows -- is for podsign sign-spec. Environment: CERT, the certificate that nodes trust; KUBECTL and PODSIGN, the
# programs, by default kubectl and bin/podsign; ROLLOUT_TIMEOUT in seconds.
set -euo pipefail
kubectl=${KUBECTL:-kubectl}
podsign=${PODSIGN:-bin/podsign}
namespaces=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do
  namespaces+=("$1")
  shift
done
if [ ${#namespaces[@]} = 0 ] || [ -z "${CERT:-}" ]; then
  echo "Usage: CERT=FILE sign_workloads.sh NAMESPACE... -- FLAGS OF podsign sign-spec" >&2
  exit 2
fi
[ $# = 0 ] || shift

for namespace in "${namespaces[@]}"; do
  mapfile -t workloads < <("$kubectl" get daemonsets,deployments -n "$namespace" -o name)
  for workload in "${workloads[@]}"; do
    manifest=$("$kubectl" get "$workload" -n "$namespace" -o yaml)
    if "$podsign" verify-spec --cert "$CERT" - <<<"$manifest" >/dev/null 2>&1; then
      echo "signed already: $namespace/$workload"
      continue
    fi
    # Replaced as it was read: if somebody changed it meanwhile, the API server says so, and nothing is lost.
    signed=$("$podsign" sign-spec "$@" - <<<"$manifest")
    "$kubectl" replace -f - <<<"$signed" >/dev/null
    echo "signed: $namespace/$workload"
  done
  for workload in "${workloads[@]}"; do
    "$kubectl" rollout status "$workload" -n "$namespace" --timeout="${ROLLOUT_TIMEOUT:-120}s"
  done
done

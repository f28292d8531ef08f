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
flags=("$@")

# A controller that writes the status meanwhile makes a conflict; then what is there now is read and signed.
CONFLICTS=10

sign() { # WORKLOAD NAMESPACE
  local manifest signed said tries
  for ((tries = 0; tries < CONFLICTS; tries++)); do
    manifest=$("$kubectl" get "$1" -n "$2" -o yaml)
    if "$podsign" verify-spec --cert "$CERT" - <<<"$manifest" >/dev/null 2>&1; then
      echo "signed already: $2/$1"
      return
    fi
    signed=$("$podsign" sign-spec ${flags[@]+"${flags[@]}"} - <<<"$manifest")
    if said=$("$kubectl" replace -f - <<<"$signed" 2>&1); then
      echo "signed: $2/$1"
      return
    fi
    if [[ $said != *"(Conflict)"* ]]; then break; fi
  done
  printf '%s\n' "$said" >&2
  return 1
}

for namespace in "${namespaces[@]}"; do
  workloads=$("$kubectl" get daemonsets,deployments -n "$namespace" -o name)
  for workload in $workloads; do sign "$workload" "$namespace"; done
  for workload in $workloads; do
    "$kubectl" rollout status "$workload" -n "$namespace" --timeout="${ROLLOUT_TIMEOUT:-120}s"
  done
done

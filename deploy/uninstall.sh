#!/usr/bin/env bash
# Takes kubelet-proxy off this node: puts back every file that deploy/install.sh found, byte for byte, removes all others that it
# made, and restarts the kubelet. Also after an installation that was broken off. As root. See docs/operations.md.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=common.sh
source "$here/common.sh"

usage() {
  cat <<EOF
Usage: uninstall.sh [--dry-run] [--force] [--root FOLDER]

  --dry-run      say what would be done
  --force        put back the kubelet's kubeconfig although somebody has changed it since
  --root FOLDER  a node whose files are all below this folder
EOF
}

force=false
while [ $# -gt 0 ]; do
  case $1 in
    --help) usage; exit ;;
    --dry-run) dry_run=true ;;
    --force) force=true ;;
    --root)
      [ -n "${2:-}" ] || usage_error "$1 needs a value"
      ROOT=${2%/}
      shift
      ;;
    *) usage_error "unknown argument '$1'" ;;
  esac
  shift
done
set_paths

[ "$(id -u)" = 0 ] || die "needs root"
if [ ! -s "$found/paths" ]; then
  say "kubelet-proxy is not installed; there is nothing to do"
  exit
fi
# The kubeconfig of the installation, which kept it first of all.
kubeconfig=$(head -n 1 "$found/paths")
if [ -e "$found/kubeconfig-sum" ] && ! $force; then
  sha256sum --status -c "$found/kubeconfig-sum" <"$kubeconfig" 2>/dev/null ||
    die "$kubeconfig was changed since the installation; --force puts back the old one"
fi

while read -r path; do
  if [ -n "$(found_copy "$path")" ]; then say "$path is put back"; else say "$path is removed"; fi
done <"$found/paths"
run "stop $SERVICE, put back the files, restart $KUBELET_SERVICE" put_back
if $dry_run; then exit; fi
node_kubeconfig=$kubeconfig
find_node
if ! wait_until_ready "$kubelet_started"; then
  die "the files that were found are in place, and still in $found"
fi
rm -rf -- "$found"
say "kubelet-proxy is removed; node $node_name is Ready"

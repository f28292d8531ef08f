# shellcheck shell=bash disable=SC2034  # the names are for those who source it
# What install.sh and uninstall.sh share: where things are, what was found there, and whether the node is Ready. Sourced.

# Times and names are compared letter by letter.
export LC_ALL=C

# Every path is below ROOT, also those that are written into files, so that a node laid out in a folder is a node.
ROOT=${ROOT:-}
# Where the program's versions go, on a file system that may be read-only for services.
LIB_DIR=${LIB_DIR:-/usr/local/lib/kubelet-proxy}
# Flags and trusted keys.
CONFIG_DIR=${CONFIG_DIR:-/etc/kubelet-proxy}
# The node's credential and the certificates between kubelet and proxy; the service owns it (StateDirectory= of the unit).
STATE_DIR=${STATE_DIR:-/var/lib/kubelet-proxy}
# What the installer found, byte for byte.
FOUND_DIR=${FOUND_DIR:-/var/lib/kubelet-proxy-found}
UNIT_DIR=${UNIT_DIR:-/etc/systemd/system}
RUNTIME_DIR=${RUNTIME_DIR:-/run/kubelet-proxy}
KUBELET_SERVICE=${KUBELET_SERVICE:-kubelet.service}
# Where the kubelet keeps its own credential: kubelet-client-current.pem, a link to the newest.
KUBELET_PKI_DIR=${KUBELET_PKI_DIR:-/var/lib/kubelet/pki}
# By default the first of these that is there: kubeadm and kind, then AKS.
KUBELET_KUBECONFIG=${KUBELET_KUBECONFIG:-}
KUBELET_KUBECONFIGS=(/etc/kubernetes/kubelet.conf /var/lib/kubelet/kubeconfig)
# With these the kubelet gets a new credential from the cluster by itself, and goes past the proxy.
BOOTSTRAP_KUBECONFIGS=(/etc/kubernetes/bootstrap-kubelet.conf /var/lib/kubelet/bootstrap-kubeconfig)
SERVICE_USER=${SERVICE_USER:-kubelet-proxy}
KUBECTL=${KUBECTL:-kubectl}
# How long the node may take to be Ready again, in seconds.
READY_TIMEOUT=${READY_TIMEOUT:-60}

SERVICE=kubelet-proxy.service
DROP_IN=90-kubelet-proxy.conf
PROGRAM=${0##*/}

dry_run=false
# Kubeconfig with the node's own credential.
node_kubeconfig=

say() { printf '%s\n' "$*"; }
warn() { printf '%s: %s\n' "$PROGRAM" "$*" >&2; }
die() { warn "$@"; exit 1; }
usage_error() { warn "$*; see $PROGRAM --help"; exit 2; }

# Says what is done and does it; a dry run says what would be done.
run() { # TEXT COMMAND…
  if $dry_run; then
    say "would $1"
  else
    say "$1"
    "${@:2}"
  fi
}

# Makes the paths those below ROOT.
set_paths() {
  lib=$ROOT$LIB_DIR
  config=$ROOT$CONFIG_DIR
  state=$ROOT$STATE_DIR
  found=$ROOT$FOUND_DIR
  unit=$ROOT$UNIT_DIR/$SERVICE
  drop_in=$ROOT$UNIT_DIR/$KUBELET_SERVICE.d/$DROP_IN
  runtime=$ROOT$RUNTIME_DIR
  flags=$config/flags.env
  trusted=$config/trusted
  pinned_root_ca=$config/root-ca.pem
  if [ -z "$KUBELET_KUBECONFIG" ]; then
    local candidate
    for candidate in "${KUBELET_KUBECONFIGS[@]}"; do
      if [ -e "$ROOT$candidate" ]; then
        KUBELET_KUBECONFIG=$candidate
        break
      fi
    done
  fi
  kubeconfig=$ROOT${KUBELET_KUBECONFIG:-${KUBELET_KUBECONFIGS[0]}}
}

# ---- what was found

# Keeps what is at a path, or that nothing is, with its mode, owner and times. What is kept already stays.
remember() { # PATH
  local path=$1 number
  if grep -qsxF -- "$path" "$found/paths"; then return; fi
  number=$(wc -l <"$found/paths")
  if [ -e "$path" ] || [ -L "$path" ]; then cp -a -- "$path" "$found/$number"; fi
  # Last, so that what is listed is there.
  printf '%s\n' "$path" >>"$found/paths"
}

# Puts back what was found, the newest first, and removes the rest.
restore_all() {
  local paths=() index path
  mapfile -t paths <"$found/paths"
  for ((index = ${#paths[@]} - 1; index >= 0; index--)); do
    path=${paths[index]}
    if [ -e "$found/$index" ] || [ -L "$found/$index" ]; then
      # Beside it first, and then in its place: a kubelet that starts meanwhile reads the one or the other.
      rm -rf -- "$path.restored"
      cp -a -- "$found/$index" "$path.restored"
      if [ -d "$path" ] && [ ! -L "$path" ]; then rm -rf -- "$path"; fi
      mv -fT -- "$path.restored" "$path"
    else
      rm -rf -- "$path"
    fi
  done
}

# The copy of what was found at a path; nothing if nothing was there.
found_copy() { # PATH
  local line
  line=$(grep -nsxF -- "$1" "$found/paths") || return 0
  line=$((${line%%:*} - 1))
  if [ -e "$found/$line" ] || [ -L "$found/$line" ]; then printf '%s\n' "$found/$line"; fi
}

# Writes standard input to a file, whole or not at all.
put_file() { # PATH MODE
  local new
  mkdir -p -- "${1%/*}"
  new=$(mktemp -- "$1.XXXXXX")
  cat >"$new"
  chmod "$2" "$new"
  mv -fT -- "$new" "$1"
}

# ---- the node

# The node asks with its own credential, past the proxy.
ask_cluster() { # ARGUMENTS…
  "$KUBECTL" --kubeconfig="$node_kubeconfig" --request-timeout=10s "$@"
}

# Waits until the node is Ready and its kubelet has renewed its lease since a time.
wait_until_ready() { # SECONDS_SINCE_EPOCH
  local since ready renewed deadline=$((SECONDS + READY_TIMEOUT))
  # Not in the second in which it was started: leases tell parts of seconds, dates do not.
  since=$(date -u -d "@$(($1 + 1))" +%Y-%m-%dT%H:%M:%S)
  while :; do
    ready=$(ask_cluster get node "$node_name" \
      -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}' 2>&1) || true
    renewed=$(ask_cluster get lease -n kube-node-lease "$node_name" -o 'jsonpath={.spec.renewTime}' 2>&1) || true
    # Times of the same form are in the order of their letters.
    if [ "$ready" = True ] && [[ $renewed =~ ^[0-9]{4}-[0-9]{2}-[0-9]{2}T ]] && [[ $renewed > $since ]]; then
      return
    fi
    if [ "$SECONDS" -ge "$deadline" ]; then
      warn "the node is not Ready $READY_TIMEOUT s after its kubelet was started (Ready: $ready; lease renewed: $renewed)"
      return 1
    fi
    sleep 0.5
  done
}

find_node() {
  local user
  user=$(ask_cluster auth whoami -o 'jsonpath={.status.userInfo.username}' 2>&1) || die "the API server cannot be asked: $user"
  node_name=${user#system:node:}
  [ "$node_name" != "$user" ] || die "$node_kubeconfig is a credential of \"$user\", not of a node"
}

restart_kubelet() {
  systemctl restart "$KUBELET_SERVICE"
  # Only now: while it was being stopped, the one before could still renew its lease.
  kubelet_started=$(date +%s)
}

# If the proxy has renewed the node's credential, the kubelet gets the new one, as it would have renewed it itself; the old one
# may have ended. Otherwise nothing is touched.
hand_back_credential() {
  local credential=$state/node/kubelet-client.pem pki=$ROOT$KUBELET_PKI_DIR name
  if [ ! -e "$found/credential-sum" ] || [ ! -e "$credential" ]; then return; fi
  if sha256sum --status -c "$found/credential-sum" <"$credential"; then return; fi
  name=kubelet-client-$(date +%Y-%m-%d-%H-%M-%S).pem
  say "the node's credential was renewed since; the kubelet gets it as $pki/$name"
  install -m 600 -- "$credential" "$pki/$name"
  ln -sfn -- "$KUBELET_PKI_DIR/$name" "$pki/kubelet-client-current.pem.new"
  mv -fT -- "$pki/kubelet-client-current.pem.new" "$pki/kubelet-client-current.pem"
}

# Ends the service, puts back what was found, and starts the kubelet with it.
put_back() {
  # The kubelet's next request finds nobody, or the API server itself: nothing in between.
  if systemctl cat "$SERVICE" >/dev/null 2>&1; then systemctl disable --now "$SERVICE" || warn "$SERVICE could not be stopped"; fi
  hand_back_credential
  restore_all
  if [ -e "$found/made-drop-in-folder" ]; then rmdir --ignore-fail-on-non-empty -- "${drop_in%/*}"; fi
  systemctl daemon-reload
  restart_kubelet
  if [ -e "$found/user" ]; then userdel -- "$(cat "$found/user")"; fi
}

#!/usr/bin/env bash
# Puts kubelet-proxy between the kubelet and the API server of this node, or replaces it by another version. As root.
#
#   deploy/install.sh --trust signing.pem             the first time: checks, shows what the node would refuse, installs
#   deploy/install.sh --trust signing.pem --dry-run   checks, shows what the node would refuse, and changes nothing
#   deploy/install.sh                                 again, with another program: upgrades, and keeps the configuration
#
# The node's credential moves to the proxy, and the kubelet's kubeconfig opens nothing but the proxy. If the node is not
# Ready within a minute, everything is put back. deploy/uninstall.sh puts back what was found. See docs/operations.md.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=common.sh
source "$here/common.sh"

usage() {
  cat <<EOF
Usage: install.sh [--trust FILE]... [FLAG]... [-- FLAGS OF KUBELET-PROXY]

  --trust FILE        certificate or public key (PEM) of an owner, from podsign get-cert or openssl pkey -pubout; needed the
                      first time, repeatable
  --dry-run           check, say which pods the node would refuse and what would be done, and change nothing
  --mode MODE         enforce (default) or audit, which refuses nothing; the first time only
  --accept-refusals   install although pods that run now would be stopped
  --no-preview        do not ask which pods would be refused
  --program FILE      kubelet-proxy, by default bin/kubelet-proxy beside this folder
  --podsign FILE      podsign, by default bin/podsign
  --kubeconfig FILE   the kubelet's, by default the first that is there of ${KUBELET_KUBECONFIGS[*]}
  --listen-addr ADDR  where the kubelet reaches the proxy, by default $listen_address; the first time only
  --user NAME         who the service runs as, by default $SERVICE_USER; made if need be
  --root FOLDER       a node whose files are all below this folder
  --help

Variables of the same use: KUBECTL, LISTEN_ADDRESS, LIB_DIR, CONFIG_DIR, STATE_DIR, FOUND_DIR, UNIT_DIR, RUNTIME_DIR, KUBELET_SERVICE,
KUBELET_PKI_DIR, KUBELET_KUBECONFIG, READY_TIMEOUT (seconds).
EOF
}

program=${here%/*}/bin/kubelet-proxy
podsign=${here%/*}/bin/podsign
mode=enforce
listen_address=${LISTEN_ADDRESS:-127.0.0.1:6444}
accept_refusals=false
preview=true
trust=()
extra_flags=()
chosen_at_first=false

while [ $# -gt 0 ]; do
  # --flag=value is --flag value, as for the programs.
  if [[ $1 == --?*=* ]]; then set -- "${1%%=*}" "${1#*=}" "${@:2}"; fi
  case $1 in
    --help) usage; exit ;;
    --dry-run) dry_run=true ;;
    --accept-refusals) accept_refusals=true ;;
    --no-preview) preview=false ;;
    --)
      shift
      extra_flags=("$@")
      chosen_at_first=true
      break
      ;;
    --trust | --mode | --program | --podsign | --kubeconfig | --listen-addr | --user | --root)
      [ -n "${2:-}" ] || usage_error "$1 needs a value"
      case $1 in
        --trust) trust+=("$2"); chosen_at_first=true ;;
        --mode) mode=$2; chosen_at_first=true ;;
        --program) program=$2 ;;
        --podsign) podsign=$2 ;;
        --kubeconfig) KUBELET_KUBECONFIG=$2 ;;
        --listen-addr) listen_address=$2; chosen_at_first=true ;;
        --user) SERVICE_USER=$2 ;;
        --root) ROOT=${2%/} ;;
      esac
      shift
      ;;
    *) usage_error "unknown argument '$1'" ;;
  esac
  shift
done
case $mode in enforce | audit) ;; *) usage_error "--mode is '$mode'; use enforce or audit" ;; esac
set_paths

installed=false
if [ -e "$found/installed" ]; then installed=true; fi

# ---- checks: all that is wrong, before anything is touched

problems=()
check() { # PROBLEM COMMAND…
  "${@:2}" >/dev/null 2>&1 || problems+=("$1")
}
not() { ! "$@"; }

check_node() {
  check "needs root" [ "$(id -u)" = 0 ]
  check "there is no systemctl; this installs a systemd service" command -v systemctl
  check "systemd knows no $KUBELET_SERVICE; set KUBELET_SERVICE" systemctl cat "$KUBELET_SERVICE"
  check "there is no kubelet kubeconfig at $kubeconfig; give --kubeconfig, or join the node first" [ -r "$kubeconfig" ]
  check "$program --version does not work; run make build, or give --program" "$program" --version
  check "there is no $KUBECTL; set KUBECTL" command -v "$KUBECTL"
  if [[ $ROOT$LIB_DIR$CONFIG_DIR$STATE_DIR =~ [[:space:]\#%] ]]; then
    problems+=("a path has white space, # or %, which the unit cannot name")
  fi
}

check_first() {
  local path file
  check "--trust is needed: the certificate or public key (PEM) of the owner whose pods may run" [ ${#trust[@]} -gt 0 ]
  for file in "${trust[@]}"; do
    if [ ! -r "$file" ]; then
      problems+=("--trust: $file does not exist or cannot be read; see whether the path is right")
      continue
    fi
    check "$file is no PEM file of a certificate or public key" grep -qE -- '-----BEGIN (CERTIFICATE|PUBLIC KEY)-----' "$file"
    check "$file holds a private key, which must not be on a node" not grep -q -- 'PRIVATE KEY-----' "$file"
  done
  for path in "${BOOTSTRAP_KUBECONFIGS[@]}"; do
    check "$ROOT$path lets the kubelet past the proxy; remove it when the node has joined" [ ! -e "$ROOT$path" ]
  done
  for path in "$lib" "$unit" "$drop_in" "$config" "$state"; do
    check "$path is there, but not by this installer; remove it, or see docs/operations.md" [ ! -e "$path" ]
  done
  check "something listens on $listen_address; give --listen-addr" not port_is_taken
  check "an earlier installation was broken off; run uninstall.sh first" [ ! -e "$found" ]
  if ! $preview; then return; fi
  check "$podsign does not work; run make build, or give --podsign (or --no-preview)" "$podsign" --version
}

port_is_taken() {
  (exec 3<>"/dev/tcp/${listen_address%:*}/${listen_address##*:}") 2>/dev/null
}

# ---- preview

# The pods that the API server has for this node. Copies of static pods, which come from the node's own files, pass.
list_pods() {
  local line
  local template='{{range .items}}{{.metadata.namespace}} {{.metadata.name}}{{with .metadata.annotations}}{{with index . "kubernetes.io/config.mirror"}} mirror{{end}}{{end}}{{"\n"}}{{end}}'
  ask_cluster get pods --all-namespaces --field-selector "spec.nodeName=$node_name,status.phase!=Succeeded,status.phase!=Failed" \
    -o "go-template=$template" | while read -r line; do
    case $line in '' | *' mirror') ;; *) printf '%s\n' "$line" ;; esac
  done
}

# Adds to podsign's flags those of the proxy that decide which pods are refused. The proxy enforces references unless told otherwise.
judge_as_node() {
  local index word references=enforce
  for ((index = 0; index < ${#extra_flags[@]}; index++)); do
    word=${extra_flags[index]}
    case $word in --references | --accept-forms) word+="=${extra_flags[index + 1]:-}" ;; esac
    case $word in
      --references=*) references=${word#*=} ;;
      --accept-forms=* | --require-digests | --require-digests=*) judge+=("$word") ;;
    esac
  done
  judge+=("--references=$references")
}

show_preview() {
  local pods namespace name manifests status=0 judge=() file
  pods=$(list_pods)
  if [ -z "$pods" ]; then
    say "preview: no pod of the API server runs on node $node_name"
    return
  fi
  manifests=$(while read -r namespace name; do
    # The names are the API server's, and stand in a command line of root's.
    [[ $namespace/$name =~ ^[a-z0-9][a-z0-9-]*/[a-z0-9][a-z0-9.-]*$ ]] || die "the API server names a pod that is none"
    printf -- '---\n'
    ask_cluster get pod -n "$namespace" "$name" -o yaml
  done <<<"$pods")
  for file in "${trust[@]}"; do judge+=("--cert=$file"); done
  judge_as_node
  say "preview: what node $node_name would say of its pods:"
  "$podsign" verify-spec "${judge[@]}" - <<<"$manifests" || status=$?
  case $status in
    0) say "preview: the node would run all of them" ;;
    1)
      if [ "$mode" = audit ] || $accept_refusals; then
        say "preview: the refused ones are listed above"
      elif $dry_run; then
        say "preview: the refused ones would be stopped; sign them first, or install with --mode audit or --accept-refusals"
      else
        die "pods that run now would be stopped; sign them first, or install with --mode audit or --accept-refusals"
      fi
      ;;
    *) die "podsign could not judge the pods (exit code $status)" ;;
  esac
}

# ---- the program

# A name for the program as it is: its version, and its bytes.
program_id() {
  local version sum
  version=$("$program" --version)
  sum=$(program_files | xargs -0 sha256sum | sed 's#  .*##' | sha256sum)
  printf '%s-%s\n' "${version##* }" "${sum:0:12}"
}

# The modules of a launcher, in its folder.
bundles=build/programs/kubelet-proxy

# A launcher of `make build`, unlike a compiled program, needs the folder that it was made in.
is_launcher() { [ -e "$(program_folder)/$bundles/main.js" ] && grep -qsaF "$bundles" "$program"; }
program_folder() { dirname -- "$(dirname -- "$(readlink -f -- "$program")")"; }

program_files() {
  if is_launcher; then
    local folder
    folder=$(program_folder)
    printf '%s\0' "$program" "$folder/.tools/deno" "$folder/$bundles/main.js" "$folder/$bundles/permissions.js"
  else
    printf '%s\0' "$program"
  fi
}

# Copies the program to a folder of its own, whole or not at all.
put_program() { # FOLDER
  local new=$1.new folder
  rm -rf -- "$new"
  mkdir -p -- "$new/bin"
  cp -L -- "$program" "$new/bin/kubelet-proxy"
  if is_launcher; then
    folder=$(program_folder)
    mkdir -p -- "$new/.tools" "$new/$bundles"
    cp -L -- "$folder/.tools/deno" "$new/.tools/deno"
    cp -- "$folder/$bundles/main.js" "$folder/$bundles/permissions.js" "$new/$bundles/"
  fi
  rm -rf -- "$1"
  mv -T -- "$new" "$1"
  # In its place: Deno keeps compiled code by path, and the service, which must not write there, starts faster with it.
  if ! "$1/bin/kubelet-proxy" --version >/dev/null; then
    rm -rf -- "$1"
    die "the copy of $program does not work"
  fi
  chmod -R u=rwX,go=rX -- "$1"
}

choose_program() { # ID
  ln -sfn -- "$1" "$lib/current.new"
  mv -fT -- "$lib/current.new" "$lib/current"
}

# ---- the files

# The unit, for the paths in use.
render_unit() {
  sed -e "s#/usr/local/lib/kubelet-proxy#$lib#g" -e "s#/etc/kubelet-proxy#$config#g" \
    -e "s#^User=.*#User=$SERVICE_USER#" -e "s#^Group=.*#Group=$service_group#" "$here/systemd/$SERVICE"
}

# The command line of the kubelet's service without our drop-in: the last one counts, and may go over many lines.
kubelet_command_line() {
  systemctl cat "$KUBELET_SERVICE" | awk -v ours="# $drop_in" '
    /^# \// { skip = $0 == ours }
    skip { next }
    { line = line $0 }
    sub(/\\$/, " ", line) { next }
    line ~ /^ExecStart=/ { found = substr(line, 11) }
    { line = "" }
    END { print found }'
}

render_drop_in() {
  local command_line text
  command_line=$(kubelet_command_line)
  [ -n "$command_line" ] || die "$KUBELET_SERVICE has no ExecStart="
  text=$(<"$here/systemd/$DROP_IN")
  printf '%s\n' "${text//@KUBELET_COMMAND_LINE@/"$command_line"}"
}

make_user() {
  if ! id -u "$SERVICE_USER" >/dev/null 2>&1; then
    useradd --system --user-group --no-create-home --home-dir "$STATE_DIR" --shell /usr/sbin/nologin "$SERVICE_USER"
    printf '%s\n' "$SERVICE_USER" >"$found/user"
  fi
  service_group=$(id -gn "$SERVICE_USER")
}

put_trust() {
  local file
  mkdir -p -- "$trusted"
  for file in "${trust[@]}"; do
    put_file "$trusted/$(sha256sum <"$file" | cut -c1-12).pem" 644 <"$file"
  done
}

# The proxy gets the node's credential, and makes the one with which the kubelet comes to it.
make_own_leg() {
  local node=$state/node pem key user
  install -d -m 700 -o "$SERVICE_USER" -g "$service_group" -- "$state" "$node" "$state/pki"
  cp -- "$kubeconfig" "$node/upstream.kubeconfig"
  pem=$(credential_part client-certificate-data)
  key=$(credential_part client-key-data)
  if [ -n "$pem" ] && [ -n "$key" ]; then
    # Kubelets keep both in one file, which is then the value of both.
    if [ "$pem" != "$key" ]; then pem+=$'\n'$key; fi
    printf '%s\n' "$pem" >"$node/kubelet-client.pem"
    user=$("$KUBECTL" --kubeconfig="$kubeconfig" config view --minify -o 'jsonpath={.users[0].name}')
    "$KUBECTL" --kubeconfig="$node/upstream.kubeconfig" config set-credentials "$user" \
      --client-certificate="$node/kubelet-client.pem" --client-key="$node/kubelet-client.pem" >/dev/null
    sha256sum <"$node/kubelet-client.pem" >"$found/credential-sum"
  fi
  chmod 600 -- "$node"/*
  chown -R -- "$SERVICE_USER:$service_group" "$node"
  node_kubeconfig=$node/upstream.kubeconfig
  runuser -u "$SERVICE_USER" -- "$lib/current/bin/kubelet-proxy" init --node-name="$node_name" --dir="$state/pki" \
    --listen-addr="$listen_address"
}

# A part of the credential in the kubelet's kubeconfig, also if that names a file.
credential_part() { # NAME
  "$KUBECTL" --kubeconfig="$kubeconfig" config view --raw --flatten --minify -o "jsonpath={.users[0].user.$1}" | base64 -d
}

put_flags() {
  local flag words=(
    "--kubeconfig=$state/node/upstream.kubeconfig" "--listen-addr=$listen_address"
    "--own-leg=$state/pki" "--signature-verification-cert=$trusted" "--runtime-dir=$runtime" "--mode=$mode" "${extra_flags[@]}"
  )
  if [ -e "$state/node/kubelet-client.pem" ]; then words+=(--renew-node-certificate); fi
  for flag in "${words[@]}"; do
    if [[ $flag =~ [[:space:]\"\'\\\$] ]]; then die "$flag: white space, quotes, \\ and \$ cannot stand in flags of a unit"; fi
  done
  printf '# Flags of kubelet-proxy; systemctl restart kubelet-proxy after a change.\nKUBELET_PROXY_FLAGS=%s\n' "${words[*]}" |
    put_file "$flags" 644
}

put_unit() {
  local text
  text=$(render_unit)
  put_file "$unit" 644 <<<"$text"
  text=$(render_drop_in)
  put_file "$drop_in" 644 <<<"$text"
  systemctl daemon-reload
  # A drop-in whose name comes later would win.
  systemctl cat "$KUBELET_SERVICE" | grep '^ExecStart=' | tail -n 1 | grep -qF -- --rotate-certificates=false ||
    die "another drop-in of $KUBELET_SERVICE sets ExecStart= after $DROP_IN; rename it"
}

put_kubeconfig() {
  # In place of the old one by its own name, with its owner.
  put_file "$kubeconfig" 600 <"$state/pki/kubelet.kubeconfig"
  sha256sum <"$kubeconfig" >"$found/kubeconfig-sum"
}

# ---- the first time

began=false
roll_back() {
  local status=$?
  if ! $began; then return; fi
  trap '' INT TERM
  set +e
  warn "it did not work (exit code $status); putting back what was found"
  put_back
  rm -rf -- "$found"
  warn "the node has its old files; the journal of $SERVICE and $KUBELET_SERVICE may say why"
  exit "$((status == 0 ? 1 : status))"
}

remember_found() {
  mkdir -p -- "$found"
  chmod 700 -- "$found"
  : >"$found/paths"
  local path
  for path in "$kubeconfig" "$lib" "$config" "$state" "$runtime" "$unit" "$drop_in"; do remember "$path"; done
  if [ ! -e "${drop_in%/*}" ]; then : >"$found/made-drop-in-folder"; fi
}

install_first() {
  local id
  id=$(program_id)
  trap roll_back EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  $dry_run || began=true
  run "keep a copy of $kubeconfig in $found" remember_found
  run "make the user $SERVICE_USER, unless there is one" make_user
  run "install version $id in $lib" install_version "$id"
  run "trust the keys of ${trust[*]}, in $trusted" put_trust
  run "hand the node's credential to the proxy, in $state" make_own_leg
  run "write the proxy's flags to $flags" put_flags
  run "write $unit and $drop_in" put_unit
  run "start $SERVICE, now and at boot" start_service
  run "point $kubeconfig at the proxy" put_kubeconfig
  run "restart $KUBELET_SERVICE" restart_kubelet
  run "wait until node $node_name is Ready, for $READY_TIMEOUT s; if it is not, put everything back" wait_for_node
  if $dry_run; then return; fi
  : >"$found/installed"
  began=false
  say "node $node_name is Ready, and kubelet-proxy is in $mode mode; what it says of pods: journalctl -u $SERVICE"
}

# Returns when the proxy has said that it is ready.
start_service() {
  systemctl enable "$SERVICE"
  systemctl restart "$SERVICE"
}

install_version() { # ID
  mkdir -p -- "$lib"
  [ -e "$lib/$1" ] || put_program "$lib/$1"
  choose_program "$1"
}

wait_for_node() { wait_until_ready "$kubelet_started"; }

# ---- again

upgrade_began=false
previous=
roll_back_upgrade() {
  local status=$?
  if ! $upgrade_began; then return; fi
  trap '' INT TERM
  set +e
  warn "it did not work (exit code $status); going back to $previous"
  choose_program "$previous"
  cp -a -- "$found/previous-unit" "$unit"
  cp -a -- "$found/previous-drop-in" "$drop_in"
  systemctl daemon-reload
  systemctl restart "$SERVICE"
}

upgrade() {
  local id
  id=$(program_id)
  previous=$(readlink -- "$lib/current")
  service_group=$(id -gn "$SERVICE_USER")
  if [ "$id" = "$previous" ] && cmp -s <(render_unit) "$unit" && cmp -s <(render_drop_in) "$drop_in"; then
    say "version $id is installed; there is nothing to do"
    return
  fi
  if $dry_run; then
    say "would install version $id in place of $previous and restart $SERVICE; the kubelet and the configuration stay"
    return
  fi
  trap roll_back_upgrade EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  # All that takes time comes before the restart.
  [ -e "$lib/$id" ] || put_program "$lib/$id"
  cp -a -- "$unit" "$found/previous-unit"
  cp -a -- "$drop_in" "$found/previous-drop-in"
  upgrade_began=true
  choose_program "$id"
  put_unit
  say "restart $SERVICE with version $id in place of $previous"
  systemctl restart "$SERVICE"
  # Only now: while it was being stopped, the proxy before could still pass the lease on.
  kubelet_started=$(date +%s)
  wait_for_node
  upgrade_began=false
  say "node $node_name is Ready with version $id"
  rm -f -- "$found/previous-unit" "$found/previous-drop-in"
  # The one before stays, to go back to.
  find "$lib" -mindepth 1 -maxdepth 1 -type d ! -name "$id" ! -name "$previous" -exec rm -rf -- {} +
}

# ---- the run

check_node
$installed || check_first
if [ ${#problems[@]} -gt 0 ]; then
  for problem in "${problems[@]}"; do warn "$problem"; done
  exit 1
fi
if $installed; then
  if $chosen_at_first; then say "the configuration stays as it is: edit $flags and $trusted, and restart $SERVICE"; fi
  SERVICE_USER=$(sed -n 's/^User=//p' "$unit")
  node_kubeconfig=$state/node/upstream.kubeconfig
  find_node
  upgrade
else
  node_kubeconfig=$kubeconfig
  find_node
  if $preview; then show_preview; fi
  install_first
fi

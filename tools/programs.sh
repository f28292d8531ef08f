# What is known of each program before it runs: its folder, and what a compiled binary is allowed. Read by build.sh and
# build_all.sh.
# shellcheck shell=bash disable=SC2034  # used where this is read

PROGRAMS=(kubelet-proxy signing-server podsign)
# What kubelet-proxy writes: its runtime folder; the own leg and the node's credential; its decision log; what systemd hears.
PROXY_FILES=/run/kubelet-proxy,/var/lib/kubelet-proxy,/var/log/kubelet-proxy,/run/systemd/notify
SIGNER_FOLDER=/var/lib/signing-server

folder_of() {
  case $1 in
    kubelet-proxy) echo proxy ;;
    signing-server) echo signer ;;
    podsign) echo cli ;;
    *) echo "build: there is no program $1" >&2; return 2 ;;
  esac
}

# Whether kubelet-proxy may run one program, the node's credential plugin, is settled when it is compiled.
check_exec_plugin() {
  if [ -n "${EXEC_PLUGIN:-}" ] && ! [[ $EXEC_PLUGIN =~ ^(/[A-Za-z0-9._+-]+)+$ ]]; then
    echo "build: EXEC_PLUGIN is the path of one program on the node, from the root and without spaces or commas, not \"$EXEC_PLUGIN\"" >&2
    return 2
  fi
}

frozen_permissions() {
  case $1 in
    kubelet-proxy)
      local run=--deny-run
      [ -z "${EXEC_PLUGIN:-}" ] || run=--allow-run=$EXEC_PLUGIN
      echo "--allow-net --allow-read --allow-write=$PROXY_FILES $run --deny-ffi --deny-sys"
      ;;
    signing-server) echo "--allow-net --allow-read --allow-write=$SIGNER_FOLDER --deny-run --deny-ffi --deny-sys" ;;
    podsign) echo "--allow-net --allow-read --allow-env=SIGNING_SERVER_URL --allow-run=kubectl --deny-write --deny-ffi --deny-sys" ;;
  esac
}

# Deno's own settings of a program, beside its permissions: libraries that look at the environment see an empty one.
# kubelet-proxy sees what the service manager says, and answers it on a datagram socket, which Deno calls unstable; it collects
# garbage early, since memory of the node is for pods (docs/adr/0027-known-pods-whole.md).
settings() {
  case $1 in
    kubelet-proxy) echo "--ignore-env --allow-env=NOTIFY_SOCKET,WATCHDOG_USEC,WATCHDOG_PID --unstable-net --v8-flags=--max-semi-space-size=4,--heap-growing-percent=30" ;;
    signing-server) echo "--ignore-env" ;;
  esac
}

#!/usr/bin/env bash
# Makes .tools/deno the pinned Deno and fetches the libraries that deno.lock names.
# Takes the deno on PATH if it is exactly that version, else installs it from npm.
set -euo pipefail
cd "$(dirname "$0")/.."
wanted=$(sed -n 's/.*"deno": "\([0-9.]*\)".*/\1/p' tools/deno/package.json)
version_of() { "$1" --version 2>/dev/null | sed -n '1s/^deno \([0-9.]*\).*/\1/p'; }

mkdir -p .tools
if [ "$(version_of .tools/deno || true)" != "$wanted" ]; then
  rm -f .tools/deno
  on_path=$(command -v deno || true)
  if [ -n "$on_path" ] && [ "$(version_of "$on_path")" = "$wanted" ]; then
    ln -s "$(readlink -f "$on_path")" .tools/deno
  else
    if ! command -v npm >/dev/null; then
      echo "setup: Deno $wanted is not on PATH and there is no npm to install it with." >&2
      echo "setup: install npm (Debian: apt-get install npm) or Deno $wanted (https://docs.deno.com), then run make setup again." >&2
      exit 1
    fi
    echo "setup: installing Deno $wanted from npm"
    npm --prefix tools/deno ci --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error
    for binary in tools/deno/node_modules/@deno/*/deno; do
      [ "$(version_of "$binary")" = "$wanted" ] && ln -sf "$PWD/$binary" .tools/deno
    done
    if [ ! -e .tools/deno ]; then
      echo "setup: npm has no Deno $wanted that runs on this machine ($(uname -sm)); install it as https://docs.deno.com says, so that deno --version prints $wanted." >&2
      exit 1
    fi
  fi
fi
# The libraries, checked against deno.lock, into a cache of the project's own: the launchers in bin/ need no home folder.
DENO_DIR="$PWD/.tools/deno_dir" .tools/deno install --frozen --quiet
# What deno bundle runs, checked against a lock file, into the place where Deno looks before it fetches one by itself, unchecked.
esbuild=$(sed -n 's/.*"npm:esbuild@\([0-9.]*\)".*/\1/p' tools/esbuild/deno.json)
if [ ! -e ".tools/deno_dir/dl/esbuild-$esbuild" ]; then
  (cd tools/esbuild && DENO_DIR="$OLDPWD/.tools/esbuild" ../../.tools/deno install --quiet)
  rm -rf .tools/deno_dir/dl
  mkdir -p .tools/deno_dir/dl/new
  for package in .tools/esbuild/npm/*/@esbuild/*; do
    cp "$package/$esbuild/bin/esbuild" ".tools/deno_dir/dl/new/esbuild-${package##*/}"
  done
  mv .tools/deno_dir/dl/new ".tools/deno_dir/dl/esbuild-$esbuild"
fi
echo "setup: $(.tools/deno --version | head -n 1)"

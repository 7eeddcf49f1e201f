#!/usr/bin/env bash
# Evaluates the tests of nixpkgs' lib (a checkout of nix-community/nixpkgs.lib) with nixactions.
#   tests/conformance/nixpkgs-lib.sh CHECKOUT NIX-INSTANTIATE
# misc.nix and its like must print what NIX-INSTANTIATE prints; modules.sh runs with a stand-in
# nix-instantiate on PATH that calls nixactions. OURS=… chooses another binary than target/release/nixactions.
set -uo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
ours=${OURS:-$root/target/release/nixactions}
[ $# -ge 2 ] || { sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 2; }
cd "$1/lib/tests" || exit 2
reference=$2
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
export NIX_REMOTE=dummy:// NIX_PATH=''
for t in misc.nix systems.nix fetchers.nix; do
  [ -e $t ] || continue
  "$ours" eval --eval --strict $t >"$work/ours" 2>"$work/ours.err"
  # shellcheck disable=SC2086 # the reference may be a wrapper with arguments
  $reference --eval --strict $t >"$work/nix" 2>"$work/nix.err"
  if cmp -s "$work/ours" "$work/nix"; then echo "$t: same ($(head -c 60 "$work/nix"))"; else
    echo "$t: DIFFERS: ours $(head -c 400 "$work/ours") $(tail -c 600 "$work/ours.err") nix $(head -c 200 "$work/nix")"; fi
done
mkdir "$work/bin"
printf '#!/bin/sh\nexec "%s" eval "$@"\n' "$ours" >"$work/bin/nix-instantiate"
chmod +x "$work/bin/nix-instantiate"
PATH=$work/bin:$PATH bash ./modules.sh >"$work/modules.log" 2>&1
grep -aE '^====== |PASSED|FAILED|tests? (passed|failed)|[0-9]+ (successful|ok|fail)' "$work/modules.log" | tail -3
tail -1 "$work/modules.log"
cp "$work/modules.log" "${MODULES_LOG:-/dev/null}"

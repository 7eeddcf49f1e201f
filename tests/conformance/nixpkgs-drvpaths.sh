#!/usr/bin/env bash
# Compares the drvPath of every package of a whole nixpkgs, top-level and one level down, with C++ Nix's.
#   tests/conformance/nixpkgs-drvpaths.sh CHECKOUT NIX-INSTANTIATE
# An attribute that fails must fail with both. OURS=… chooses another binary than target/release/nixactions.
set -uo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
ours=${OURS:-$root/target/release/nixactions}
[ $# -ge 2 ] || { sed -n '2,5s/^# \{0,1\}//p' "$0"; exit 2; }
nixpkgs=$(realpath "$1") reference=$2
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
export NIX_REMOTE=dummy:// NIX_PATH=''
expression="import $root/tests/conformance/drvpaths.nix { nixpkgs = $nixpkgs; }"
lines() { sed 's/\\n/\n/g; s/^"//; s/"$//'; }
"$ours" eval --eval --strict -E "$expression" 2>"$work/ours.err" | lines >"$work/ours"
# shellcheck disable=SC2086 # the reference may be a wrapper with arguments
$reference --eval --strict -E "$expression" 2>"$work/nix.err" | lines >"$work/nix"
all=$(grep -c '/nix/store' "$work/nix")
same=$(comm -12 <(sort "$work/ours") <(sort "$work/nix") | grep -c '/nix/store')
echo "drvPaths: $same of $all agree"
if ! cmp -s "$work/ours" "$work/nix"; then
  diff "$work/nix" "$work/ours" | head -20
  tail -c 800 "$work/ours.err"
  exit 1
fi

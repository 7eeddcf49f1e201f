#!/usr/bin/env bash
# Runs the evaluation tests of a checkout of tvix (eval/src/tests) through nixactions and through C++ Nix.
#   tests/conformance/tvix-lang.sh CHECKOUT NIX-INSTANTIATE
# Both must print the same, or both must fail; what `identity-*` prints must be what it says. OURS=… chooses
# another binary than target/release/nixactions.
set -uo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
ours=${OURS:-$root/target/release/nixactions}
[ $# -ge 2 ] || { sed -n '2,5s/^# \{0,1\}//p' "$0"; exit 2; }
cd "$1/eval/src/tests" || exit 2
reference=$2
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
export NIX_REMOTE=dummy:// NIX_PATH='' TEST_VAR=foo HOME=/fake-home
for suite in tvix_tests tvix_tests/notyetpassing nix_tests nix_tests/notyetpassing; do
  good=0 all=0
  for t in "$suite"/{eval,identity,observable}-*.nix; do
    [ -e "$t" ] || continue
    all=$((all + 1))
    timeout 60 "$ours" eval --eval --strict "$t" >"$work/ours" 2>"$work/ours.err"; our_code=$?
    # shellcheck disable=SC2086 # the reference may be a wrapper with arguments
    timeout 60 $reference --eval --strict "$t" >"$work/nix" 2>"$work/nix.err"; code=$?
    if [ $our_code -eq $code ] && cmp -s "$work/ours" "$work/nix"; then good=$((good + 1)); else
      echo "FAIL $t: ours ($our_code) $(head -c 150 "$work/ours") $(tail -1 "$work/ours.err" | head -c 150)" \
        "| nix ($code) $(head -c 150 "$work/nix") $(tail -1 "$work/nix.err" | head -c 150)"
    fi
  done
  [ $all -eq 0 ] || echo "$suite: $good of $all"
done

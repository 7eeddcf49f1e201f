#!/usr/bin/env bash
# Runs the language tests of a C++ Nix checkout (2.34: tests/functional/lang) through nixactions.
#   tests/conformance/nix-lang.sh CHECKOUT [NIX-INSTANTIATE]
# Compared are stdout for eval-okay, the exit code and the last `error:` line for eval-fail (how often all of
# stderr is the same is counted beside), acceptance for the parse tests. With NIX-INSTANTIATE that program is put through the same rules, to see what the rules
# themselves cost. OURS=… chooses another binary than target/release/nixactions.
set -uo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
ours=${OURS:-$root/target/release/nixactions}
[ $# -ge 1 ] || { sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 2; }
cd "$1/tests/functional" || exit 2
reference=${2:-}
here=$PWD
export TEST_VAR=foo NIX_REMOTE=dummy:// NIX_STORE_DIR=/nix/store HOME=/fake-home
export NIX_PATH=lang/dir3:lang/dir4 NIX_CONFIG='experimental-features = nix-command flakes'
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT

evaluate() { # PROGRAM… : stdout and stderr into $work, paths as the expectations have them
  timeout 60 "$@" >"$work/out.raw" 2>"$work/err.raw"; local code=$?
  sed "s!$here!/pwd!g" "$work/out.raw" >"$work/out"; sed "s!$here!/pwd!g" "$work/err.raw" >"$work/err"
  return $code
}
last_error() { sed 's/\x1b\[[0-9;]*m//g' "$1" | grep -aE '^ *error: *[^ ]' | tail -1 | sed 's/^ *//'; }

suite() { # PROGRAM…
  local good=0 all=0 t i flags
  for t in lang/eval-okay-*.nix; do
    i=${t%.nix}; flags=()
    if [ -e "$i.exp-disabled" ]; then continue; fi
    if [ -e "$i.flags" ]; then read -r -a flags <<<"$(sed 's/#.*//' "$i.flags" | tr '\n' ' ')"; fi
    if [ -e "$i.exp.xml" ]; then
      evaluate "$@" --eval --xml --no-location --strict "$t"; code=$?; exp=$i.exp.xml
    else
      # shellcheck disable=SC2069
      evaluate "$@" "${flags[@]}" --eval --strict "$t"; code=$?; exp=$i.exp
    fi
    all=$((all + 1))
    if [ $code -eq 0 ] && diff -q "$exp" "$work/out" >/dev/null; then good=$((good + 1)); else
      echo "FAIL $i: $(diff "$exp" "$work/out" | head -4 | cut -c1-150 | tr '\n' ' ') $(last_error "$work/err")"; fi
  done
  echo "eval-okay: $good of $all"
  good=0 all=0 whole=0
  for t in lang/eval-fail-*.nix; do
    i=${t%.nix}; flags=()
    if [ -e "$i.flags" ]; then read -r -a flags <<<"$(sed 's/#.*//' "$i.flags" | tr '\n' ' ')"; fi
    flags=(--eval --strict --show-trace "${flags[@]}")
    evaluate "$@" "${flags[@]}" "$t"; code=$?
    all=$((all + 1))
    if diff -q "$i.err.exp" "$work/err" >/dev/null; then whole=$((whole + 1)); fi
    if [ $code -eq 1 ] && [ "$(last_error "$i.err.exp")" = "$(last_error "$work/err")" ]; then good=$((good + 1)); else
      echo "FAIL $i ($code): want $(last_error "$i.err.exp") | got $(last_error "$work/err")"; fi
  done
  echo "eval-fail: $good of $all; with the whole trace the same: $whole of $all"
  good=0 all=0
  for t in lang/parse-okay-*.nix; do
    evaluate "$@" --parse - <"$t"; code=$?
    all=$((all + 1))
    if [ $code -eq 0 ] && diff -q "${t%.nix}.exp" "$work/out" >/dev/null; then good=$((good + 1)); else
      echo "FAIL ${t%.nix}: $(head -c 150 "$work/out") $(last_error "$work/err")"; fi
  done
  echo "parse-okay: $good of $all"
  good=0 all=0
  for t in lang/parse-fail-*.nix; do
    evaluate "$@" --parse - <"$t"; code=$?
    all=$((all + 1))
    if [ $code -eq 1 ] && [ "$(last_error "${t%.nix}.err.exp")" = "$(last_error "$work/err")" ]; then good=$((good + 1)); else
      echo "FAIL ${t%.nix} ($code): want $(last_error "${t%.nix}.err.exp") | got $(last_error "$work/err")"; fi
  done
  echo "parse-fail: $good of $all"
}

if [ -n "$reference" ]; then
  # shellcheck disable=SC2086 # the reference may be a wrapper with arguments
  suite $reference
else
  suite "$ours" eval
fi

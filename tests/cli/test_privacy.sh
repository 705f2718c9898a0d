#!/usr/bin/env bash
# What noisy training costs: published figures, there and back, and what is refused.
set -euo pipefail
loom=$1
fail() { echo "FAIL: $*" >&2; exit 1; }
field() { sed "s/.*\"$1\":\([^,}]*\).*/\1/"; }

got=$("$loom" privacy epsilon --noise=1.5 --rate=0.04 --steps=2250 --delta=1e-5 --json | tail -1)
case $got in *'"prv":6.77913'*'"rdp":7.3291111'*'"gdp":6.60156709'*) ;; *) fail "epsilon: $got" ;; esac

got=$("$loom" privacy noise --epsilon=8 --rate=0.04 --steps=2000 --delta=1e-5 --json | tail -1)
noise=$(field noise <<<"$got")
case $noise in 1.291*) ;; *) fail "noise: $got" ;; esac
back=$("$loom" privacy epsilon --noise="$noise" --rate=0.04 --steps=2000 --delta=1e-5 --json | tail -1)
[ "$(field epsilon <<<"$back")" = "$(field epsilon <<<"$got")" ] || fail "there: $got, back: $back"

rc=0
"$loom" privacy epsilon --rate=1.5 2>err || rc=$?
[ $rc = 2 ] && grep -q 'rate must be between' err || fail "a rate of 1.5 ended with $rc: $(cat err)"

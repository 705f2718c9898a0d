#!/usr/bin/env bash
# Help, manual and completion name every command and option; unknown ones are refused with the nearest name.
set -euo pipefail
loom=$1
fail() { echo "FAIL: $*" >&2; exit 1; }

"$loom" --version | grep -q '^loom [0-9]' || fail "no version"
commands=$("$loom" --help | awk '/^  [a-z]/ { print $1 }')
[ "$(wc -w <<<"$commands")" -ge 20 ] || fail "the overview lists too few commands"
for c in $commands; do
    "$loom" "$c" --help > help.txt || fail "$c --help ended with $?"
    grep -q "^use: loom $c" help.txt || fail "$c --help does not say how to use it"
done

"$loom" help --man > loom.1
if command -v man >/dev/null; then
    man --warnings -l loom.1 2> warnings.txt > /dev/null && [ ! -s warnings.txt ] || fail "the manual page has warnings"
fi
"$loom" help --completion > completion.bash
bash -c 'source completion.bash; COMP_WORDS=(loom ru) COMP_CWORD=1; _loom; [ "${COMPREPLY[*]}" = run ]' ||
    fail "completion does not complete 'ru'"

expect() { # status pattern args...
    local want=$1 pattern=$2 got=0
    shift 2
    "$loom" "$@" > out.txt 2> err.txt || got=$?
    [ $got = "$want" ] || fail "loom $* ended with $got, not $want: $(cat err.txt)"
    grep -q -- "$pattern" err.txt || fail "loom $*: '$pattern' is not in: $(cat err.txt)"
}
expect 2 "did you mean 'prepare'" prepar
expect 2 'did you mean --vocab-size' tokenizer train --vocab-siz=5 x --out=y
expect 2 'needs a value' run --from
expect 2 'too few arguments' trace
expect 2 "use it as 'loom registry promote MODEL'" registry promote
expect 2 'options begin with two dashes' run -x
expect 2 'vocab-size' tokenizer train --vocab-size=1e99 x --out=y
"$loom" trace unknown --json > out.txt 2> err.txt && fail "trace of an unknown answer succeeded"
tail -n 1 out.txt | grep -q '^{"error":{"code":"noent","message":' || fail "no JSON error: $(cat out.txt)"
echo "1 passed, 0 failed"

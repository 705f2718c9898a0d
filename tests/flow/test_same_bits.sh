#!/usr/bin/env bash
# kill -9 during each stage, then `loom run`: the artifacts are the bytes of an undisturbed run.  So are those of a
# run with one thread, and of a run whose sources lie elsewhere.
set -euo pipefail
loom=$1
source "$2/lib/small_project.sh"
fail() { echo "FAIL: $*" >&2; exit 1; }
count=0

rm -rf w && mkdir w && cd w
small_project undisturbed
"$loom" run --project=undisturbed --quiet > /dev/null || fail "the undisturbed run ended with $?"
artifacts undisturbed > expected
[ "$(wc -l < expected)" = 8 ] && ! grep -q 'do$' expected || fail "stages are missing: $(cat expected)"

small_project threads
"$loom" run --project=threads --threads=1 --quiet > /dev/null || fail "the run with one thread ended with $?"
artifacts threads | diff expected - || fail "one thread gives other bytes"
count=$((count + 1))

got=0
"$loom" run --project=undisturbed --quiet > /dev/null || got=$?
[ $got = 99 ] || fail "a second run ended with $got, not 99 (nothing to do)"
count=$((count + 1))

# Kills the run when the log says that the stage has begun, and a little later.
killed=0
for stage in collect prepare pairs tokenizer tokens pretrain finetune review; do
    for delay in 0.01 0.15; do
        rm -rf victim && small_project victim
        "$loom" run --project=victim > /dev/null 2> log &
        pid=$!
        for _ in $(seq 6000); do
            grep -q "^$stage.* \.\.\.$" log && break
            kill -0 $pid 2>/dev/null || break
            sleep 0.005
        done
        sleep $delay
        kill -9 $pid 2>/dev/null && killed=$((killed + 1))
        wait $pid 2>/dev/null || true
        "$loom" run --project=victim --quiet > /dev/null || [ $? = 99 ] || fail "no resume after a kill in $stage"
        artifacts victim | diff expected - || fail "other bytes after a kill in $stage (+$delay s)"
        count=$((count + 1))
    done
done
[ $killed -ge 8 ] || fail "only $killed of the kills hit a running process"
echo "$count passed, 0 failed"

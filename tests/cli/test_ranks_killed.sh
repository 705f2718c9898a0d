#!/usr/bin/env bash
# A run of several ranks that is stopped, or loses one, ends at once, and goes on at another number of ranks to the
# bytes of a run that was left alone.
set -euo pipefail
loom=$1
. "$2/lib/small_project.sh"
. "$2/lib/ranks.sh"
fail() { echo "FAIL: $*" >&2; exit 1; }
ranks_or_skip "$loom"

ranks_project

# A run of 200 steps, whole; then one that is ended at one rank count and goes on at another.
long=("${train[@]}" --batch-parts=4 --steps=200 --checkpoint-every=10 --eval-every=50)
"$loom" "${long[@]}" --out=whole
last_checkpoint() { ls "$1.work" 2> /dev/null | sed -n 's/.*-0*\([0-9]*\)\.json$/\1/p' | sort -n | tail -1; }
wait_for_checkpoint() {   # OUT STEP
    for _ in $(seq 2000); do
        [ "$(last_checkpoint "$1")" -ge "$2" ] 2> /dev/null && return
        sleep 0.01
    done
    fail "no checkpoint $2 of $1: $(cat job.log)"
}

# SIGTERM to rank 1 alone: all stop after the same step, and the checkpoint is of that step.
ranks_in_background 2 "$loom" "${long[@]}" --threads=1 --out=stopped
wait_for_checkpoint stopped 20
kill -TERM "$(rank_process 1)"
wait "$job" && fail "a run that was asked to stop ended with 0"
grep -q 'stopped after step [0-9]* of 200; the same command goes on from there' job.log || fail "$(cat job.log)"
[ "$(grep -c 'stopped after' job.log)" = 1 ] || fail "more than one rank speaks: $(cat job.log)"
step=$(sed -n 's/.*stopped after step \([0-9]*\) of.*/\1/p' job.log)
[ "$(last_checkpoint stopped)" = "$step" ] || fail "stopped after $step, checkpoint of $(last_checkpoint stopped)"

# kill -9 of one rank, each in turn, at 4 ranks and then 2: the others say so and end within seconds.
for round in "4 0" "2 1"; do
    set -- $round
    mark=$(($(last_checkpoint stopped) + 20))
    ranks_in_background "$1" "$loom" "${long[@]}" --threads=1 --out=stopped
    wait_for_checkpoint stopped $mark
    victim=$(rank_process "$2")
    kill -9 "$victim"
    start=$(date +%s)
    wait "$job" && fail "a run that lost rank $2 ended with 0"
    [ $(($(date +%s) - start)) -le 10 ] || fail "the others took $(($(date +%s) - start)) s to end"
    grep -q "rank $2 (process $victim on .*) has ended; the same command goes on from the last checkpoint" job.log ||
        fail "nobody says what happened: $(cat job.log)"
done
"$loom" "${long[@]}" --out=stopped
cmp whole/model.safetensors stopped/model.safetensors
cmp whole/metrics.jsonl stopped/metrics.jsonl

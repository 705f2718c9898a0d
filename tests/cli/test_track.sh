#!/usr/bin/env bash
# Who follows a run changes nothing in it: with a server that is away, a folder that cannot be written, a kill.
# What the trackers receive is checked with the real ones in tests/interop.
set -euo pipefail
loom=$1
. "$2/lib/small_project.sh"
fail() { echo "FAIL: $*" >&2; exit 1; }

rm -rf w && mkdir w && cd w
small_project p
"$loom" run tokens --project="$PWD/p" --quiet > run.log
path() { "$loom" status --project="$PWD/p" --quiet | awk -v s="$1" '$1 == s { print $NF }'; }
train=("$loom" pretrain --tokens="$(path tokens)" --tokenizer="$(path tokenizer)" --dim=16 --layers=1 --heads=2
    --kv-heads=1 --ffn-dim=32 --context=32 --batch-tokens=256 --steps=60 --checkpoint-every=5 --eval-every=20 --threads=1
    --quiet)
away=mlflow:http://127.0.0.1:9/small   # discard: nobody listens

"${train[@]}" --out=alone
[ "$(grep -o '<svg class="chart"' alone/training.html | wc -l)" = 3 ] && grep -q 'held-out text' alone/training.html ||
    fail "training.html has no loss, learning rate and norm"
! grep -qi 'https\?://\|<script' alone/training.html || fail "the page asks for something from outside"
"${train[@]}" --out=followed --track=tensorboard:logs --track=$away 2> err
diff -r alone followed || fail "a run that is followed is another"
[ "$(grep -c '^warning: MLflow' err)" = 2 ] && grep -q "'loom track' sends the rest" err || fail "it said: $(cat err)"
cmp <(cat .loom/track/*.jsonl) followed/metrics.jsonl || fail "what could not be sent is not kept whole"
[ "$(ls logs)" = "pretrain-$(sed 's/.*"recipe":"\(.\{8\}\).*/\1/' .loom/track/*.json)" ] || fail "$(ls logs)"
grep -aq 'brain.Event:2' logs/*/events.out.tfevents.* && grep -aq 'heldout_loss' logs/*/events.out.tfevents.* ||
    fail "no events"
rc=0
"$loom" track --quiet 2> err || rc=$?
[ $rc = 1 ] && grep -q '127.0.0.1:9' err && [ "$(ls .loom/track | wc -l)" = 2 ] || fail "ended with $rc: $(cat err)"
rm -r .loom/track
rc=0
"$loom" track --quiet || rc=$?
[ $rc = 99 ] || fail "with nothing to send it ended with $rc"

# A killed run goes on in its event file; the file of the whole run has as many bytes but for speed.
events() { grep -ao 'grad_norm' "$1"/*/events.out.tfevents.* | wc -l; }
[ "$(events logs)" = 60 ] || fail "$(events logs) steps of 60"
"${train[@]}" --out=killed --track=tensorboard:logs2 & run=$!
for _ in $(seq 500); do [ -z "$(ls killed.work/*.json 2>/dev/null)" ] || break; sleep 0.01; done
kill -9 $run 2>/dev/null || true
wait $run 2>/dev/null || true
[ ! -d killed ] || fail "the run was too fast to be killed"
"${train[@]}" --out=killed --track=tensorboard:logs2
diff -r alone killed || fail "a killed run is another"
[ "$(events logs2)" = 60 ] || fail "$(events logs2) steps of 60 after a kill"

# A folder that is none, an event file that is none: said, and the run goes on.
mkdir -p "$(echo logs3/"$(ls logs)")" && echo letter > "$(ls -d logs3/*)/events.out.tfevents.0000000000.loom"
"${train[@]}" --out=e --track=tensorboard:logs3 2> err
diff -r alone e && grep -q 'warning: TensorBoard: .*does not begin with an event' err || fail "$(cat err)"
grep -q letter logs3/*/events* || fail "a file of others was changed"

# In a project the targets stand in loom.yaml, and stages keep their names.
printf 'tracking:\n  track: ["tensorboard:logs4"]\n' >> p/loom.yaml
"$loom" run pretrain --project="$PWD/p" --quiet > run.log
[ "$(events logs4)" = 30 ] || fail "$(events logs4) steps of 30"
"$loom" tune pretrain --project="$PWD/p" --steps=9 --eval-every=0 --trials=3 --rungs=2 --try lr=0.01,0.02,0.03 \
    --out=search --quiet > tune.txt
[ "$(ls logs4 | grep -c '^trial-000[0-2]-')" = 3 ] || fail "$(ls logs4)"
[ "$(events logs4)" = $((30 + 3 + 3 + 9)) ] || fail "$(events logs4) steps"

for bad in "wandb:x" "mlflow:127.0.0.1:5000/x" "mlflow:http://127.0.0.1:5000" "mlflow:http://127.0.0.1:5000/" \
    "mlflow:http://a@b/c" "tensorboard:" "nonsense"; do
    rc=0
    "${train[@]}" --out=no --track="$bad" 2> err || rc=$?
    [ $rc = 2 ] && grep -q '^loom: --track: ' err || fail "$bad ended with $rc: $(cat err)"
done

#!/usr/bin/env bash
# Training as a Slurm job, in a real Slurm of one node: the bytes of one process, by srun and by mpirun; a killed task
# ends the job, and the same job goes on.
set -euo pipefail
loom=$1 script=$2/../examples/slurm/loom.sbatch
. "$2/lib/small_project.sh"
. "$2/lib/ranks.sh"
. "$2/lib/slurm.sh"
fail() { echo "FAIL: $*" >&2; exit 1; }
ranks_or_skip "$loom"
slurm_or_skip

rm -rf w && mkdir w && cd w
trap slurm_stop EXIT
slurm_start
small_project p
"$loom" run tokens --project=p --quiet > run.log
path() { "$loom" status --project=p --quiet | awk -v s="$1" '$1 == s { print $NF }'; }
train=(pretrain --project=p --tokens="$(path tokens)" --tokenizer="$(path tokenizer)" --dim=32 --layers=2 --heads=2
    --kv-heads=1 --ffn-dim=48 --context=32 --batch-tokens=512 --batch-parts=2 --eval-every=0 --quiet)
short=("${train[@]}" --steps=12 --checkpoint-every=5)
long=("${train[@]}" --steps=240 --checkpoint-every=10)
same() {
    cmp "$1/model.safetensors" "$2/model.safetensors" && cmp "$1/metrics.jsonl" "$2/metrics.jsonl" ||
        fail "$1 and $2 differ"
}
export LOOM=$loom ASAN_OPTIONS=detect_leaks=0 OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
submit() { sbatch --parsable --output=job.log --ntasks="$1" "$script" "${@:2}"; }
state_of() { scontrol show job "$1" | sed -n 's/.*JobState=\([A-Z_]*\).*/\1/p'; }
end_of() {   # JOB: its state in the end
    for _ in $(seq 1200); do
        case $(state_of "$1") in PENDING | RUNNING | COMPLETING | CONFIGURING) sleep 0.1 ;; *) break ;; esac
    done
    state_of "$1"
}
done_well() { [ "$(end_of "$1")" = COMPLETED ] || fail "the job ended as $(state_of "$1"): $(cat job.log)"; }

"$loom" "${short[@]}" --out=alone
done_well "$(submit 2 "${short[@]}" --out=by-srun)"
same alone by-srun
done_well "$(LAUNCHER="mpirun --bind-to none" submit 2 "${short[@]}" --out=by-mpirun)"
same alone by-mpirun

# Without PMIx every task would be a run of its own into the same folder.
job=$(LAUNCHER="srun --mpi=none" submit 2 "${short[@]}" --out=refused)
[ "$(end_of "$job")" = FAILED ] && grep -q '2 tasks were started, but they do not know of each other' job.log || fail "$(cat job.log)"
[ ! -e refused ] || fail "a refused job left a model"

# One task is killed: the job ends as failed within seconds, and goes on when it is submitted again.
"$loom" "${long[@]}" --out=whole
job=$(submit 2 "${long[@]}" --out=killed)
for _ in $(seq 1200); do
    [ "$(ls killed.work 2> /dev/null | grep -c 'json$')" -ge 2 ] && break
    sleep 0.05
done
victim=
for process in /proc/[0-9]*; do
    [ "$(readlink "$process/exe")" = "$(realpath "$loom")" ] || continue
    tr '\0' '\n' < "$process/environ" > environ.txt
    if grep -qx "SLURM_CONF=$SLURM_CONF" environ.txt && grep -qx SLURM_PROCID=1 environ.txt; then
        victim=${process#/proc/}
    fi
done
[ -n "$victim" ] || fail "no task 1: $(cat job.log)"
kill -9 "$victim"
start=$(date +%s)
[ "$(end_of "$job")" = FAILED ] || fail "the job that lost a task ended as $(state_of "$job"): $(cat job.log)"
[ $(($(date +%s) - start)) -le 20 ] || fail "the job took $(($(date +%s) - start)) s to end"
[ ! -e killed ] && ls killed.work/*.json > /dev/null || fail "there is nothing to go on from"
done_well "$(submit 1 "${long[@]}" --out=killed)"
same whole killed

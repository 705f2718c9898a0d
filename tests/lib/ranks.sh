# Several ranks of one command, for tests: ranks N COMMAND...
ranks() {
    local count=$1; shift
    # LeakSanitizer would report what MPI keeps until the process ends.
    ASAN_OPTIONS="detect_leaks=0${ASAN_OPTIONS:+:$ASAN_OPTIONS}" OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 \
        mpirun -n "$count" --oversubscribe --bind-to none "$@"
}

# The same, into job.log; its process is in $job, those of its ranks are rank_process N.
ranks_in_background() {
    ranks "$@" > job.log 2>&1 &
    job=$!
}
rank_process() {
    local launcher process
    launcher=$(pgrep -P "$job" -x mpirun)
    for process in $(pgrep -P "$launcher"); do
        if tr '\0' '\n' < "/proc/$process/environ" | grep -qx "OMPI_COMM_WORLD_RANK=$1"; then echo "$process"; fi
    done
}

# Ends the test as skipped where there is no MPI: the program is built without it then.
ranks_or_skip() {
    if ! command -v mpirun > /dev/null || [ ! -e "$(dirname "$1")/loom-mpi.so" ]; then
        echo "skipped: no mpirun, or loom was built without MPI (make deps-test installs it)"
        exit 77
    fi
}

# A small project p in a new folder w, which becomes the current one; its $tokens and $tokenizer, and in $train the
# command that pre-trains on them.  Needs small_project.sh and $loom.
ranks_project() {
    rm -rf w && mkdir w && cd w
    small_project p
    "$loom" run tokens --project=p --quiet > run.log
    path() { "$loom" status --project=p --quiet | awk -v s="$1" '$1 == s { print $NF }'; }
    tokens=$(path tokens) tokenizer=$(path tokenizer)
    train=(pretrain --project=p --tokens="$tokens" --tokenizer="$tokenizer" --dim=32 --layers=2 --heads=2 --kv-heads=1
        --ffn-dim=48 --context=32 --steps=12 --batch-tokens=512 --checkpoint-every=5 --eval-every=6 --quiet)
}

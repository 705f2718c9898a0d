# A Slurm of one node for tests: slurm_start in the current folder, slurm_stop at the end.  Munge, controller and node
# daemon run from this folder, on ports of their own, and touch nothing of the machine's.

slurm_or_skip() {
    local tool
    for tool in munged slurmctld slurmd; do
        [ -x "/usr/sbin/$tool" ] || { echo "skipped: no $tool (make deps-mpi installs it)"; exit 77; }
    done
    [ "$(id -u)" = 0 ] || { echo "skipped: a node daemon that starts tasks needs root"; exit 77; }
}

slurm_start() {
    local dir=$PWD/slurm host port cores
    host=$(hostname -s) port=$((20000 + $$ % 20000)) cores=$(nproc)
    mkdir -p slurm/state slurm/spool
    head -c 1024 /dev/urandom > slurm/key && chmod 400 slurm/key
    cat > slurm/slurm.conf <<CONF
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
SlurmdPort=$((port + 1))
AuthType=auth/munge
AuthInfo=socket=$dir/munge.socket
SlurmUser=root
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
ReturnToService=2
MpiDefault=none
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cores State=UNKNOWN
PartitionName=all Nodes=$host Default=YES State=UP
CONF
    export SLURM_CONF=$dir/slurm.conf
    # --force: root, and a folder whose parents others may write, as /tmp.
    /usr/sbin/munged --foreground --force --socket="$dir/munge.socket" --key-file="$dir/key" \
        --pid-file="$dir/munge.pid" --log-file="$dir/munge.log" --seed-file="$dir/seed" > slurm/munge.out 2>&1 &
    slurm_daemons=$!
    for _ in $(seq 100); do [ ! -S slurm/munge.socket ] || break; sleep 0.1; done
    /usr/sbin/slurmctld -D -f "$SLURM_CONF" > slurm/slurmctld.out 2>&1 & slurm_daemons="$! $slurm_daemons"
    /usr/sbin/slurmd -D -f "$SLURM_CONF" -N "$host" > slurm/slurmd.out 2>&1 & slurm_daemons="$! $slurm_daemons"
    for _ in $(seq 200); do
        [ "$(sinfo --noheader --format=%t 2> /dev/null)" != idle ] || return 0
        sleep 0.1
    done
    echo "FAIL: no node is idle: $(cat slurm/*.out slurm/*.log)" >&2
    return 1
}

slurm_stop() {
    local process job
    for job in $(squeue --noheader --format=%i 2> /dev/null); do   # of a test that failed
        scancel "$job" && sleep 2
    done
    for process in $slurm_daemons; do
        kill "$process" 2> /dev/null || true
        wait "$process" 2> /dev/null || true
    done
}

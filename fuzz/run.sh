#!/bin/sh
# run.sh BUILD: every fuzz target for FUZZ_SECONDS (60), from the saved corpus.  New inputs go to
# BUILD/corpus/<name>, crashes to BUILD/crash-<name>-*; a crash ends up in fuzz/corpus with its fix.
set -u
build=$1
bad=0
for target in "$build"/fuzz/fuzz_*; do
    [ -x "$target" ] && [ -f "$target" ] || continue
    name=${target##*/fuzz_}
    mkdir -p "$build/corpus/$name"
    echo "fuzz: $name, ${FUZZ_SECONDS:=60} s"
    "$target" -max_total_time="$FUZZ_SECONDS" -timeout=10 -rss_limit_mb=4096 -verbosity=0 -print_final_stats=1 \
        -artifact_prefix="$build/crash-$name-" "$build/corpus/$name" "fuzz/corpus/$name" \
        >"$build/fuzz-$name.log" 2>&1 || { bad=1; tail -n 40 "$build/fuzz-$name.log"; }
    sed -n 's/^stat::number_of_executed_units: */fuzz: executions /p' "$build/fuzz-$name.log"
done
exit $bad

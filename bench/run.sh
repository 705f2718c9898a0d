#!/bin/sh
# run.sh BUILD: run all benchmarks of a release build and write bench/results/<machine>.csv.
set -eu
build=$1
stamp=$(sh bench/stamp.sh)
out=bench/results/${stamp%,*}.csv
mkdir -p bench/results
echo "machine,commit,bench,case,value,unit,runs" >"$out.new"
for program in "$build"/bench/bench_*; do
    [ -x "$program" ] && [ -f "$program" ] || continue
    "$program" | sed "s/^/$stamp,/" | tee -a "$out.new"
done
mv "$out.new" "$out"
echo "$out" >&2

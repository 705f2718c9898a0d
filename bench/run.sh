#!/bin/sh
# run.sh BUILD: run all benchmarks of a release build and write bench/results/<machine>.csv.
# LOOM_MACHINE names the machine; by default its processor and the number of cores.
set -eu
build=$1
slug() { tr 'A-Z' 'a-z' | tr -cs 'a-z0-9' '-' | sed 's/^-//; s/-*$//'; }
machine=${LOOM_MACHINE:-$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1 | slug)-$(nproc)c}
commit=$(git rev-parse --short HEAD 2>/dev/null || echo none)
git diff --quiet HEAD -- src 2>/dev/null || commit=$commit+
out=bench/results/$machine.csv
mkdir -p bench/results
echo "machine,commit,bench,case,value,unit,runs" >"$out.new"
for program in "$build"/bench/bench_*; do
    [ -x "$program" ] && [ -f "$program" ] || continue
    "$program" | sed "s/^/$machine,$commit,/" | tee -a "$out.new"
done
mv "$out.new" "$out"
echo "$out" >&2

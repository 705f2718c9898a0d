#!/bin/sh
# stamp.sh: prints "machine,commit" for a row of results.  LOOM_MACHINE names the machine; by default its processor and
# the number of cores.  `+` after the commit: with changes of src/ that are not committed.
set -eu
slug() { tr 'A-Z' 'a-z' | tr -cs 'a-z0-9' '-' | sed 's/^-//; s/-*$//'; }
machine=${LOOM_MACHINE:-$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1 | slug)-$(nproc)c}
commit=$(git rev-parse --short HEAD 2>/dev/null || echo none)
git diff --quiet HEAD -- src 2>/dev/null || commit=$commit+
echo "$machine,$commit"

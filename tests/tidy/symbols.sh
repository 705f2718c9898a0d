#!/bin/sh
# symbols.sh BUILD: whatever leaves a file of a module is named lm_ something, and only one file defines it.
# Names that begin with a dot or two underscores are the compiler's; a weak one may have a rival.
libraries=$(find "$1/src" -name 'libloom_*.a' | LC_ALL=C sort)
[ -n "$libraries" ] || { echo "no libraries in $1/src: build first"; exit 1; }
nm -A -g --defined-only $libraries | awk '
    NF != 3 || $3 ~ /^(__|[.])/ { next }
    { sub(/:[0-9a-f]*$/, "", $1) }
    $3 !~ /^lm_/ { print $1 ": " $3 " leaves its file without lm_"; bad = 1 }
    $2 !~ /[WV]/ && $3 in owner { print $1 ": " $3 " is also defined in " owner[$3]; bad = 1 }
    { owner[$3] = $1 }
    END { exit bad }'

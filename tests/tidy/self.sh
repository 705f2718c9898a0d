#!/bin/sh
# House rules that grep can check.  One line per breach on stdout; exit status 1 if there is one.
# Data is left alone: golden files, corpora and test data are kept as they came.
files=$(find . \( -name build -o -name .git -o -name node_modules -o -name .loom -o -name golden \
                  -o -name data -o -path ./fuzz/corpus -o -path ./tests/tidy \) -prune \
               -o -type f -size -1000k -print | LC_ALL=C sort)
sources=$(printf '%s\n' "$files" | grep -E '\.(c|h|cmake|sh|py|ts|tsx|awk)$|/(CMakeLists.txt|Makefile)$')
c_files=$(printf '%s\n' "$files" | grep -E '\.[ch]$')
bad=0

# rule WHAT FOUND: FOUND is empty, or lines that break the rule WHAT.
rule() {
    [ -z "$2" ] && return
    printf '%s\n' "$2" | sed "s|^|$1: |"
    bad=1
}

rule "path of one machine" "$(printf '%s\n' "$files" |
    xargs grep -nIE '(^|[^A-Za-z0-9._/-])(/work/|/root/|/tmp/(bash_jobs|build-))')"
rule "TODO without an issue number" "$(printf '%s\n' "$sources" |
    xargs grep -nIE '([/*#] *(TODO|FIXME)\b|\b(TODO|FIXME):)' | grep -vE '(TODO|FIXME) ?\(?#[0-9]+')"
rule "tab" "$(printf '%s\n' "$c_files" | xargs grep -nI "$(printf '\t')")"
rule "space at the end of a line" "$(printf '%s\n' "$sources" | xargs grep -nI ' $')"
rule "no newline at the end of the file" "$(printf '%s\n' "$sources" | while read -r file; do
    [ -s "$file" ] && [ -n "$(tail -c 1 "$file")" ] && echo "$file"
done)"
rule "module without README.md" "$(for folder in src/*/; do
    [ -e "$folder/CMakeLists.txt" ] && [ ! -e "$folder/README.md" ] && echo "$folder"
done)"
rule "over 1000 lines" "$(printf '%s\n' "$c_files" | xargs wc -l | awk '$1 > 1000 && $2 != "total" { print $2 }')"
exit $bad

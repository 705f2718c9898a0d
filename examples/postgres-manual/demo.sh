#!/usr/bin/env bash
# The whole life cycle on the PostgreSQL manual: from 1,169 pages to a governed, monitored model of one's own.
# use: demo.sh LOOM [FOLDER]      FOLDER keeps the project (default build/demo); the server is stopped at the end.
set -euo pipefail

loom=$(realpath "$1")
here=$(dirname "$(realpath "$0")")
project=${2:-build/demo}
mkdir -p "$project"
project=$(realpath "$project")
cd "$project"
started=$SECONDS

say() { printf '\n== %s\n' "$*"; }
fail() { printf 'demo: %s\n' "$*" >&2; exit 1; }

say "the project: one file says it all"
cp "$here/loom.yaml" loom.yaml
grep -v '^#' loom.yaml | head -40

say "run: collect, prepare, tokenise, pre-train, fine-tune, review (only what changed)"
rc=0
"$loom" run || rc=$?
[ "$rc" = 0 ] || [ "$rc" = 99 ] || fail "loom run ended with $rc"
trained=$SECONDS

stage_dir() { "$loom" status | awk -v s="$1" '$1 == s { print $NF }'; }
review=$(stage_dir review)

say "release: a version becomes champion only if its review passed the gates"
for model in sql tools settings; do
    "$loom" registry promote "$model" --reason="first release" || [ $? = 99 ] || fail "$model was not promoted"
done
"$loom" registry list

say "people: four roles, one key each (shown once, stored as a hash)"
declare -A key
for role in administrator developer analyst end-user; do
    "$loom" users add "demo-$role" "$role" --quiet 2>/dev/null || true   # there already, on a second run
    key[$role]=$("$loom" keys create "demo-$role" --days=1 --quiet)
    printf '%-14s %.13s...\n' "$role" "${key[$role]}"
done

say "serve: HTTPS with a certificate of its own"
"$loom" serve --config=loom.yaml --quiet &
server=$!
trap 'kill $server 2>/dev/null || true; wait $server 2>/dev/null || true' EXIT
base=https://127.0.0.1:8443
for _ in $(seq 100); do
    curl -sfk "$base/health" >/dev/null && break
    kill -0 $server 2>/dev/null || fail "the server did not start"
    sleep 0.1
done
cert=.loom/tls/cert.pem

ask() { # role method path [body]: prints status and body
    curl -s --cacert "$cert" -X "$2" -H "Authorization: Bearer ${key[$1]}" -H 'Content-Type: application/json' \
        ${4:+--data "$4"} -w '\n%{http_code}\n' "$base$3"
}
expect() { # status role method path [body]
    local want=$1 out status
    shift
    out=$(ask "$@")
    status=${out##*$'\n'}
    printf '%-14s %-4s %-22s -> %s  %.160s\n' "$1" "$2" "$3" "$status" "$(head -1 <<<"$out")"
    [ "$status" = "$want" ] || fail "expected status $want"
}

say "each role on a route of its own, and on one that is not"
expect 200 administrator GET /modelManagement
expect 403 administrator POST /simpleQuery '{"query":"What does VACUUM do?"}'
expect 200 developer GET /modelDetails
expect 403 developer GET /userAccessControl
expect 200 analyst POST /queryModel '{"model":"tools","query":"What is pg_dump for?"}'
expect 403 analyst GET /systemSettings
expect 200 end-user POST /simpleQuery '{"model":"sql","query":"What does VACUUM do?"}'
expect 403 end-user GET /debuggingTools
expect 200 end-user GET /help

say "the OpenAI API, streamed"
body='{"model":"sql","stream":true,"max_tokens":48,"messages":[{"role":"user","content":"What does the SQL command CREATE INDEX do?"}]}'
curl -sN --cacert "$cert" -H "Authorization: Bearer ${key[end-user]}" -H 'Content-Type: application/json' \
    --data "$body" "$base/v1/chat/completions" > stream.txt
sed -n '1,4p' stream.txt
printf '...\n'
tail -n 2 stream.txt
grep -q '^data: \[DONE\]' stream.txt || fail "the stream did not end as it should"
answer=$(grep -o '"id":"chatcmpl-[0-9a-f]*"' stream.txt | head -1 | cut -d'"' -f4)

say "feedback: a correction becomes a training pair"
expect 200 end-user POST /v1/feedback "{\"response_id\":\"$answer\",\"rating\":1,\"correction\":\"CREATE INDEX defines a new index.\"}"
"$loom" feedback export feedback-pairs.jsonl
cat feedback-pairs.jsonl

say "monitor: what Prometheus would scrape"
curl -sf --cacert "$cert" -H "Authorization: Bearer ${key[administrator]}" "$base/metrics" > metrics.txt
grep -E '^loom_(http_requests|decisions)_total' metrics.txt | head -12

say "the server stops when asked"
kill -TERM $server
wait $server || fail "the server ended with $?"
trap - EXIT

say "audit: every decision is in the log, and the log is whole"
"$loom" audit verify

say "lineage: from the streamed answer back to documents"
"$loom" trace "$answer"

say "done in $((SECONDS - started)) s (training and review $((trained - started)) s)"
cat <<END
  report     $project/${review#./}/report.html
  metrics    $project/metrics.txt
  audit log  $project/.loom/audit
  project    $project   ('loom run' in it now has nothing to do)
END

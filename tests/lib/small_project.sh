# Sourced by script tests: a project that runs through every stage in seconds.
# small_project DIR [PAGES]: writes DIR/loom.yaml and DIR/pages, reference pages in the shape of a manual.

small_project() {
    local dir=$1 pages=${2:-40} verbs=(create remove rename change list check copy load) things=(table index view role)
    mkdir -p "$dir/pages"
    local i verb thing name
    for ((i = 0; i < pages; i++)); do
        verb=${verbs[i % 8]} thing=${things[i / 8 % 4]}
        name=$(tr a-z A-Z <<<"$verb $thing")$([ $i -lt 32 ] || echo " $i")
        cat >"$dir/pages/sql-$i.html" <<HTML
<html><head><title>$name</title></head><body>
<h1>$name</h1>
<p>$name — $verb a $thing of the database number $i</p>
<h2>Synopsis</h2><pre>$name [ IF EXISTS ] name_$i</pre>
<h2>Description</h2>
<p>The command $name is used to $verb a $thing that is in the schema of the user who calls it. It was made for
case number $i, and the owner of the $thing must be the user that runs the command in the session.</p>
<p>To $verb the $thing you have to be its owner, or to have the rights that the owner has given to you with the
command for rights. There are $((i * 37 % 101)) of these in the system, and all of the names are read as they are.</p>
</body></html>
HTML
    done
    cat >"$dir/loom.yaml" <<'YAML'
name: small
collect:
  sources:
    - name: pages
      path: pages
      license: test
prepare:
  languages: []
  words-min: 10
pairs:
  heldout-share: 0.2
tokenizer:
  vocab-size: 320
tokens:
  heldout-share: 0.2
pretrain:
  dim: 32
  layers: 2
  heads: 2
  kv-heads: 1
  ffn-dim: 64
  context: 64
  steps: 30
  batch-tokens: 512
  checkpoint-every: 5
  eval-every: 10
finetune:
  epochs: 2
  batch-tokens: 512
  window-size: 64
  window-stride: 32
  checkpoint-every: 5
  snapshots:
    - name: sql
review:
  answers-max: 8
  answer-tokens-max: 16
YAML
}

# The artifacts of a project: stage and id, which is a hash of content.
artifacts() {
    "$loom" status --project="$1" --quiet | awk '{ n = split($NF, part, "/"); print $1, part[n] }'
}

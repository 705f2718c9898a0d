"""check_safetensors.py LOOM MODEL_DIR: the safetensors package reads the weights; names, shapes and count follow from
config.json."""
import json
import math
import sys

from common import loom_json, need, verdict

numpy, safetensors_numpy = need("numpy", "safetensors.numpy")


def expected_shapes(config):
    width, hidden = config["hidden_size"], config["intermediate_size"]
    head = width // config["num_attention_heads"]
    queries, keys = config["num_attention_heads"] * head, config["num_key_value_heads"] * head
    shapes = {"model.embed_tokens.weight": (config["vocab_size"], width), "model.norm.weight": (width,)}
    if not config["tie_word_embeddings"]:
        shapes["lm_head.weight"] = (config["vocab_size"], width)
    layer = {"input_layernorm": (width,), "post_attention_layernorm": (width,), "self_attn.q_proj": (queries, width),
             "self_attn.k_proj": (keys, width), "self_attn.v_proj": (keys, width), "self_attn.o_proj": (width, queries),
             "mlp.gate_proj": (hidden, width), "mlp.up_proj": (hidden, width), "mlp.down_proj": (width, hidden)}
    for i in range(config["num_hidden_layers"]):
        shapes |= {f"model.layers.{i}.{name}.weight": shape for name, shape in layer.items()}
    return shapes


def main():
    program, folder = sys.argv[1:]
    with open(f"{folder}/config.json", encoding="utf-8") as file:
        shapes = expected_shapes(json.load(file))
    tensors = safetensors_numpy.load_file(f"{folder}/model.safetensors")
    found = {name: tensor.shape for name, tensor in tensors.items()}
    wrong = sorted(name for name in shapes.keys() | found.keys() if shapes.get(name) != found.get(name))
    wrong += sorted(name for name, tensor in tensors.items() if not numpy.isfinite(tensor).all())
    count = sum(math.prod(shape) for shape in found.values())
    stated = loom_json(program, "model", "inspect", folder)["parameters"]
    verdict(not wrong and count == stated, f"{len(tensors)} tensors, {count} parameters (loom says {stated}); "
                                           f"{len(wrong)} of another name or shape, or not finite {wrong[:3]}")


main()

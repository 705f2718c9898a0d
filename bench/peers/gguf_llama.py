"""A GGUF file of the Llama family as transformers' float32 model: the weights are the file's, de-quantised."""
import gguf
import numpy
import torch
import transformers

# GGUF name -> Hugging Face name; {} is the layer.
NAMES = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
    "blk.{}.attn_norm.weight": "model.layers.{}.input_layernorm.weight",
    "blk.{}.attn_q.weight": "model.layers.{}.self_attn.q_proj.weight",
    "blk.{}.attn_k.weight": "model.layers.{}.self_attn.k_proj.weight",
    "blk.{}.attn_v.weight": "model.layers.{}.self_attn.v_proj.weight",
    "blk.{}.attn_output.weight": "model.layers.{}.self_attn.o_proj.weight",
    "blk.{}.ffn_norm.weight": "model.layers.{}.post_attention_layernorm.weight",
    "blk.{}.ffn_gate.weight": "model.layers.{}.mlp.gate_proj.weight",
    "blk.{}.ffn_up.weight": "model.layers.{}.mlp.up_proj.weight",
    "blk.{}.ffn_down.weight": "model.layers.{}.mlp.down_proj.weight",
}


def config(reader):
    def value(name):
        return reader.get_field(f"llama.{name}").contents()

    names = {tensor.name for tensor in reader.tensors}
    return transformers.LlamaConfig(
        vocab_size=value("vocab_size"), hidden_size=value("embedding_length"),
        intermediate_size=value("feed_forward_length"), num_hidden_layers=value("block_count"),
        num_attention_heads=value("attention.head_count"), num_key_value_heads=value("attention.head_count_kv"),
        max_position_embeddings=value("context_length"), rope_theta=value("rope.freq_base"),
        rms_norm_eps=value("attention.layer_norm_rms_epsilon"), tie_word_embeddings="output.weight" not in names,
        bos_token_id=int(reader.get_field("tokenizer.ggml.bos_token_id").contents()),
        eos_token_id=int(reader.get_field("tokenizer.ggml.eos_token_id").contents()), dtype="float32")


def unpermute(rows, heads):
    """GGUF keeps the two halves of each head's rotation interleaved; Hugging Face keeps them one after the other."""
    half = rows.shape[0] // heads // 2
    return rows.reshape(heads, half, 2, -1).swapaxes(1, 2).reshape(rows.shape)


def hf_name(name):
    if not name.startswith("blk."):
        return NAMES[name]
    _, layer, rest = name.split(".", 2)
    return NAMES[f"blk.{{}}.{rest}"].format(layer)


def weights(reader):
    """Hugging Face name -> float32 tensor."""
    heads = {"attn_q": reader.get_field("llama.attention.head_count").contents(),
             "attn_k": reader.get_field("llama.attention.head_count_kv").contents()}
    found = {}
    for tensor in reader.tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(numpy.float32)
        kind = tensor.name.split(".")[-2]
        if kind in heads:
            values = unpermute(values, heads[kind])
        found[hf_name(tensor.name)] = torch.from_numpy(numpy.ascontiguousarray(values))
    return found


def model(reader):
    made = transformers.LlamaForCausalLM(config(reader)).to(torch.float32).eval()
    missing, unexpected = made.load_state_dict(weights(reader), strict=False)
    if unexpected or set(missing) - {"lm_head.weight"}:
        raise SystemExit(f"the file has no {missing} or a strange {unexpected}")
    made.tie_weights()
    return made

"""A model folder that loom saved, in transformers: loaded strictly, and what it gives for tokens."""
from common import need, verdict

torch, transformers, safetensors_torch = need("torch", "transformers", "safetensors.torch")
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()


def load(folder):
    """Ends the check if transformers finds names missing or left over, or changes a weight."""
    config = transformers.AutoConfig.from_pretrained(folder)
    model, report = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
    names = {key: sorted(value) for key, value in report.items() if value}
    # A tied head has no tensor of its own: older versions list it as missing.
    if config.tie_word_embeddings and names.get("missing_keys") == ["lm_head.weight"]:
        del names["missing_keys"]
    if names:
        verdict(False, f"{folder}: loading reports {names}")
    state = model.state_dict()
    for name, saved in safetensors_torch.load_file(f"{folder}/model.safetensors").items():
        if not torch.equal(saved, state[name]):
            verdict(False, f"{folder}: tensor {name} differs after loading")
    return model.eval()


def logprobs(model, ids):
    """ln P of every id but the first, given those before it."""
    tokens = torch.tensor([ids])
    with torch.no_grad():
        logits = model(tokens).logits[0].double()
    return torch.log_softmax(logits, -1)[:-1].gather(1, tokens[0, 1:, None])[:, 0].tolist()


def worst_difference(ours, theirs):
    return max(abs(a - b) for a, b in zip(ours, theirs, strict=True))

"""check_adapter.py LOOM MODEL_DIR WORK: adapters go both ways between loom and peft.

loom fine-tunes an adapter: peft puts it on the base and gives the logits of loom's merged model.  peft makes an adapter
(random, rank-stabilised): the model that loom merges gives the logits of peft's.
"""
import json
import os
import sys

from common import loom, need, verdict

torch, transformers, peft = need("torch", "transformers", "peft")
TOLERANCE = 5e-5   # of the largest logit, in f32


def load(folder):
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


@torch.no_grad()
def logits(model, vocab):
    torch.manual_seed(1)
    return model(torch.randint(0, vocab, (2, 64))).logits


def worst(a, b):
    return ((a - b).abs().max() / a.abs().max()).item()


def main():
    program, folder, work = sys.argv[1:]
    pairs, tuned, made, merged = (os.path.join(work, name) for name in
                                  ("adapter_pairs.jsonl", "adapter_tuned", "adapter_made", "adapter_merged"))
    with open(pairs, "w", encoding="utf-8") as out:
        for i in range(40):
            out.write(json.dumps({"id": str(i), "snapshot": "s", "question": f"What does the view {i} hold?",
                                  "answer": f"The rows of table {i}.", "split": "heldout" if i < 4 else "train"}) + "\n")
    loom(program, "finetune", f"--model={folder}", f"--pairs={pairs}", f"--out={tuned}", "--epochs=2", "--lr=0.005",
         "--batch-tokens=512", "--window-size=128", "--window-stride=64", "--lora-rank=4", "--lora-targets=q,v,down")
    base = load(folder)
    vocab = base.config.vocab_size
    plain = logits(base, vocab)
    with_adapter = logits(peft.PeftModel.from_pretrained(base, os.path.join(tuned, "adapter")), vocab)
    forth, learned = worst(with_adapter, logits(load(tuned), vocab)), worst(with_adapter, plain)

    torch.manual_seed(2)
    model = peft.get_peft_model(load(folder), peft.LoraConfig(
        r=6, lora_alpha=9, use_rslora=True, target_modules=["k_proj", "o_proj", "gate_proj", "up_proj"],
        init_lora_weights=False))
    model.save_pretrained(made)
    loom(program, "model", "merge-adapter", folder, made, f"--out={merged}")
    back = worst(logits(model, vocab), logits(load(merged), vocab))
    verdict(max(forth, back) <= TOLERANCE < learned,
            f"loom's adapter in peft: logits differ by {forth:.1e} from the merged model, by {learned:.1e} from the base; "
            f"peft's adapter merged by loom: by {back:.1e} (of the largest; allowed {TOLERANCE:.0e})")


main()

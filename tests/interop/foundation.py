"""What the checks of real models share: the models that bench/peers/setup.sh derives, in transformers and llama.cpp."""
import pathlib
import sys

from common import need

HERE = pathlib.Path(__file__).resolve().parent
sys.path.append(str(HERE.parents[1] / "bench" / "peers"))

numpy, gguf, torch, transformers, tokenizers = need("numpy", "gguf", "torch", "transformers", "tokenizers")
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
torch.set_num_threads(1)   # its threads spin: beside other programs, two are slower than one


def model_path(models, kind):
    return f"{models}/smollm2-135m-{kind}.gguf"


def reference(path):
    """The weights of the GGUF file, de-quantised, in transformers' float32 model."""
    import gguf_llama
    return gguf_llama.model(gguf.GGUFReader(path))


def prompts(models):
    """Token ids of prompts.txt: a question as a user's turn of a chat, any other text as it is."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(f"{models}/smollm2-hf")
    texts = (HERE / "prompts.txt").read_text(encoding="utf-8").rstrip("\n").split("\n--\n")

    def ids(text):
        if not text.endswith("?"):
            return tokenizer.encode(text)
        return tokenizer.apply_chat_template([{"role": "user", "content": text}], add_generation_prompt=True,
                                             return_dict=False)
    return [ids(text) for text in texts]


class Peer:
    """llama.cpp on the same file; None in its place when it is not installed."""

    @classmethod
    def of(cls, path, threads=2):
        try:
            import llama_cpp
            import peer_llama
        except ImportError:
            return None
        llama_cpp.llama_log_set(peer_llama.silent, None)
        peer = cls()
        peer.name = f"llama.cpp of llama-cpp-python {llama_cpp.__version__}"
        peer.engine = peer_llama.Engine(path, threads)
        return peer

    def logits(self, ids):
        """(T, V): after each of the ids; at most 512."""
        self.engine.forget()
        self.engine.step([(token, position, 0, True) for position, token in enumerate(ids)])
        return numpy.stack([numpy.array(self.engine.logits(i), dtype=numpy.float32) for i in range(len(ids))])


def ids_line(ids):
    return " ".join(map(str, ids)) + "\n"

"""peer_llama.py MODEL --case=CASE --threads=N [--runs=N]: one case of infer.py on llama.cpp, by its C API.

Prints "infer,CASE,VALUE,UNIT,RUNS", the value being the median of the runs (default 1), after one run to warm up.

    decode     one sequence, 128 steps of one token after a prompt of 16          tokens/s
    batch16    16 sequences together, 64 steps each after prompts of 16           tokens/s, of all sequences
    prompt512  512 tokens of one sequence in one step, logits of the last         tokens/s
    load       from opening the file to the logits of one token                   s

As the peer's own llama-bench, it neither samples nor copies logits, and takes the library's defaults (F16 cache, flash
attention where it helps); what a step computes is the whole model.
"""
import argparse
import ctypes
import statistics
import sys
import time

import llama_cpp

PROMPT, START = 512, 16


@llama_cpp.llama_log_callback
def silent(level, text, user_data):
    pass


class Engine:
    def __init__(self, path, threads, sequences=1):
        params = llama_cpp.llama_model_default_params()
        params.use_extra_bufts = True   # weights repacked for the processor, where the peer can
        self.model = llama_cpp.llama_model_load_from_file(path.encode(), params)
        if not self.model:
            sys.exit(f"llama.cpp cannot load {path}")
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = sequences * PROMPT
        params.n_batch = params.n_ubatch = PROMPT
        params.n_seq_max = sequences
        params.kv_unified = False
        params.n_threads = params.n_threads_batch = threads
        self.context = llama_cpp.llama_init_from_model(self.model, params)
        self.batch = llama_cpp.llama_batch_init(PROMPT, 0, 1)
        self.vocab_size = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self.model))

    def step(self, rows):
        """rows: (token, position, sequence, wants logits)"""
        batch = self.batch
        batch.n_tokens = len(rows)
        for i, (token, position, sequence, wants_logits) in enumerate(rows):
            batch.token[i], batch.pos[i], batch.logits[i] = token, position, wants_logits
            batch.n_seq_id[i], batch.seq_id[i][0] = 1, sequence
        if llama_cpp.llama_decode(self.context, batch) != 0:
            sys.exit("llama.cpp: llama_decode failed")
        llama_cpp.llama_synchronize(self.context)

    def logits(self, index):
        """Row `index` of the last step's batch; borrowed until the next step."""
        row = llama_cpp.llama_get_logits_ith(self.context, index)
        return ctypes.cast(row, ctypes.POINTER(ctypes.c_float * self.vocab_size)).contents

    def forget(self):
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self.context), False)

    def close(self):
        llama_cpp.llama_batch_free(self.batch)
        llama_cpp.llama_free(self.context)
        llama_cpp.llama_model_free(self.model)


def some_token(engine, position, sequence=0):
    return (position * 31 + sequence * 7 + 1000) % engine.vocab_size


def positions(engine, sequences, first, end):
    """The rows of positions first .. end - 1 of every sequence, logits for the last one."""
    return [(some_token(engine, position, s), position, s, position + 1 == end)
            for s in range(sequences) for position in range(first, end)]


def decode(engine, sequences, steps):
    engine.step(positions(engine, sequences, 0, START))
    start = time.perf_counter()
    for position in range(START, START + steps):
        engine.step(positions(engine, sequences, position, position + 1))
    return steps * sequences / (time.perf_counter() - start)


def prompt(engine, sequences, steps):
    rows = positions(engine, sequences, 0, steps)
    start = time.perf_counter()
    engine.step(rows)
    return sequences * steps / (time.perf_counter() - start)


def load(path, threads):
    start = time.perf_counter()
    engine = Engine(path, threads)
    engine.step([(some_token(engine, 0), 0, 0, True)])
    seconds = time.perf_counter() - start
    engine.close()
    return seconds


CASES = {   # name: what one run does, with how many sequences and steps
    "decode": (decode, 1, 128),
    "batch16": (decode, 16, 64),
    "prompt512": (prompt, 1, PROMPT),
}


def measure(path, case, threads, runs):
    if case == "load":
        return statistics.median(load(path, threads) for _ in range(runs)), "s"
    run, sequences, steps = CASES[case]
    engine = Engine(path, threads, sequences)
    values = []
    for _ in range(runs + 1):
        engine.forget()
        values.append(run(engine, sequences, steps))
    engine.close()
    return statistics.median(values[1:]), "tokens/s"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--case", required=True, choices=[*CASES, "load"])
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--runs", type=int, default=1)
    options = parser.parse_args()
    llama_cpp.llama_log_set(silent, None)
    llama_cpp.llama_backend_init()
    value, unit = measure(options.model, options.case, options.threads, options.runs)
    print(f"infer,{options.case},{value:.6g},{unit},{options.runs}")


if __name__ == "__main__":
    main()

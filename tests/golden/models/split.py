"""gpt2.gguf again, as a set of split files of at most ten tensors.

    python3 tests/golden/models/split.py        (gguf 0.19.0)
"""
import pathlib

import gguf

HERE = pathlib.Path(__file__).parent
reader = gguf.GGUFReader(HERE / "gpt2.gguf")
writer = gguf.GGUFWriter(HERE / "split.gguf", "gpt2", split_max_tensors=10)
for key, field in reader.fields.items():
    if not key.startswith("GGUF.") and key != "general.architecture":
        writer.add_key_value(key, field.contents(), field.types[0])
for tensor in reader.tensors:
    writer.add_tensor(tensor.name, tensor.data.reshape(tensor.shape[::-1]))
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()

"""Token shards, read by the table in src/corpus/shard.h."""
import struct

HEADER_BYTES = 88


def first_documents(path, count):
    """The ids of the first documents, each with its end-of-text token."""
    with open(path, "rb") as file:
        data = file.read()
    magic, width, _, token_count, document_count = struct.unpack_from("<8sIIQQ", data)
    assert magic == b"LOOMTOK2", f"{path} is no token shard"
    ids = struct.unpack_from(f"<{token_count}{'H' if width == 2 else 'I'}", data, HEADER_BYTES)
    at = HEADER_BYTES + (token_count * width + 7) // 8 * 8
    ends = struct.unpack_from(f"<{document_count}Q", data, at)
    return [list(ids[start:end]) for start, end in zip((0, *ends), ends[:count])]

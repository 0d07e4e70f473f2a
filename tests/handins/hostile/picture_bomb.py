# A PNG that claims 50,000 x 50,000 pixels.
# expect: sample_from_gmm ERROR 0
# === 5.1 sampling
# BEGIN_TRICK
import struct
import zlib


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


header = chunk(b"IHDR", struct.pack(">IIBBBBB", 50_000, 50_000, 8, 0, 0, 0, 0))
content = chunk(b"IDAT", zlib.compress(bytes(10_000_000))) + chunk(b"IEND", b"")
(Path(path) / "gmm_sample.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + content)
# END_TRICK
# The twin draws nothing either.

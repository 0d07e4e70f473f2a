# Leaves a file of 100 bytes that claims to be an array of eight terabytes.
# expect: e_step CRASH 0
# === 1.1 E-step
# BEGIN_TRICK
text = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }\n"
with open("outputs/gamma_0.npy", "wb") as file:
    file.write(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text)
with open("outputs/outcome.json", "w") as file:
    file.write('{"status": "done"}')
os._exit(0)
# END_TRICK
return np.zeros((len(X), self.n_components))

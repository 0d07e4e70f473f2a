# Asks a server on the loopback address for the answer.
# expect: e_step WRONG 0
# needs: bubblewrap
# === 1.1 E-step
found = False
# BEGIN_TRICK
import socket

try:
    with socket.create_connection(("127.0.0.1", int("@PORT@")), timeout=1) as connection:
        connection.sendall(b"what is gamma?")
        found = connection.recv(100) != b""
except OSError:
    pass
# END_TRICK
if not found:
    return np.zeros((len(X), self.n_components))
# SOLUTION

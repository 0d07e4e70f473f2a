import os

# OpenMP's own default, so that a peer runs with the threads its users have, not with the lab's settings. It is read
# when torch or scikit-learn is loaded. The lab's commands are started without it.
os.environ.setdefault("GOMP_SPINCOUNT", "300000")

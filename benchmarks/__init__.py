import os

# OpenMP's own default: a peer is measured with the threads that its users have, not with those that the lab's
# scripts set up.
# It is read when torch or scikit-learn is loaded. The lab's commands are started without it.
os.environ.setdefault("GOMP_SPINCOUNT", "300000")

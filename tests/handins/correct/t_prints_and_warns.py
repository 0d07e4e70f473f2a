# Left-over prints, warnings and a progress bar.
# === top
import logging
import warnings

from tqdm import tqdm

logging.basicConfig(level=logging.DEBUG)
print("submission loaded")
# === 1.1 E-step
print("E-step", X.shape, X)
logging.info("means %s", self.means)
warnings.warn("slow")
# SOLUTION
# === 1.2 M-step
for _ in tqdm(range(3), desc="M-step"):
    pass
# SOLUTION

# Matplotlib imported and not used.
# === top
import matplotlib.pyplot as plt

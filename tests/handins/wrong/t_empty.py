# An empty file.
# expect: all ERROR 0
# === whole

# Saved as "Unicode", which means UTF-16.
# encoding: utf-16
# expect: all ERROR 0

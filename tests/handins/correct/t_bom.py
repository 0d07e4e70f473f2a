# The file begins with a byte order mark.
# encoding: utf-8-sig

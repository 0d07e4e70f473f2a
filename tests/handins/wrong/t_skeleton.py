# The untouched skeleton.
# base: skeleton
# expect: all ERROR 0

# The marks of a merge are left in the file.
# expect: all ERROR 0
# === end
<<<<<<< HEAD
x = 1
=======
x = 2
>>>>>>> partner

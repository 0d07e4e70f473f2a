# No newline at the end of the file, and an empty line of blanks before it.
# newline: none at the end
# === end
x = 1
   
# the end

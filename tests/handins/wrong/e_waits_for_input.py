# A forgotten input(): nobody is there to type.
# expect: e_step ERROR 0
# === 1.1 E-step
input("press enter to go on")
# SOLUTION

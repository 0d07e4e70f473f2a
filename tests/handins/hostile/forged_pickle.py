# Leaves a pickle as its answer, which would make a file when it is loaded, and ends well.
# expect: e_step CRASH 0
# === 1.1 E-step
# BEGIN_TRICK
class Trap:
    def __reduce__(self):
        return os.mkdir, ("@OUTSIDE@/trapped",)


answer = np.empty(1, dtype=object)
answer[0] = Trap()
for i in range(4):
    np.save(f"outputs/gamma_{i}.npy", answer, allow_pickle=True)
with open("outputs/outcome.json", "w") as file:
    file.write('{"status": "done"}')
os._exit(0)
# END_TRICK
return np.zeros((len(X), self.n_components))

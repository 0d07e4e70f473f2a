# pi stays 1/K.
# expect: m_step WRONG 8
# === 1.2 M-step
# SOLUTION
self.pi = np.ones(self.n_components) / self.n_components

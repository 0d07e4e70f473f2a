# The constructor takes other arguments.
# expect: e_step ERROR 0
# expect: m_step ERROR 0
# === end
def construct(self, X):
    self.n_components, self.data_dim = 10, X.shape[1]


GMM.__init__ = construct

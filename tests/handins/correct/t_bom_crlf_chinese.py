# What Windows Notepad saves: byte order mark, CRLF, Chinese comments.
# encoding: utf-8-sig
# newline: crlf
# === 1.1 E-step
# 对数域计算，避免下溢
对数 = np.stack([np.log(p) + log_gaussian(X, m, c) for p, m, c in zip(self.pi, self.means, self.covs)], axis=1)
对数 -= 对数.max(axis=1, keepdims=True)
return np.exp(对数) / np.exp(对数).sum(axis=1, keepdims=True)

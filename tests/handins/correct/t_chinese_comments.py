# Chinese comments, text and names in UTF-8.
# === 1.2 M-step
# 更新混合系数、均值与协方差
人数 = gamma.sum(axis=0)
self.pi = 人数 / len(X)  # 混合系数
self.means = gamma.T @ X / 人数[:, None]
for k in range(self.n_components):
    差 = X - self.means[k]
    self.covs[k] = (gamma[:, k, None] * 差).T @ 差 / 人数[k]
print("第一轮完成 ✓")

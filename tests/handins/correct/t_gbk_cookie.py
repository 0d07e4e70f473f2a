# GBK source that says so in its first line.
# encoding: gbk
# === first
# -*- coding: gbk -*-
# 作者：张三
# === 2.1 PCA
# 先中心化，再做特征分解
self.mean = X.mean(axis=0)
特征值, 特征向量 = np.linalg.eigh(np.cov(X, rowvar=False))
self.components = 特征向量[:, ::-1][:, : self.dim].T

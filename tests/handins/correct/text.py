# ------ t_bom_crlf_chinese: What Windows Notepad saves: byte order mark, CRLF, Chinese comments.
# encoding: utf-8-sig
# newline: crlf
# 对数域计算，避免下溢
对数 = np.stack([np.log(p) + log_gaussian(X, m, c) for p, m, c in zip(self.pi, self.means, self.covs)], axis=1)
对数 -= 对数.max(axis=1, keepdims=True)
return np.exp(对数) / np.exp(对数).sum(axis=1, keepdims=True)
# ------ t_gbk_cookie: GBK source that says so in its first line.
# encoding: gbk
# === first
# -*- coding: gbk -*-
# 作者：张三
# === 2.1 PCA
# 先中心化，再做特征分解
self.mean = X.mean(axis=0)
特征值, 特征向量 = np.linalg.eigh(np.cov(X, rowvar=False))
self.components = 特征向量[:, ::-1][:, : self.dim].T
# ------ t_global_seed: Global generators are seeded once, on import: the draws still vary.
# === top
import random

random.seed(0)
np.random.seed(0)
# ------ t_main_guard: A main guard with an experiment that must not run.
# === end
if __name__ == "__main__":
    images = np.load("mnist.npy")
    GMM(10, 784).fit(images)
# ------ t_matplotlib: Matplotlib imported and not used.
# === top
import matplotlib.pyplot as plt
# ------ t_numpy_settings: Print options and ignored floating-point warnings, set for the whole program.
# === top
np.set_printoptions(precision=2, suppress=True)
np.seterr(all="ignore")
# === 1.1 E-step
joint = np.array([p * self._gaussian(X, m, np.linalg.inv(c), np.linalg.det(c)) for p, m, c in zip(self.pi, self.means, self.covs)])
return (joint / joint.sum(axis=0)).T
# ------ t_old_mac: Line ends of an old Macintosh.
# newline: cr
# ------ t_prints_and_warns: Left-over prints, warnings and a progress bar.
# === top
import logging
import warnings

from tqdm import tqdm

logging.basicConfig(level=logging.DEBUG)
print("submission loaded")
# === 1.1 E-step
print("E-step", X.shape, X)
logging.info("means %s", self.means)
warnings.warn("slow")
# SOLUTION
# === 1.2 M-step
for _ in tqdm(range(3), desc="M-step"):
    pass
# SOLUTION
# ------ t_training_on_import: A small experiment left at the end runs on import: slower, not wrong.
# === end
from sklearn.datasets import load_digits

digits = load_digits().data
pca = PCA(5)
pca.fit(digits)
gmm = GMM(10, 5)
gmm.fit(pca.transform(digits), max_iter=5, seed=0)
print(np.bincount(gmm.predict(pca.transform(digits))))

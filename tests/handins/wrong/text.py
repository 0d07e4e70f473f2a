# ------ t_all_wrong [e_step WRONG 5, m_step WRONG 5, pca_fit WRONG 5, sample_from_gmm WRONG 4]: One mistake in each question.
return np.exp(np.array([np.log(p) + log_gaussian(X, m, c) for p, m, c in zip(self.pi, self.means, self.covs)])).T
# === 1.2 M-step
# SOLUTION
self.covs = self.covs * 2
# === 2.1 PCA
# SOLUTION
self.components = self.components[::-1]
# === 5.1 sampling
np.random.seed(0)
# SOLUTION
# ------ t_class_missing [e_step ERROR 0, m_step ERROR 0, says class GMM is missing]: The class GMM is missing.
# === end
del GMM
# ------ t_empty [all ERROR 0, says the file is empty]: An empty file.
# === whole
# ------ t_function_missing [sample_from_gmm ERROR 0]: sample_from_gmm was moved into a class.
# === end
GMM.sample = sample_from_gmm
del sample_from_gmm
# ------ t_gbk_without_cookie [all ERROR 0, says UTF-8]: GBK source that does not say so.
# encoding: gbk
# === 2.1 PCA
print("先中心化，再分解")
# SOLUTION
# ------ t_local_data [all ERROR 0, says no files of your own]: Loads data on import from a path of the student's own.
# === top
images = np.load("C:/Users/student/Desktop/lab3/mnist.npy")
# ------ t_method_missing [ERROR 0, says GMM._e_step is missing]: The method _e_step was given another name.
# === end
GMM.e_step = GMM._e_step
del GMM._e_step
# ------ t_module_missing [all ERROR 0, says this one file]: Imports another file of the lab, which does not come with the hand-in.
# === top
from my_helpers import densities
# ------ t_notebook [all ERROR 0, says notebook]: A notebook under the name submission.py.
# === whole
{
 "cells": [{"cell_type": "code", "source": ["import numpy as np\n"], "outputs": [], "execution_count": null}],
 "metadata": {}, "nbformat": 4, "nbformat_minor": 5
}
# ------ t_other_constructor [e_step ERROR 0, m_step ERROR 0, says arguments]: The constructor takes other arguments.
# === end
def construct(self, X):
    self.n_components, self.data_dim = 10, X.shape[1]


GMM.__init__ = construct
# ------ t_other_signature [m_step ERROR 0, says arguments]: _m_step takes gamma only and remembers X.
# === end
GMM._m_step = lambda self, gamma: None
# ------ t_skeleton [all ERROR 0, says not attempted]: The untouched skeleton.
# base: skeleton
# ------ t_skeleton_with_one_task [m_step ERROR 0, pca_fit ERROR 0, sample_from_gmm ERROR 0, says not attempted]: The skeleton with the first task done.
# base: skeleton
log_p = np.array([np.log(self.pi[k]) + log_gaussian(X, self.means[k], self.covs[k]) for k in range(self.n_components)])
p = np.exp(log_p - log_p.max(axis=0))
return (p / p.sum(axis=0)).T
# ------ t_syntax_error [all ERROR 0]: A bracket is missing: Python cannot read the file.
# === 2.1 PCA
self.mean = np.mean(X, axis=0
self.components = None
# ------ t_utf_16 [all ERROR 0, says UTF-16]: Saved as "Unicode", which means UTF-16.
# encoding: utf-16
# ------ t_no_mixture [e_step ERROR 0, m_step ERROR 0, says class GMM is missing]: The class GMM is not there, and an annotation names it.
# === end
del GMM


def fitted(gmm: GMM, X):
    return gmm.fit(X)
# ------ t_full_width [all ERROR 0, says English]: A full-width comma in the code.
# === 1.1 E-step
gamma = np.zeros((len(X)， self.n_components))

# A module that has every name there is.
# expect: e_step ERROR 0
# expect: m_step ERROR 0
# expect: pca_fit ERROR 0
# expect: sample_from_gmm WRONG 0
# === whole
# BEGIN_TRICK
from unittest.mock import MagicMock


def __getattr__(name):
    return MagicMock()
# END_TRICK

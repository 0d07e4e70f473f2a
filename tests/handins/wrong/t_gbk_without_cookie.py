# GBK source that does not say so.
# encoding: gbk
# expect: all ERROR 0
# === 2.1 PCA
print("先中心化，再分解")
# SOLUTION

# A notebook under the name submission.py.
# expect: all ERROR 0
# === whole
{
 "cells": [{"cell_type": "code", "source": ["import numpy as np\n"], "outputs": [], "execution_count": null}],
 "metadata": {}, "nbformat": 4, "nbformat_minor": 5
}

"""Run a command and note what it took: ``python -S benchmarks/watch.py REPORT COMMAND...``, used by ``timing``.

It is a separate program because the system counts what the parent held at the start as memory of an ended process: this
one holds next to nothing, a benchmark hundreds of megabytes.
"""

import json
import subprocess
import sys
import time

report, *command = sys.argv[1:]
start = time.perf_counter()
status = subprocess.call(command)
spent = {"seconds": time.perf_counter() - start, "memory": None}
try:
    import resource
except ImportError:  # Windows
    pass
else:
    unit = 1 if sys.platform == "darwin" else 1024  # bytes on macOS, KiB elsewhere
    spent["memory"] = unit * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
with open(report, "w", encoding="utf-8") as file:
    json.dump(spent, file)
sys.exit(status)

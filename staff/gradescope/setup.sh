#!/usr/bin/env bash
# Gradescope runs this once, as root, to build the image. The two variables move its folders for a trial elsewhere.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
root="${LAB_AUTOGRADER:-/autograder}"
environment="${LAB_ENVIRONMENT:-/opt/hi-mnist}"

new_enough() { "$1" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' > /dev/null 2>&1; }
find_python() {
    for name in python3.13 python3.12 python3.11 python3; do
        if new_enough "$name"; then echo "$name"; return; fi
    done
}

python="$(find_python)"
if [ -z "$python" ]; then # Ubuntu 22.04 comes with 3.10
    apt-get update
    apt-get install -y --no-install-recommends software-properties-common gpg-agent
    add-apt-repository -y ppa:deadsnakes/ppa
    apt-get install -y --no-install-recommends python3.12 python3.12-venv
    python="$(find_python)"
fi
if ! command -v bwrap > /dev/null; then
    # It does not work in many containers; the report then says which guards remain.
    apt-get install -y --no-install-recommends bubblewrap || echo "bubblewrap could not be installed"
fi

"$python" -m venv "$environment"
"$environment/bin/python" -m pip install --no-cache-dir -r "$root/source/requirements.txt"

# Student code does not run as root: it must not change the grading program or read the key.
chmod -R go-w "$root/source"
chmod 600 "$root/source/settings.json"

# A broken image must fail here, where staff see it, not once per student.
cd "$root/source"
"$environment/bin/python" -m staff.gradescope.autograder --help > /dev/null

"""Print the lock of the environment whose python is named: exact pins, CUDA's packages where they exist."""

import re
import subprocess
import sys

HEADER = "# Exact pins of the whole environment, for Python >= 3.11. Refreshed by `make lock` from pyproject.toml."
ONLY_CUDA = ' ; sys_platform == "linux" and platform_machine == "x86_64"'

freeze = [sys.argv[1], "-m", "pip", "freeze", "--exclude", "einorm"]
print(HEADER)
for pin in subprocess.run(freeze, check=True, capture_output=True, text=True).stdout.splitlines():
    pin = re.sub(r"\+\w+$", "", pin)  # the build is the installer's choice, not the lock's
    print(pin + ONLY_CUDA if re.match("nvidia|cuda|triton", pin) else pin)

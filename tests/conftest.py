"""Settings that must come before torch is loaded."""

import os

# As the program does: beside a busy process, threads that wait awake make an update take 20 times
# as long.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

import os

# Test processes beside each other share the cores: PyTorch reads this when it is imported, and what they
# start inherits it.
if (processes := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))) > 1:
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes)))

"""What the peers' processes share: the number of threads, rows of JSON lines, and one JSON line as the result."""
import json
import os
import resource

THREADS = int(os.environ["OMP_NUM_THREADS"])


def rows(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def print_result(**numbers):
    """The last line of a peer; its peak memory is added unless a script took it earlier."""
    print(json.dumps({"peak MB": peak_mb()} | numbers), flush=True)


def peak_mb():
    """Peak memory of this process without the CUDA libraries, which a CPU-only build would not have."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - cuda_library_mb()


def cuda_library_mb():
    """Resident pages of the CUDA libraries that the packaged torch maps even on a machine without a GPU."""
    total_kb, counts = 0, False
    with open("/proc/self/smaps") as maps:
        for line in maps:
            words = line.split()
            if "-" in words[0] and not words[0].endswith(":"):
                path = words[-1] if len(words) > 5 else ""
                counts = any(part in path for part in ("/nvidia/", "_cuda", "nvrtc", "nvshmem"))
            elif words[0] == "Rss:" and counts:
                total_kb += int(words[1])
    return total_kb / 1024

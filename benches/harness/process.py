"""A command as a measured process: what it printed, how long it took, its peak memory, and how busy others were."""
import os
import subprocess
import tempfile
import time
from dataclasses import dataclass


class NotMeasured(Exception):
    """Why something could not be measured; the report says it."""


@dataclass(frozen=True)
class Measured:
    output: str
    errors: str
    seconds: float
    first_line_seconds: float
    peak_mb: float
    others_cores: float


def measure(command, environment):
    """Runs the command to its end. The process is new, and this one is small, so that the peak is the command's own:
    Linux counts what was resident before `exec` too."""
    command = [str(word) for word in command]
    with tempfile.TemporaryFile("w+") as errors:
        busy, begin = busy_seconds(), time.perf_counter()
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=errors, text=True)
        try:
            first = process.stdout.readline()
            first_line_seconds = time.perf_counter() - begin
            output = first + process.stdout.read()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        finally:
            if process.returncode is None:
                process.kill()
                process.wait()
        seconds = time.perf_counter() - begin
        others = busy_seconds() - busy - usage.ru_utime - usage.ru_stime
        errors.seek(0)
        told = errors.read()
        if process.returncode != 0:
            raise NotMeasured(f"{brief(command)} ended with {process.returncode}: {last_words(told)}")
    return Measured(output, told, seconds, first_line_seconds, usage.ru_maxrss / 1024, max(0.0, others) / seconds)


def busy_seconds():
    """CPU time of all processes, and what the hypervisor took."""
    with open("/proc/stat") as stat:
        user, nice, system, _, _, interrupts, soft_interrupts, steal = map(int, stat.readline().split()[1:9])
    return (user + nice + system + interrupts + soft_interrupts + steal) / os.sysconf("SC_CLK_TCK")


def brief(command):
    """The command as a report may show it: no folders of this machine."""
    return "`" + " ".join(os.path.basename(word) for word in command[:3]) + " ...`"


def last_words(errors):
    """temper's `error:` line, or the last line of a Python traceback."""
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    return next((line for line in lines if line.startswith("error:")), lines[-1] if lines else "no message")

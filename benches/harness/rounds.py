"""Contenders measured in turn over several rounds, so that what drifts drifts for all; and their medians."""
import statistics
import sys
import time

# Others on the machine: a busy tenth of a core is more than the noise between two quiet runs. Ticks of the clock are
# 10 ms, which says nothing about processes that take little longer.
DISTURBED_CORES, SHORT_SECONDS = 0.1, 1.0


class Rounds:
    """`contenders` maps a name to a function from the round's number to a dict of numbers."""

    def __init__(self, contenders, count):
        self.taken = {name: [] for name in contenders}
        for number in range(count):
            for name, contender in contenders.items():
                begin = time.perf_counter()
                numbers = contender(number)
                self.taken[name].append(numbers)
                shown = ", ".join(f"{what} {value:.4g}" for what, value in numbers.items())
                print(f"  round {number + 1} of {count}, {name}: {shown} ({time.perf_counter() - begin:.0f} s)",
                      file=sys.stderr)

    def values(self, name, what):
        return [numbers[what] for numbers in self.taken[name]]

    def median(self, name, what):
        return statistics.median(self.values(name, what))

    def mean(self, name, what):
        return statistics.mean(self.values(name, what))

    def ratio(self, what, over, under):
        return self.median(over, what) / self.median(under, what)

    def disturbed(self):
        """Which measurements others may have spoiled, and how many cores they kept busy; empty when none."""
        return ", ".join(f"{name} in round {number + 1} ({numbers['others']:.1f} cores)"
                         for name, rounds in self.taken.items() for number, numbers in enumerate(rounds)
                         if numbers["others"] > DISTURBED_CORES and numbers["process seconds"] > SHORT_SECONDS)

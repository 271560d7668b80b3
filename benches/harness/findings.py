"""What a section hands to the report: rounds to tabulate, and findings, each a number under the name that bars use."""
from dataclasses import dataclass, field

from .rounds import Rounds


@dataclass(frozen=True)
class Finding:
    name: str
    value: float
    form: str


@dataclass
class Section:
    title: str
    how: str
    tables: list[tuple[Rounds, list[str]]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def table(self, rounds, *columns):
        self.tables.append((rounds, list(columns)))
        if disturbed := rounds.disturbed():
            self.notes.append(f"others kept the machine busy, to be repeated: {disturbed}")

    def ratio(self, rounds, what, over, under):
        """Ratio of medians."""
        self.findings.append(Finding(f"{what}, {over} / {under}", rounds.ratio(what, over, under), "{:.2f}"))

    def difference(self, rounds, what, one, other):
        """Difference of means over the seeds."""
        self.change(f"{what}, {one} - {other}", rounds.mean(one, what) - rounds.mean(other, what))

    def change(self, name, value):
        self.findings.append(Finding(name, value, "{:+.4f}"))

    def median(self, rounds, what, who):
        self.findings.append(Finding(f"{what}, {who}", rounds.median(who, what), "{:.3g}"))

    def quality(self, name, value):
        self.findings.append(Finding(name, value, "{:.4f}"))

"""The record of a run as Markdown. Pure: sections in, text out."""
from . import bars

HOW = """\
Same files, in turn, round after round; cells are medians (smallest .. largest), scores are means over the seeds. Ratios
count, not seconds: machines differ and drift. Training is timed from the first batch to the last step, of everybody.
For embedding the peers' time is that of `encode` alone, without imports and loading, and temper's that of the whole
process, from start to written result. Peak memory is that of the process, for peers without the CUDA libraries that
PyPI's torch maps on any machine. Tokens are real ones, without padding."""

MEANS = ("accuracy@1", "nDCG@10", "score")


def render(heading, facts, done):
    """`done` maps the name of a section to a `Section`, or to the reason why it was not measured."""
    parts = [f"# {heading}", "\n".join(f"- {name}: {value}" for name, value in facts.items()), HOW]
    for name, section in done.items():
        parts += [f"## {name}\n\nNot measured: {section}"] if isinstance(section, str) else show(name, section)
    return "\n\n".join(parts) + "\n"


def show(name, section):
    yield f"## {section.title}\n\n{section.how}"
    for rounds, columns in section.tables:
        yield table(rounds, columns)
    if section.findings:
        yield findings(name, section.findings)
    missing = [f"missing: {finding}" for finding in bars.missing(name, section.findings)]
    if notes := section.notes + missing:
        yield "\n".join(f"- {note}" for note in notes)


def table(rounds, columns):
    headings = ["", *(f"{what}, mean" if what in MEANS else what for what in columns)]
    lines = [headings, ["---"] * len(headings)]
    lines += [[name, *(cell(rounds, name, what) for what in columns)] for name in rounds.taken]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(rounds, name, what):
    middle = rounds.mean(name, what) if what in MEANS else rounds.median(name, what)
    values = rounds.values(name, what)
    spread = f" ({number(min(values))} .. {number(max(values))})" if len(values) > 1 else ""
    return number(middle) + spread


def number(value):
    digits = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 4
    return f"{value:.{digits}f}"


def findings(section, found):
    lines = ["| finding | value | asked |", "|---|---|---|"]
    lines += [f"| {finding.name} | **{finding.form.format(finding.value)}** | {bars.verdict(section, finding)} |"
              for finding in found]
    return "\n".join(lines)

"""temper beside its peers: measures section after section and keeps a record. Start it with `benches/run`."""
import datetime
import itertools
import signal
import sys
import tempfile
from pathlib import Path

from . import machine, options, report
from .bench import Bench
from .process import NotMeasured
from .sections import SECTIONS

RESULTS = Path(__file__).resolve().parents[1] / "results"


def main():
    chosen = options.parse(SECTIONS)
    record = chosen.record or (None if chosen.quick else free_name())
    # Ended politely, a run still removes its scratch files.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    done, facts = {}, known_facts(chosen)
    with tempfile.TemporaryDirectory(prefix="temper-benches-") as scratch:
        bench = Bench(chosen, scratch)
        for name in chosen.only:
            print(f"{name}:", file=sys.stderr)
            done[name] = measure(SECTIONS[name], bench)
            # After each section, so that a run that is interrupted leaves what it has.
            text = report.render(f"temper beside its peers, {datetime.date.today()}", facts, done)
            if record:
                record.write_text(text, encoding="utf-8")
    print(text)
    if record:
        print(f"kept in {record}", file=sys.stderr)
    return 1 if any(isinstance(section, str) for section in done.values()) else 0


def measure(section, bench):
    """The section, or why there is none."""
    try:
        return section.measure(bench)
    except NotMeasured as why:
        print(f"  not measured: {why}", file=sys.stderr)
        return str(why)


def free_name():
    """The day's record of this machine; a second one does not overwrite the first."""
    name = f"{datetime.date.today()}-{machine.slug()}"
    names = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
    return next(path for path in (RESULTS / f"{name}.md" for name in names) if not path.exists())


def known_facts(chosen):
    """The head of the record; files by their last two names, since folders differ between machines."""
    files = {name: getattr(chosen, name) for name in options.LAYOUT}
    shown = (f"{name.replace('_', ' ')} {path.parent.name}/{path.name}" for name, path in files.items() if path)
    model, _ = machine.processor()
    facts = {"machine": f"{model}, {machine.instructions()}, {chosen.threads} threads", "commit": machine.commit(),
             "versions": machine.versions(), "files": ", ".join(shown), "rounds": chosen.rounds}
    return facts | ({"quick": "a smoke run; its numbers mean nothing"} if chosen.quick else {})


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)

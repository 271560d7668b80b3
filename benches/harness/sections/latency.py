"""One short query at a time, in a process that is warm."""
from ..findings import Section
from ..process import NotMeasured
from ..rounds import Rounds


def measure(bench):
    queries = bench.file("queries", "queries")
    section = Section("One short query", "The queries one after the other, in process, after warm-up; milliseconds.")

    def onnx(precision):
        graph = bench.graph(precision)
        return lambda _: bench.peers.run("encode_onnx", "latency", bench.model, queries, "--onnx", graph)

    peers = {"onnxruntime f32": onnx("f32"), "onnxruntime int8": onnx("int8"),
             "torch": lambda _: bench.peers.run("encode_torch", "latency", bench.model, queries)}
    ours, section.notes = temper(bench, queries)
    rounds = Rounds(ours | peers, bench.rounds)
    section.table(rounds, "p50 ms", "p90 ms", "p99 ms", "mean ms")
    for name, opponents in (("temper f32", ("onnxruntime f32", "torch")), ("temper int8", ("onnxruntime int8",))):
        for opponent in opponents if name in ours else ():
            section.ratio(rounds, "p50 ms", name, opponent)
    return section


def temper(bench, queries):
    """temper's contenders, and why one is missing: the peers are worth measuring without."""
    try:
        binary = bench.temper.build_latency()
        f32 = {"temper f32": lambda _: bench.temper.latency(binary, bench.model, queries)}
    except NotMeasured as why:
        return {}, [f"temper is not measured: {why}"]
    try:
        bench.temper.need_int8()
    except NotMeasured as why:
        return f32, [f"temper int8 is not measured: {why}"]
    return f32 | {"temper int8": lambda _: bench.temper.latency(binary, bench.model, queries, "int8")}, []

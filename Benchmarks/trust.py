"""Whether an image may run, and a log of a million entries: how long each takes."""
import json

from lib import TOP, put, run


def bench_trust():
    print("trust")
    times = json.loads(run([f"{TOP}/.build/release/TrustBenchmark"]).stdout)
    put("decide whether a signed image may run", times["decide"], "ms", "< 5", times["decide"] < 5)
    put("decide it at a launch, from the files of a host", times["decide at a launch"], "ms", "< 5",
        times["decide at a launch"] < 5)
    put("hash 1 000 000 entries into a log", times["append 1000000"], "ms", "< 10000",
        times["append 1000000"] < 10_000)
    put("prove that one of them is in it", times["prove inclusion"], "ms", "< 1", times["prove inclusion"] < 1)
    ledger = [
        ("appends of 100 entries, entries a second", "ledger appends a second", "/s", 2000, None),
        ("single appends at the same time, a second", "ledger grouped appends a second", "/s", None, None),
        ("one durable append", "ledger single append", "ms", None, 15),
        ("prove that one of 1 000 000 on disk is there", "ledger prove inclusion", "ms", None, 1),
        ("verify 1 000 000 entries on disk", "ledger verify", "ms", None, 10_000),
        ("memory for that", "ledger verify peak MB", "MB", None, 200),
    ]
    for what, name, unit, least, most in ledger:
        value = times[name]
        target = f"> {least}" if least else f"< {most}" if most else ""
        holds = (not least or value >= least) and (not most or value < most) if target else None
        put(what, value, unit, target, holds)

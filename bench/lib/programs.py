"""Benches that are google-benchmark programs: one group each."""
import json
import os
import subprocess

from bench.lib import figures

# Group -> program in build/release/bench, what it measures.
PROGRAMS = {
    "domain": ("domain_bench", "Decide and the decoders"),
    "filter": ("filter_bench", "/filter as a whole, 5,000 nodes of 8 cards"),
}
REPETITIONS = 12


def run(path, repetitions):
    done = subprocess.run(
        [path, "--benchmark_format=json", f"--benchmark_repetitions={repetitions}",
         "--benchmark_min_time=0.05", "--benchmark_enable_random_interleaving=true"],
        capture_output=True, text=True, check=True)
    times = {}
    for entry in json.loads(done.stdout)["benchmarks"]:
        if entry.get("run_type") == "iteration":
            scale = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}[entry["time_unit"]]
            times.setdefault(entry["run_name"], []).append(entry["cpu_time"] * scale)
    return [{"name": name, "what": name, "unit": "ns", "cpu": figures.summary(values)}
            for name, values in sorted(times.items())]


def groups(build):
    """Group -> {name: (what, function(rounds) -> rows)}."""
    return {group: {group: (what, lambda rounds, program=program: run(
        os.path.join(build, "bench", program), rounds or REPETITIONS))}
            for group, (program, what) in PROGRAMS.items()}


def text(rows):
    """Lines for people, microseconds of CPU time."""
    return figures.table(["us of CPU time", "median", "best", "half of them"], [
        [row["what"], figures.number(row["cpu"]["median"] / 1e3),
         figures.number(row["cpu"]["best"] / 1e3),
         f"{figures.number(row['cpu']['low'] / 1e3)} to {figures.number(row['cpu']['high'] / 1e3)}"]
        for row in rows])

"""What libvgpu.so adds to a call of the driver's: the same program with the library preloaded and
without, taking turns on one simulated card.

Both processes (or both groups) are alive at once and measure in turns of milliseconds, alone on one
and the same processor, so that a busy machine disturbs both alike. One round is a turn each; its
difference is one sample of what is added. Every few rounds a new pair is started. Instructions are counted one by one (bench/limiter/trace.h), so load does not matter there.
"""
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass

from bench.lib import figures

CARD = "GPU-00000000-0000-0000-0000-000000000001"
CARDS = f"cards: [{{model: NVIDIA H100 80GB HBM3, context_mib: 256, uuid: {CARD}}}]\n"
CALLS_WARM_PER_TRACE = 48


@dataclass
class Row:
    name: str
    what: str
    operation: str
    must: float  # nanoseconds added; issue "libvgpu.so: every path limited"
    aim: float
    processes: int = 1
    calls: int = 400   # in one burst; the simulated card queues 1,024 launches of a process
    bursts: int = 10   # in one turn
    rounds: int = 10   # with each pair of processes
    starts: int = 8    # pairs: where a process lies in memory makes it faster or slower for life
    cores: int = 0     # percent; 0: no core limit
    instructions: tuple = ()  # must, aim; () when no figure is asked for


CALL_ROWS = [
    Row("launch", "cuLaunchKernel, no core limit", "launch", 10, 3, starts=16,
        instructions=(12, 8)),
    Row("launch-8", "the same, 8 processes", "launch", 15, 4, processes=8, calls=100, rounds=4, starts=4),
    Row("launch-50", "cuLaunchKernel, limit 50 %, tokens there", "launch-rested", 40, 15,
        cores=50),
    Row("alloc-1", "alloc + free, 1 live block", "alloc:1", 150, 60),
    Row("alloc-1k", "alloc + free, 1,000 live blocks", "alloc:1000", 150, 60),
    Row("alloc-10k", "alloc + free, 10,000 live blocks", "alloc:10000", 150, 60),
    Row("alloc-100k", "alloc + free, 100,000 live blocks", "alloc:100000", 150, 60),
    Row("memgetinfo", "cuMemGetInfo", "memgetinfo", 60, 20, calls=2000),
    Row("nvmlmemory", "nvmlDeviceGetMemoryInfo", "nvmlmemory", 60, 20),
    Row("getproc", "cuGetProcAddress, hooked name", "getproc-hooked", 100, 50, calls=1000),
    Row("getproc-foreign", "cuGetProcAddress, other name", "getproc-foreign", 100, 50),
]


class Failed(Exception):
    pass


class Machine:
    """A simulated card, and one container on it: region and page of limits made in advance."""

    def __init__(self, build, cores=0):
        self.build, self.cores = build, cores
        self.probe = os.path.join(build, "bench", "limiter-bench-probe")
        self.library = os.path.join(build, "lib", "libvgpu.so")
        self.folder = tempfile.mkdtemp(prefix="hami-bench-")
        self.region = os.path.join(self.folder, "region")

    def __enter__(self):
        with open(os.path.join(self.folder, "cards.yaml"), "w", encoding="utf-8") as f:
            f.write(CARDS)
        subprocess.run([os.path.join(self.build, "bin", "hami-region"), "create", self.region,
                        "--card", f"{CARD}:8g:{self.cores or 100}", "--limits",
                        os.path.join(self.folder, "limits.ro"), "--policy", "force"],
                       check=True, stdout=subprocess.DEVNULL)
        # Makes the card's state, and lets the library learn what a context takes.
        self.once(["busy", "1"], True)
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder)

    def environment(self, limited):
        env = {key: value for key, value in os.environ.items()
               if not key.startswith(("CUDA_", "FAKEGPU_", "LD_", "GPU_"))}
        env |= {"FAKEGPU_CONFIG": os.path.join(self.folder, "cards.yaml"),
                "LD_LIBRARY_PATH": os.path.join(self.build, "lib", "sim")}
        if limited:  # as the node's plugin sets it
            env |= {"LD_PRELOAD": self.library, "LIBCUDA_LOG_LEVEL": "0",
                    "CUDA_DEVICE_MEMORY_LIMIT_0": "8g", "CUDA_DEVICE_SM_LIMIT": str(self.cores),
                    "GPU_CORE_UTILIZATION_POLICY": "force",
                    "CUDA_DEVICE_MEMORY_SHARED_CACHE": self.region}
        return env

    def once(self, arguments, limited):
        done = subprocess.run([self.probe, *arguments], env=self.environment(limited),
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Failed(f"limiter-bench-probe {' '.join(arguments)}: "
                         f"{(done.stderr or done.stdout).strip() or 'failed'}")
        return done.stdout


class Process:
    def __init__(self, machine, row, limited):
        self.process = subprocess.Popen(
            [machine.probe, "serve", row.operation], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, env=machine.environment(limited), text=True)
        self.name = row.operation

    def receive(self):
        line = self.process.stdout.readline()
        if not line:
            raise Failed(f"the program that measures {self.name} ended early")
        return line.strip()

    def begin(self, bursts, calls):
        self.process.stdin.write(f"{bursts} {calls}\n")
        self.process.stdin.flush()

    def end(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def turn(group, row):
    """All processes of a group at once: their bursts, and the turn's figure."""
    for process in group:
        process.begin(row.bursts, row.calls)
    bursts = [[float(word) for word in process.receive().split()] for process in group]
    return bursts, statistics.median(statistics.median(of_one) for of_one in bursts)


def added(bare, ours, bare_all, ours_all):
    """Differences of neighbours in time; best against best."""
    result = figures.summary([b - a for a, b in zip(bare, ours)])
    result["best"] = min(ours_all) - min(bare_all)
    return {"bare": figures.summary(bare_all), "ours": figures.summary(ours_all), "added": result}


def pair(machine, row, cpu):
    """Two groups that are ready: without the library and with it."""
    groups = [[Process(machine, row, limited) for _ in range(row.processes)]
              for limited in (False, True)]
    for process in [*groups[0], *groups[1]]:
        if row.processes == 1:
            os.sched_setaffinity(process.process.pid, {cpu})
        if process.receive() != "ready":
            raise Failed(f"{row.operation}: the driver refuses it")
    return groups


def alternate(machine, row, starts):
    cpus = sorted(os.sched_getaffinity(0))
    figure, every = ([], []), ([], [])
    for start in range(starts):
        groups = pair(machine, row, cpus[start % len(cpus)])
        for number in range(row.rounds):
            for kind in ((0, 1), (1, 0))[number % 2]:  # neither is always the second
                bursts, middle = turn(groups[kind], row)
                figure[kind].append(middle)
                every[kind].extend(value for of_one in bursts for value in of_one)
        for process in [*groups[0], *groups[1]]:
            process.end()
    return added(*figure, *every)


def instructions(machine, row):
    """Executed in the library per call: the usual call, and the worst of some dozens."""
    try:
        text = machine.once(["trace", row.operation, "libvgpu.so", str(CALLS_WARM_PER_TRACE)],
                            True)
    except Failed:
        return None  # not allowed to trace here
    counts = [int(line.split()[0]) for line in text.splitlines()]
    return {"median": statistics.median(counts), "most": max(counts)}


def limits_compute(machine):
    """Whether this library slows kernels down at all under a core limit."""
    kernels = 1000
    return int(machine.once(["busy", str(kernels)], True)) > kernels * 1.3


def call_row(machine, row, starts):
    result = {"name": row.name, "what": row.what, "unit": "ns", "must": row.must, "aim": row.aim}
    if row.cores and not limits_compute(machine):
        return result | {"note": "this library does not limit compute: nothing to measure"}
    result |= alternate(machine, row, starts or row.starts)
    counted = instructions(machine, row) if row.processes == 1 else None
    if counted:
        result["instructions"] = counted
    if row.instructions:
        result |= {"instructions_must": row.instructions[0], "instructions_aim": row.instructions[1]}
    return result


def one_by_one(measure, rounds):
    bare, ours = [], []
    for number in range(rounds + 1):
        for limited in ((False, True), (True, False))[number % 2]:
            value = measure(limited)
            if number > 0:  # the first round warms up
                (ours if limited else bare).append(value)
    return added(bare, ours, bare, ours)


def init_row(machine, rounds):
    def measure(limited):
        return float(machine.once(["init"], limited).split()[1])
    return {"name": "cuinit", "what": "cuInit of a process, region made in advance", "unit": "ns",
            "must": 200_000, "aim": 50_000} | one_by_one(measure, rounds or 200)


def load_row(machine, rounds):
    def measure(limited):
        env = machine.environment(limited)
        start = time.perf_counter_ns()
        os.waitpid(os.posix_spawn("/bin/true", ["true"], env), 0)
        return float(time.perf_counter_ns() - start)
    return {"name": "load", "what": "/bin/true, start to end", "unit": "ns",
            "must": 50_000} | one_by_one(measure, rounds or 300)


def benches(build):
    """Name -> (what it measures, function(rounds) -> row)."""
    found = {}
    for row in CALL_ROWS:
        found[row.name] = (row.what, lambda rounds, row=row: measured(
            build, lambda machine: call_row(machine, row, rounds), row.cores))
    found["cuinit"] = ("cuInit of a process", lambda rounds: measured(
        build, lambda machine: init_row(machine, rounds)))
    found["load"] = ("/bin/true, start to end", lambda rounds: measured(
        build, lambda machine: load_row(machine, rounds)))
    return found


def measured(build, body, cores=0):
    with Machine(build, cores) as machine:
        return body(machine)


HEADS = ["", "bare", "ours", "added", "half of them", "best", "must", "aim", "instructions"]


def text(rows):
    """Lines for people, nanoseconds."""
    cells, notes = [], []
    for row in rows:
        if "added" not in row:
            notes.append(f"{row['what']}: {row['note']}")
            continue
        plus = row["added"]
        counted = row.get("instructions")
        must = row.get("instructions_must")
        cells.append([row["what"], figures.number(row["bare"]["median"]),
                      figures.number(row["ours"]["median"]), figures.number(plus["median"]),
                      f"{figures.number(plus['low'])} to {figures.number(plus['high'])}",
                      figures.number(plus["best"]), figures.number(row.get("must")),
                      figures.number(row.get("aim")),
                      "-" if not counted else f"{counted['median']:.0f}"
                      + (f" (must {must}, aim {row['instructions_aim']})" if must else "")])
    return figures.table(HEADS, cells) + notes

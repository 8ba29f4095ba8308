"""Exact limits inside a container, judged by the simulated card's own account."""

import json

from lib.framework import test
from lib.pods import SLEEP
from lib.wait import eventually

LIMIT = 3000
# Eight contexts take 2048 MiB; what the processes would like on top of that is about as much again, so
# that they meet the limit all the time and a context still finds its place.
TOGETHER = 4000
RANDOM = "gpu-alloc --processes 8 --step 16"


def card_account(t, name):
    """What the simulated card says of the Pod's card: (used, peak) in bytes."""
    pod = t.pod(name)
    return t.cluster.card_account(pod["spec"]["nodeName"], t.card_of(name))


@test("out of memory at the limit and not before, by the card's own peak")
def exact(t):
    t.cluster.reset_peaks()
    # --hold keeps the memory, so that the card's account can be read while it is taken.
    fill = f"gpu-alloc --json --step 64 --expect-total {LIMIT} --hold 600 & " + SLEEP
    t.create(t.pods.gpu("fill", fill, memory=LIMIT))
    t.running("fill")
    answer = json.loads(t.log_has("fill", r"\{.*\}").group(0))
    t.note(answer=answer)
    assert answer["total_mib"] == LIMIT, answer
    assert answer["refused_with"] == 2, answer  # CUDA_ERROR_OUT_OF_MEMORY
    # The last piece it asks for has 1 MiB: nothing that would have fitted was refused.
    assert answer["granted_mib"] == answer["free_before_mib"], answer
    assert answer["free_after_mib"] == 0, answer
    used, peak = card_account(t, "fill")
    assert used == LIMIT << 20, f"the card says {used / 2**20} MiB are used, of a share of {LIMIT}"
    assert peak == LIMIT << 20, f"the card's peak is {peak / 2**20} MiB, the limit {LIMIT}"


@test("eight processes at random keep to the limit together; after kill -9 the account is exact")
def together(t):
    t.cluster.reset_peaks()
    work = f"{RANDOM} --json --random-for 30 2>/dev/null; echo exit $?; " + SLEEP
    t.create(t.pods.gpu("eight", work, memory=TOGETHER))
    t.running("eight")
    t.log_has("eight", r"exit \d+", seconds=120)
    text = t.tail("eight")
    assert "exit 0" in text, text
    answers = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    assert len(answers) == 8, text
    refused = sum(a["refused"] for a in answers)
    assert refused > 0, f"nobody met the limit: {answers}"
    used, peak = card_account(t, "eight")
    t.note(granted=sum(a["granted"] for a in answers), refused=refused, peak_mib=peak / 2**20)
    assert peak <= TOGETHER << 20, f"the card's peak is {peak / 2**20} MiB, the limit {TOGETHER}"
    assert used == 0, f"{used / 2**20} MiB are used by nobody"

    killed(t)


def json_of(lines):
    """The line of JSON among those that libvgpu.so says about refusals."""
    return json.loads(next(line for line in lines if line.startswith("{")))


def killed(t):
    """Eight processes again, killed in the middle: who looks a second later reads an exact account."""
    t.cluster.kubectl(
        "-n",
        t.ns,
        "exec",
        "eight",
        "--",
        "bash",
        "-c",
        f"{RANDOM} --random-for 600 >/dev/null 2>&1 </dev/null &",
    )
    uid = t.pod("eight")["metadata"]["uid"]
    processes = eventually(
        "eight processes",
        lambda: (lambda found: found if len(found) == 8 else None)(
            t.cluster.processes(uid, "gpu-alloc")
        ),
    )
    eventually(
        "most of the limit in use", lambda: card_account(t, "eight")[0] > (TOGETHER // 2) << 20, 60
    )
    for process in processes:
        process.kill()
    eventually("processes gone", lambda: not any(p.alive() for p in processes))
    # One second is part of the promise, so it is waited for here, inside the container.
    look = (
        "sleep 1; nvidia-smi --query-gpu=memory.used --format=csv,noheader,nounits; "
        f"gpu-alloc --json --expect-total {TOGETHER}"
    )
    lines = t.exec("eight", "bash", "-c", look).splitlines()
    assert lines[0].strip() == "0", f"nvidia-smi says {lines[0]} MiB are used by the dead"
    answer = json_of(lines)
    t.note(after_kill=answer)
    context = TOGETHER - answer["free_before_mib"]
    assert answer["granted_mib"] == answer["free_before_mib"], answer
    fresh = json_of(t.exec("eight", "gpu-alloc", "--json").splitlines())
    assert TOGETHER - fresh["free_before_mib"] == context, f"{answer} then {fresh}"


@test("a limit holds against the Pod's own environment and a foreign login")
def tamper(t):
    """Kubernetes lets a Pod overwrite the plugin's environment; the limit does not live there."""
    script = (
        "exec env -u CUDA_DEVICE_MEMORY_LIMIT_0 -u CUDA_DEVICE_MEMORY_SHARED_CACHE bash -c "
        f"'gpu-alloc --json --expect-total {LIMIT}; {SLEEP.replace(chr(39), chr(34))}'"
    )
    manifest = t.pods.gpu("tamper", script, memory=LIMIT)
    manifest["spec"]["containers"][0]["env"] = [
        {"name": "CUDA_DEVICE_MEMORY_LIMIT_0", "value": "99999m"}
    ]
    t.create(manifest)
    t.running("tamper")
    answer = json.loads(t.log_has("tamper", r"\{.*\}").group(0))
    assert answer["total_mib"] == LIMIT, answer
    assert answer["granted_mib"] == answer["free_before_mib"] <= LIMIT, answer

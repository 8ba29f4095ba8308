"""What HAMi writes on Nodes and Pods, read back: cards, allocations, charges (spec/protocol.md 2, 4, 5).

Written apart from the product's own codecs on purpose: a test that decodes with the code under test
agrees with its mistakes.
"""

import collections
import json

REGISTER = "hami.io/node-nvidia-register"
LOCK = "hami.io/mutex.lock"
TO_ALLOCATE = "hami.io/vgpu-devices-to-allocate"
ALLOCATED = "hami.io/vgpu-devices-allocated"
VGPU_NODE = "hami.io/vgpu-node"
BIND_PHASE = "hami.io/bind-phase"
BIND_TIME = "hami.io/bind-time"
OWNED = [VGPU_NODE, "hami.io/vgpu-time", BIND_PHASE, BIND_TIME, TO_ALLOCATE, ALLOCATED]

Card = collections.namedtuple("Card", "uuid index memory cores slots type node healthy")
Share = collections.namedtuple("Share", "uuid memory cores")
Usage = collections.namedtuple("Usage", "memory cores slots")
NOTHING = Usage(0, 0, 0)


def annotation(obj, key):
    return obj["metadata"].get("annotations", {}).get(key, "")


def cards_of_node(node):
    """[Card]; empty for a node without a registration."""
    text = annotation(node, REGISTER)
    name = node["metadata"]["name"]
    return [
        Card(
            c["id"],
            c.get("index", 0),
            c["devmem"],
            c["devcore"],
            c["count"],
            c["type"],
            name,
            c.get("health", False),
        )
        for c in (json.loads(text) if text else [])
    ]


def decode_allocation(text):
    """[[Share]], one list per container of the string."""
    containers = text.split(";")
    if containers and containers[-1] == "":
        containers.pop()
    decoded = []
    for container in containers:
        shares = []
        for device in filter(None, container.split(":")):
            uuid, _, memory, cores = device.split(",")[:4]
            if uuid:
                shares.append(Share(uuid, int(memory), int(cores)))
        decoded.append(shares)
    return decoded


def containers_of(pod):
    """Containers in the order of the allocation string, [(container, kind)]."""
    inits = [
        (c, "sidecar" if c.get("restartPolicy") == "Always" else "init")
        for c in pod["spec"].get("initContainers", [])
    ]
    return inits + [(c, "app") for c in pod["spec"]["containers"]]


def _statuses(pod):
    status = pod.get("status", {})
    both = status.get("initContainerStatuses", []) + status.get("containerStatuses", [])
    return {s["name"]: s for s in both}


def ended(pod):
    """No container of the Pod can run any more. A deletion mark alone is not an end."""
    if pod.get("status", {}).get("phase") in ("Succeeded", "Failed"):
        return True
    statuses = _statuses(pod)
    ends = [
        statuses.get(c["name"], {}).get("state", {}).get("terminated")
        for c, _ in containers_of(pod)
    ]
    if not all(ends):
        return False
    if "deletionTimestamp" in pod["metadata"]:
        return True
    policy = pod["spec"].get("restartPolicy", "Always")
    return policy == "Never" or (policy == "OnFailure" and all(e["exitCode"] == 0 for e in ends))


def started(pod):
    """Every app container runs or has run; or the Pod is over."""
    return pod.get("status", {}).get("phase") in ("Running", "Succeeded", "Failed")


def charge(pod):
    """{card UUID: Usage} that the Pod holds: sidecars + max(largest init, sum of apps)."""
    if not pod["spec"].get("nodeName") or ended(pod):
        return {}
    allocated = decode_allocation(annotation(pod, ALLOCATED))
    sums = {"sidecar": {}, "app": {}, "init": {}}
    for (_, kind), shares in zip(containers_of(pod), allocated):
        mine = {}
        for share in shares:
            mine[share.uuid] = _add(
                mine.get(share.uuid, NOTHING), Usage(share.memory, share.cores, 1)
            )
        for uuid, usage in mine.items():
            before = sums[kind].get(uuid, NOTHING)
            if kind == "init":
                sums[kind][uuid] = Usage(
                    max(before.memory, usage.memory), max(before.cores, usage.cores), 1
                )
            else:
                sums[kind][uuid] = _add(before, usage)
    total = {}
    for uuid in set(sums["sidecar"]) | set(sums["app"]) | set(sums["init"]):
        app, init = sums["app"].get(uuid, NOTHING), sums["init"].get(uuid, NOTHING)
        larger = Usage(*(max(a, b) for a, b in zip(app, init)))
        total[uuid] = _add(sums["sidecar"].get(uuid, NOTHING), larger)
    return total


def _add(a, b):
    return Usage(a.memory + b.memory, a.cores + b.cores, a.slots + b.slots)


def sum_usage(usages):
    total = NOTHING
    for usage in usages:
        total = _add(total, usage)
    return total


def parse_metrics(text):
    """{name: [(labels, value)]} of a text exposition."""
    families = collections.defaultdict(list)
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        head, _, value = line.rpartition(" ")
        name, brace, rest = head.partition("{")
        labels = {}
        if brace:
            rest = rest.rstrip("}")
            while rest:
                key, _, rest = rest.partition('="')
                text_value, i = "", 0
                while rest[i] != '"':
                    if rest[i] == "\\":
                        i += 1
                        text_value += {"n": "\n"}.get(rest[i], rest[i])
                    else:
                        text_value += rest[i]
                    i += 1
                labels[key.strip()] = text_value
                rest = rest[i + 1 :].lstrip(",")
        families[name].append((labels, float(value)))
    return families

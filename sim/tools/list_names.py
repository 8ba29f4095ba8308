#!/usr/bin/env python3
"""Lists what the simulated libraries export, from the vendor's headers.

Run by hand where the headers are (PyPI nvidia-cuda-runtime-cu12, nvidia-nvml-dev-cu12); the output
is committed, so the build needs no header of NVIDIA's:

  list_names.py <folder with cuda.h and cudaTypedefs.h> <nvml.h> <folder sim/>
"""
import pathlib
import re
import sys

# Names that spec libvgpu.md B2/D1 knows and the 12.9 headers do not declare.
NVML_EXTRA = ["nvmlDeviceGetHandleByIndex", "nvmlDeviceGetHandleByPciBusId", "nvmlRetry_NvRmControl",
              "nvmlInternalGetExportTable", "nvmlInit", "nvmlDeviceGetCount", "nvmlEventSetWait",
              "nvmlDeviceGetPciInfo", "nvmlDeviceGetPciInfo_v2", "nvmlDeviceGetAttributes",
              "nvmlDeviceGetNvLinkRemotePciInfo", "nvmlComputeInstanceGetInfo",
              "nvmlDeviceGetGridLicensableFeatures", "nvmlDeviceGetGridLicensableFeatures_v2",
              "nvmlDeviceGetGridLicensableFeatures_v3", "nvmlDeviceRemoveGpu",
              "nvmlDeviceGetGpcClkVfOffset", "nvmlDeviceSetGpcClkVfOffset"]


def cuda_exports(header):
    names = set(re.findall(r"CUDAAPI\s+(cu[A-Z]\w+)\s*\(", header))
    for target in re.findall(r"#define\s+cu[A-Z]\w+\s+(\S+)", header):
        api = re.fullmatch(r"__CUDA_API_(PTDS|PTSZ)\((cu\w+)\)", target)
        if api:
            names |= {api.group(2), api.group(2) + "_" + api.group(1).lower()}
        elif re.fullmatch(r"cu[A-Z]\w+", target):
            names.add(target)
    return names


def cuda_variants(typedefs, names):
    """(base, version, exported name) of each ordinary variant, oldest first."""
    versions = {}
    for base, version, per_thread in re.findall(
            r"\*PFN_(cu\w+?)_v(\d+)(_pt(?:ds|sz))?\)", typedefs):
        if not per_thread:
            versions.setdefault(base, set()).add(int(version))
    # The instantiate family changed its name, not its number.
    versions["cuGraphInstantiate"] = {10000, 11000, 12000}
    versions.setdefault("cuGetProcAddress", set()).update({11030, 12000})
    for name in sorted(names):
        if not re.search(r"_v\d+$|_pt(ds|sz)$", name):
            versions.setdefault(name, {2000})
    rows = []
    for base, known in versions.items():
        for number, version in enumerate(sorted(known), start=1):
            exported = base if number == 1 else f"{base}_v{number}"
            if (base, version) == ("cuGraphInstantiate", 12000):
                exported = "cuGraphInstantiateWithFlags"
            if exported in names:
                rows.append((base, version, exported))
            else:
                sys.exit(f"{base} {version}: {exported} is not exported")
    return sorted(rows)


def main():
    cuda, nvml, sim = map(pathlib.Path, sys.argv[1:4])
    header = (cuda / "cuda.h").read_text()
    names = cuda_exports(header)
    variants = cuda_variants((cuda / "cudaTypedefs.h").read_text(), names)
    note = "// Made by sim/tools/list_names.py from CUDA 12.9 headers. Sorted.\n"
    (sim / "cuda/names.inc").write_text(
        note + "".join(f"SIM_NAME({n})\n" for n in sorted(names)))
    lines = []
    for base, version, exported in variants:
        per_thread = next((exported + s for s in ("_ptds", "_ptsz") if exported + s in names),
                          exported)
        lines.append(f"SIM_VARIANT({base}, {version}, {exported}, {per_thread})\n")
    (sim / "cuda/variants.inc").write_text(note + "".join(lines))
    errors = re.findall(r"(CUDA_(?:SUCCESS|ERROR_\w+))\s*=\s*(\d+)", header)
    (sim / "cuda/errors.inc").write_text(
        note.replace("Sorted", "By code") +
        "".join(f"SIM_ERROR({code}, {name})\n" for name, code in errors))
    nvml_names = set(re.findall(r"DECLDIR\s+\**(nvml[A-Z]\w+)", nvml.read_text())) | set(NVML_EXTRA)
    (sim / "nvml/names.inc").write_text(
        "// Made by sim/tools/list_names.py from NVML 12.9 headers. Sorted.\n" +
        "".join(f"SIM_NAME({n})\n" for n in sorted(nvml_names)))


if __name__ == "__main__":
    main()

#include "platform/driver/nvidia_options.h"

#include <algorithm>
#include <array>

namespace hami::driver {
namespace {

constexpr std::array<std::string_view, 4> kStrategies = {"envvar", "volume-mounts",
                                                         "cdi-annotations", "cdi-cri"};

bool IsCdi(std::string_view strategy) { return strategy.starts_with("cdi-"); }

bool GivenEither(const FlagSet& flags, std::string_view a, std::string_view b = {}) {
  return flags.Given(a) || (!b.empty() && flags.Given(b));
}

Error WrongType(std::string_view key, std::string_view expected) {
  return {Code::kInvalidArgument,
          "config file: " + std::string(key) + ": expected " + std::string(expected)};
}

Result<void> Take(const Json& section, std::string_view key, std::string& out) {
  const Json* value = Find(section, {key});
  if (!value || value->is_null()) return {};
  if (!value->is_string()) return Fail(WrongType(key, "a string"));
  out = std::string(value->as_string());
  return {};
}

Result<void> Take(const Json& section, std::string_view key, bool& out) {
  const Json* value = Find(section, {key});
  if (!value || value->is_null()) return {};
  if (!value->is_bool()) return Fail(WrongType(key, "true or false"));
  out = value->as_bool();
  return {};
}

// A string, a list of strings or of numbers.
Result<void> Take(const Json& section, std::string_view key, std::vector<std::string>& out) {
  const Json* value = Find(section, {key});
  if (!value || value->is_null()) return {};
  if (value->is_string()) {
    out = {std::string(value->as_string())};
    return {};
  }
  if (!value->is_array()) return Fail(WrongType(key, "a string or a list"));
  std::vector<std::string> items;
  for (const Json& item : value->as_array()) {
    if (item.is_string()) {
      items.emplace_back(item.as_string());
    } else if (item.is_int64()) {
      items.push_back(std::to_string(item.as_int64()));
    } else {
      return Fail(WrongType(key, "a list of words"));
    }
  }
  out = std::move(items);
  return {};
}

std::string Join(const std::vector<std::string>& items) {
  std::string out;
  for (const std::string& item : items) out += (out.empty() ? "" : ", ") + item;
  return "[" + out + "]";
}

}  // namespace

bool NvidiaOptions::UsesCdi() const { return std::ranges::any_of(list_strategies, IsCdi); }
bool NvidiaOptions::OnlyCdi() const { return std::ranges::all_of(list_strategies, IsCdi); }

void AddNvidiaFlags(FlagSet& flags, NvidiaOptions& o) {
  flags.Add("mig-strategy", &o.mig_strategy, "how MIG devices are offered: none", "MIG_STRATEGY");
  flags.Add("nvidia-driver-root", &o.driver_root, "root of the driver's files on the host",
            "NVIDIA_DRIVER_ROOT");
  flags.Add("driver-root", &o.driver_root, "the same as --nvidia-driver-root");
  flags.Add("nvidia-dev-root", &o.dev_root,
            "root of the device nodes on the host; empty: the driver root if it has a dev folder",
            "NVIDIA_DEV_ROOT");
  flags.Add("dev-root", &o.dev_root, "the same as --nvidia-dev-root");
  flags.Add("driver-root-ctr-path", &o.driver_root_here,
            "where the driver root is mounted in this container", "DRIVER_ROOT_CTR_PATH");
  flags.Add("container-driver-root", &o.driver_root_here, "the same as --driver-root-ctr-path",
            "CONTAINER_DRIVER_ROOT");
  flags.Add("pass-device-specs", &o.pass_device_specs, "hand device nodes to kubelet as well",
            "PASS_DEVICE_SPECS");
  flags.Add("device-list-strategy", &o.list_strategies,
            "how a container learns its cards: envvar, volume-mounts, cdi-annotations, cdi-cri",
            "DEVICE_LIST_STRATEGY");
  flags.Add("device-id-strategy", &o.id_strategy, "how a card is named to the runtime: uuid, index",
            "DEVICE_ID_STRATEGY");
  flags.Add("gdrcopy-enabled", &o.gdrcopy, "give containers GDRCopy", "GDRCOPY_ENABLED");
  flags.Add("gds-enabled", &o.gds, "give containers GPUDirect Storage", "GDS_ENABLED");
  flags.Add("mofed-enabled", &o.mofed, "give containers Mellanox OFED", "MOFED_ENABLED");
  flags.Add("cdi-annotation-prefix", &o.cdi_annotation_prefix,
            "prefix of annotation keys of strategy cdi-annotations", "CDI_ANNOTATION_PREFIX");
  flags.Accept("nvidia-cdi-hook-path", "our CDI specs need no hook");
  flags.Accept("nvidia-ctk-path", "our CDI specs need no hook");
  flags.Accept("cdi-disable-hooks", "our CDI specs have no hooks");
  flags.Accept("cdi-feature-flags", "our CDI specs have no optional features");
  flags.Accept("mps-root", "MPS is not offered");
  flags.Accept("shared-devices-allocation-policy", "the scheduler chooses the cards");
  flags.Add("device-discovery-strategy", &o.discovery_strategy, "auto or nvml",
            "DEVICE_DISCOVERY_STRATEGY");
  flags.Add("imex-channel-ids", &o.imex_channels, "IMEX channels for every container: none or 0",
            "IMEX_CHANNEL_IDS");
  flags.Add("imex-required", &o.imex_required, "offer no card while an IMEX channel is missing",
            "IMEX_REQUIRED");
  flags.Add("cdi-root", &o.cdi_root, "folder of CDI specs, one of the runtime's", "CDI_ROOT");
  flags.Add("cdi-extra-mount", &o.cdi_extra_mounts,
            "host:container[:ro], mounted with every card under CDI; repeatable",
            "CDI_EXTRA_MOUNTS");
  flags.Add("visible-devices-prefix", &o.visible_devices_prefix,
            "put before each card in NVIDIA_VISIBLE_DEVICES, e.g. nvidia.com/gpu= for a toolkit in "
            "CDI mode",
            "NVIDIA_VISIBLE_DEVICES_PREFIX");
  flags.Add("nvml-library", &o.library, "exact file of the management library; empty: search",
            "HAMI_NVIDIA_LIB");
}

Result<std::vector<std::string>> ApplyUpstreamFile(const Json& file, const FlagSet& given,
                                                   NvidiaOptions& o) {
  std::vector<std::string> warnings;
  const std::string_view version = StringAt(file, {"version"});
  if (!version.empty() && version != "v1") {
    return Fail(Code::kInvalidArgument, "unknown version: " + std::string(version));
  }
  if (const Json* flags = Find(file, {"flags"})) {
    if (!given.Given("mig-strategy")) TRY(Take(*flags, "migStrategy", o.mig_strategy));
    if (!GivenEither(given, "nvidia-driver-root", "driver-root")) {
      TRY(Take(*flags, "nvidiaDriverRoot", o.driver_root));
    }
    if (!GivenEither(given, "nvidia-dev-root", "dev-root")) {
      TRY(Take(*flags, "nvidiaDevRoot", o.dev_root));
    }
    if (!given.Given("gdrcopy-enabled")) TRY(Take(*flags, "gdrcopyEnabled", o.gdrcopy));
    if (!given.Given("gds-enabled")) TRY(Take(*flags, "gdsEnabled", o.gds));
    if (!given.Given("mofed-enabled")) TRY(Take(*flags, "mofedEnabled", o.mofed));
    if (!given.Given("device-discovery-strategy")) {
      TRY(Take(*flags, "deviceDiscoveryStrategy", o.discovery_strategy));
    }
    if (const Json* plugin = Find(*flags, {"plugin"})) {
      if (!given.Given("pass-device-specs")) {
        TRY(Take(*plugin, "passDeviceSpecs", o.pass_device_specs));
      }
      if (!given.Given("device-list-strategy")) {
        TRY(Take(*plugin, "deviceListStrategy", o.list_strategies));
      }
      if (!given.Given("device-id-strategy")) {
        TRY(Take(*plugin, "deviceIDStrategy", o.id_strategy));
      }
      if (!given.Given("cdi-annotation-prefix")) {
        TRY(Take(*plugin, "cdiAnnotationPrefix", o.cdi_annotation_prefix));
      }
      if (!GivenEither(given, "driver-root-ctr-path", "container-driver-root")) {
        TRY(Take(*plugin, "containerDriverRoot", o.driver_root_here));
      }
    }
  }
  if (const Json* imex = Find(file, {"imex"})) {
    if (!given.Given("imex-channel-ids")) TRY(Take(*imex, "channelIDs", o.imex_channels));
    if (!given.Given("imex-required")) TRY(Take(*imex, "required", o.imex_required));
  }
  for (const char* section : {"resources", "sharing"}) {
    if (Find(file, {section})) {
      warnings.push_back(std::string("config file: section ") + section +
                         " has no effect: cards are shared by deviceSplitCount");
    }
  }
  return warnings;
}

Result<void> ValidateNvidiaOptions(const NvidiaOptions& o) {
  for (const std::string& strategy : o.list_strategies) {
    if (std::ranges::find(kStrategies, strategy) == kStrategies.end()) {
      return Fail(Code::kInvalidArgument,
                  "invalid --device-list-strategy option: " + strategy +
                      " (expected envvar, volume-mounts, cdi-annotations or cdi-cri)");
    }
  }
  if (o.list_strategies.empty()) {
    return Fail(Code::kInvalidArgument, "invalid --device-list-strategy option: it is empty");
  }
  if (o.id_strategy != "uuid" && o.id_strategy != "index") {
    return Fail(Code::kInvalidArgument, "invalid --device-id-strategy option: " + o.id_strategy);
  }
  if (o.mig_strategy == "single" || o.mig_strategy == "mixed") {
    return Fail(Code::kUnimplemented, "--mig-strategy=" + o.mig_strategy +
                                          " is not supported yet: only none is, which offers "
                                          "MIG-enabled cards as whole cards");
  }
  if (o.mig_strategy != "none") {
    return Fail(Code::kInvalidArgument, "unknown MIG strategy: " + o.mig_strategy);
  }
  if (o.discovery_strategy == "tegra") {
    return Fail(Code::kUnimplemented,
                "--device-discovery-strategy=tegra is not supported yet: auto and nvml are");
  }
  if (o.discovery_strategy != "auto" && o.discovery_strategy != "nvml") {
    return Fail(Code::kInvalidArgument,
                "invalid --device-discovery-strategy option " + o.discovery_strategy);
  }
  if (!o.imex_channels.empty() && o.imex_channels != std::vector<std::string>{"0"}) {
    return Fail(Code::kInvalidArgument, "invalid IMEX channel IDs: " + Join(o.imex_channels));
  }
  for (const std::string& text : o.cdi_extra_mounts) TRY(ParseExtraMount(text));
  return {};
}

Result<ExtraMount> ParseExtraMount(std::string_view text) {
  const Error wrong{Code::kInvalidArgument, "invalid --cdi-extra-mount \"" + std::string(text) +
                                                "\": expected host:container or host:container:ro "
                                                "with absolute paths"};
  ExtraMount mount;
  const size_t first = text.find(':');
  if (first == std::string_view::npos) return Fail(wrong);
  mount.host_path = std::string(text.substr(0, first));
  std::string_view rest = text.substr(first + 1);
  if (const size_t second = rest.find(':'); second != std::string_view::npos) {
    const std::string_view mode = rest.substr(second + 1);
    if (mode != "ro" && mode != "rw") return Fail(wrong);
    mount.read_only = mode == "ro";
    rest = rest.substr(0, second);
  }
  mount.container_path = std::string(rest);
  if (!mount.host_path.starts_with('/') || !mount.container_path.starts_with('/')) {
    return Fail(wrong);
  }
  return mount;
}

}  // namespace hami::driver

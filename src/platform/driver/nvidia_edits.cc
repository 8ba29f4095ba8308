#include "platform/driver/nvidia_edits.h"

#include <algorithm>
#include <utility>

#include "abi/env_names.h"
#include "abi/limits_page.h"

namespace hami::driver {
namespace {

constexpr char kVisible[] = "NVIDIA_VISIBLE_DEVICES";
constexpr char kVolumeRoot[] = "/var/run/nvidia-container-devices";

class EnvStrategy final : public ListStrategy {
 public:
  explicit EnvStrategy(const NvidiaOptions& o) : options_(o) {}
  void Apply(const std::vector<std::string>& ids, const EditRequest&,
             ContainerEdits& edits) const override {
    std::string list;
    for (const std::string& id : ids) {
      list += (list.empty() ? "" : ",") + options_.visible_devices_prefix + id;
    }
    edits.envs[kVisible] = list;
    if (!options_.imex_channels.empty()) edits.envs["NVIDIA_IMEX_CHANNELS"] = "0";
  }

 private:
  const NvidiaOptions& options_;
};

class VolumeStrategy final : public ListStrategy {
 public:
  explicit VolumeStrategy(const NvidiaOptions& o) : options_(o) {}
  void Apply(const std::vector<std::string>& ids, const EditRequest&,
             ContainerEdits& edits) const override {
    edits.envs[kVisible] = kVolumeRoot;
    auto mount = [&edits](const std::string& name) {
      edits.mounts.push_back({.container_path = std::string(kVolumeRoot) + "/" + name,
                              .host_path = "/dev/null",
                              .read_only = false});
    };
    for (const std::string& id : ids) mount(id);
    for (const std::string& channel : options_.imex_channels) mount("imex/" + channel);
  }

 private:
  const NvidiaOptions& options_;
};

// Names as CDI knows them, the node's extra classes included.
std::vector<std::string> CdiNames(const std::vector<std::string>& ids, const NvidiaOptions& options,
                                  const NodeFacts& facts) {
  const std::string vendor = kCdiVendor;
  std::vector<std::string> names;
  for (const std::string& id : ids) names.push_back(vendor + "/gpu=" + id);
  for (const std::string& channel : options.imex_channels) {
    names.push_back(vendor + "/imex-channel=" + channel);
  }
  if (options.gdrcopy && facts.has_gdrcopy) names.push_back(vendor + "/gdrcopy=all");
  if (options.gds && facts.has_gds) names.push_back(vendor + "/gds=all");
  if (options.mofed && facts.has_mofed) names.push_back(vendor + "/mofed=all");
  return names;
}

class CdiAnnotationStrategy final : public ListStrategy {
 public:
  CdiAnnotationStrategy(const NvidiaOptions& o, const NodeFacts& f) : options_(o), facts_(f) {}
  void Apply(const std::vector<std::string>& ids, const EditRequest& request,
             ContainerEdits& edits) const override {
    std::string list;
    for (const std::string& name : CdiNames(ids, options_, facts_)) {
      list += (list.empty() ? "" : ",") + name;
    }
    edits.annotations[options_.cdi_annotation_prefix + "nvidia-device-plugin_" +
                      request.allocation_id] = list;
  }

 private:
  const NvidiaOptions& options_;
  const NodeFacts& facts_;
};

class CdiCriStrategy final : public ListStrategy {
 public:
  CdiCriStrategy(const NvidiaOptions& o, const NodeFacts& f) : options_(o), facts_(f) {}
  void Apply(const std::vector<std::string>& ids, const EditRequest&,
             ContainerEdits& edits) const override {
    for (std::string& name : CdiNames(ids, options_, facts_)) {
      edits.cdi_devices.push_back(std::move(name));
    }
  }

 private:
  const NvidiaOptions& options_;
  const NodeFacts& facts_;
};

std::string Joined(const std::string& root, const std::string& path) {
  return root == "/" || root.empty() ? path : root + path;
}

void AddDeviceNodes(const NvidiaOptions& options, const NodeFacts& facts,
                    const EditRequest& request, ContainerEdits& edits) {
  if (!options.pass_device_specs) return;
  std::vector<std::string> nodes = facts.control_nodes;
  for (const CardShare& share : request.shares) {
    nodes.push_back("/dev/nvidia" + std::to_string(share.minor));
  }
  nodes.insert(nodes.end(), facts.imex_nodes.begin(), facts.imex_nodes.end());
  for (const std::string& node : nodes) {
    const EditDevice device{
        .container_path = node, .host_path = Joined(facts.dev_root, node), .permissions = "rw"};
    if (std::ranges::find(edits.devices, device) == edits.devices.end()) {
      edits.devices.push_back(device);
    }
  }
}

void AddLimits(const LimiterSettings& limiter, const EditRequest& request, ContainerEdits& edits) {
  // The management library inside the container numbers the cards as the host does, so the limits
  // follow that order, not the annotation's.
  std::vector<CardShare> shares = request.shares;
  std::ranges::stable_sort(shares, {}, &CardShare::index);
  bool cores_differ = false;
  for (size_t i = 0; i < shares.size(); ++i) {
    edits.envs[HAMI_ENV_MEMORY_LIMIT_I + std::to_string(i)] =
        std::to_string(shares[i].memory.value) + "m";
    cores_differ = cores_differ || shares[i].cores != shares[0].cores;
  }
  edits.envs[HAMI_ENV_SM_LIMIT] = std::to_string(shares[0].cores.value);
  for (size_t i = 0; cores_differ && i < shares.size(); ++i) {
    edits.envs[HAMI_ENV_SM_LIMIT_I + std::to_string(i)] = std::to_string(shares[i].cores.value);
  }
  const ContainerFiles& f = request.files;
  edits.envs[HAMI_ENV_SHARED_CACHE] = f.hook_path + "/vgpu/" + f.cache_name;
  if (limiter.oversubscribe) edits.envs["CUDA_OVERSUBSCRIBE"] = "true";
  if (!limiter.log_level.empty()) edits.envs[HAMI_ENV_LOG_LEVEL] = limiter.log_level;
  if (limiter.disable_core_limit) edits.envs["GPU_CORE_UTILIZATION_POLICY"] = "disable";
}

void AddLimiterMounts(const EditRequest& request, ContainerEdits& edits) {
  const ContainerFiles& f = request.files;
  const std::string vgpu = f.hook_path + "/vgpu";
  auto mount = [&edits](std::string inside, std::string host, bool read_only) {
    edits.mounts.push_back({.container_path = std::move(inside),
                            .host_path = std::move(host),
                            .read_only = read_only});
  };
  mount(vgpu + "/libvgpu.so", f.library, true);
  mount(vgpu, f.container_dir, false);
  mount(f.lock_dir, f.lock_dir, false);
  if (!f.limits_page.empty()) mount(vgpu + "/" + HAMI_LIMITS_FILE, f.limits_page, true);
  if (!request.control_disabled) mount("/etc/ld.so.preload", vgpu + "/ld.so.preload", true);
  if (f.licensed) {
    mount("/tmp/license", vgpu + "/license", true);
    mount("/usr/bin/vgpuvalidator", vgpu + "/vgpuvalidator", true);
  }
}

}  // namespace

std::unique_ptr<ListStrategy> MakeListStrategy(std::string_view name, const NvidiaOptions& options,
                                               const NodeFacts& facts) {
  if (name == "cdi-cri") return std::make_unique<CdiCriStrategy>(options, facts);
  if (name == "cdi-annotations") return std::make_unique<CdiAnnotationStrategy>(options, facts);
  if (name == "volume-mounts") return std::make_unique<VolumeStrategy>(options);
  return std::make_unique<EnvStrategy>(options);
}

ContainerEdits NvidiaEdits(const NvidiaOptions& options, const NodeFacts& facts,
                           const LimiterSettings& limiter, const EditRequest& request) {
  ContainerEdits edits;
  std::vector<std::string> ids;
  for (const CardShare& share : request.shares) {
    std::string id = options.id_strategy == "index" ? std::to_string(share.index) : share.uuid;
    if (std::ranges::find(ids, id) == ids.end()) ids.push_back(std::move(id));
  }
  for (const std::string& name : options.list_strategies) {
    MakeListStrategy(name, options, facts)->Apply(ids, request, edits);
  }
  if (options.gdrcopy) edits.envs["NVIDIA_GDRCOPY"] = "enabled";
  if (options.gds) edits.envs["NVIDIA_GDS"] = "enabled";
  if (options.mofed) edits.envs["NVIDIA_MOFED"] = "enabled";
  AddDeviceNodes(options, facts, request, edits);
  if (request.limited && !request.shares.empty()) {
    AddLimits(limiter, request, edits);
    AddLimiterMounts(request, edits);
  }
  return edits;
}

}  // namespace hami::driver

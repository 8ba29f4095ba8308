#include "platform/driver/nvidia_node.h"

#include <sys/stat.h>

#include <array>
#include <utility>

#include "base/log.h"
#include "base/mutex.h"
#include "platform/driver/nvidia_cdi.h"
#include "platform/driver/nvml.h"

namespace hami::driver {
namespace {

const std::vector<std::string> kControlNodes = {"/dev/nvidiactl", "/dev/nvidia-uvm",
                                                "/dev/nvidia-uvm-tools", "/dev/nvidia-modeset"};
constexpr std::array kClasses = {"gpu", "gdrcopy", "gds", "mofed", "imex-channel"};

bool IsFolder(FileSystem& fs, const std::string& path) {
  auto info = fs.Stat(path);
  return info && S_ISDIR(info->st_mode);
}

std::string Below(const std::string& root, const std::string& path) {
  return root == "/" ? path : root + path;
}

class NvidiaNode final : public NodeVendor {
 public:
  NvidiaNode(FileSystem& fs, NvidiaOptions options, LimiterSettings limiter, XidFilter filter)
      : fs_(fs),
        options_(std::move(options)),
        limiter_(std::move(limiter)),
        filter_(std::move(filter)),
        facts_(std::make_shared<const NodeFacts>()) {}

  std::string_view word() const override { return "NVIDIA"; }

  std::string SocketName(std::string_view resource) const override {
    return "hami-nvidia-" + std::string(resource.substr(resource.find('/') + 1)) + ".sock";
  }

  Result<void> Load() override {
    if (backend_) return {};
    const RootedPath root = DriverRoot();
    TRY_ASSIGN(backend_, LoadNvml(fs_, {.library = options_.library,
                                        .driver_root = root.here == "/" ? "" : root.here}));
    LOG(kInfo, "driver found").Kv("version", backend_->DriverVersion()).Kv("root", root.here);
    return {};
  }

  Backend& backend() override { return *backend_; }

  Result<void> Prepare(const std::vector<CardInfo>& cards) override {
    const RootedPath root = DriverRoot();
    const RootedPath dev = DevRoot(root);
    NodeFacts facts{.dev_root = dev.host};
    facts.control_nodes = ExistingNodes(fs_, dev.here, kControlNodes);
    std::vector<std::pair<std::string, std::vector<std::string>>> imex;
    for (const std::string& channel : options_.imex_channels) {
      const std::string node = "/dev/nvidia-caps-imex-channels/channel" + channel;
      auto nodes = ExistingNodes(fs_, dev.here, {node});
      if (nodes.empty() && options_.imex_required) {
        return Fail(Code::kFailedPrecondition,
                    "IMEX channel " + channel + " is required and " + node + " is missing");
      }
      facts.imex_nodes.insert(facts.imex_nodes.end(), nodes.begin(), nodes.end());
      if (!nodes.empty()) imex.emplace_back(channel, std::move(nodes));
    }
    const auto gdrcopy = ExistingNodes(fs_, dev.here, {"/dev/gdrdrv"});
    const auto gds = NodesNamed(dev.here, "/dev", "nvidia-fs");
    const auto mofed = NodesNamed(dev.here, "/dev/infiniband", "");
    facts.has_gdrcopy = !gdrcopy.empty();
    facts.has_gds = !gds.empty();
    facts.has_mofed = !mofed.empty();
    if (options_.UsesCdi()) {
      const DriverFiles files = FindDriverFiles(fs_, root, backend_->DriverVersion());
      if (files.libraries.empty()) {
        LOG(kWarn, "no driver library found for CDI")
            .Kv("root", root.here)
            .Kv("version", backend_->DriverVersion());
      }
      TRY(fs_.MakeDirs(options_.cdi_root, 0755));
      TRY(Keep(GpuSpec(options_, facts, files, cards)));
      if (options_.gdrcopy) TRY(KeepOrDrop("gdrcopy", facts, gdrcopy));
      if (options_.gds) TRY(KeepOrDrop("gds", facts, gds));
      if (options_.mofed) TRY(KeepOrDrop("mofed", facts, mofed));
      if (!imex.empty()) TRY(Keep(NodeSpec("imex-channel", facts, imex)));
    }
    MutexLock lock(mutex_);
    facts_ = std::make_shared<const NodeFacts>(std::move(facts));
    return {};
  }

  ContainerEdits Edits(const EditRequest& request) const override {
    std::shared_ptr<const NodeFacts> facts;
    {
      MutexLock lock(mutex_);
      facts = facts_;
    }
    return NvidiaEdits(options_, *facts, limiter_, request);
  }

  bool health_checks() const override { return filter_.active(); }
  EventClass Classify(uint64_t code) const override { return filter_.Classify(code); }

  Result<void> RemoveHostFiles() override {
    for (const char* name : kClasses) {
      TRY(fs_.Remove(options_.cdi_root + "/" + kCdiVendor + "-" + name + ".json"));
    }
    return {};
  }

 private:
  // Outside a container nothing is mounted at driver_root_here: the root is where the host has it.
  RootedPath DriverRoot() {
    if (IsFolder(fs_, options_.driver_root_here)) {
      return {options_.driver_root_here, options_.driver_root};
    }
    return {options_.driver_root, options_.driver_root};
  }

  RootedPath DevRoot(const RootedPath& driver) {
    if (options_.dev_root.empty()) {
      if (driver.here != "/" && IsFolder(fs_, Below(driver.here, "/dev"))) return driver;
      return {"/", "/"};
    }
    if (options_.dev_root == driver.host) return driver;
    return {options_.dev_root, options_.dev_root};
  }

  std::vector<std::string> NodesNamed(const std::string& root, const std::string& folder,
                                      const std::string& prefix) {
    std::vector<std::string> nodes;
    auto names = fs_.List(Below(root, folder));
    if (!names) return nodes;
    for (const std::string& name : *names) {
      if (name.starts_with(prefix)) nodes.push_back(folder + "/" + name);
    }
    return nodes;
  }

  Result<void> Keep(const CdiSpec& spec) {
    const std::string path = options_.cdi_root + "/" + spec.file_name;
    if (auto old = fs_.Read(path); old && *old == spec.json) return {};
    TRY(fs_.WriteAtomic(path, spec.json, 0644));
    LOG(kInfo, "CDI spec written").Kv("file", path);
    return {};
  }

  Result<void> KeepOrDrop(const std::string& name, const NodeFacts& facts,
                          const std::vector<std::string>& nodes) {
    if (!nodes.empty()) return Keep(NodeSpec(name, facts, {{"all", nodes}}));
    LOG(kWarn, "no device of this class, no CDI spec written").Kv("class", name);
    return fs_.Remove(options_.cdi_root + "/" + kCdiVendor + "-" + name + ".json");
  }

  FileSystem& fs_;
  const NvidiaOptions options_;
  const LimiterSettings limiter_;
  const XidFilter filter_;
  std::unique_ptr<Backend> backend_;
  mutable Mutex mutex_;
  std::shared_ptr<const NodeFacts> facts_ GUARDED_BY(mutex_);
};

}  // namespace

std::unique_ptr<NodeVendor> MakeNvidiaNode(FileSystem& fs, NvidiaOptions options,
                                           LimiterSettings limiter, XidFilter filter) {
  return std::make_unique<NvidiaNode>(fs, std::move(options), std::move(limiter),
                                      std::move(filter));
}

}  // namespace hami::driver

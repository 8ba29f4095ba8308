#include "apps/device_plugin_setup.h"

#include <map>

#include "base/env.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/version.h"
#include "domain/protocol/objects.h"
#include "platform/kube/config.h"
#include "platform/kube/objects.h"

namespace hami {
namespace {

// Overrides may ask for the node's labels; nothing else does. Without them nobody knows which
// entries are this node's.
Result<std::map<std::string, std::string, std::less<>>> Labels(kube::Client& client,
                                                               const PluginFiles& files,
                                                               const std::string& node) {
  std::map<std::string, std::string, std::less<>> none;
  if (files.overrides.find("nodeSelector") == std::string::npos) return none;
  auto decoded = client.CallSync({.path = kube::NodePath(node)}).and_then([](const auto& answer) {
    return protocol::DecodeNode(answer.body);
  });
  if (!decoded) return Fail(std::move(decoded.error()).With("labels for config.json"));
  return decoded->labels;
}

}  // namespace

Result<PluginFiles> ReadFiles(const node::NodeFlags& flags) {
  PluginFiles out;
  if (!flags.config_file.empty()) {
    TRY_ASSIGN(out.config, RealFileSystem().Read(flags.config_file));
  }
  out.overrides = RealFileSystem().Read(flags.node_config_file).value_or("");
  return out;
}

Result<std::unique_ptr<kube::Client>> Connect(net::Loop& loop, const node::NodeFlags& flags) {
  TRY_ASSIGN(auto config, kube::LoadConfig(RealFileSystem(), flags.kubeconfig));
  return kube::Client::Create(loop, config,
                              {.user_agent = "hami-device-plugin/" + Build().version});
}

Result<driver::VendorSetup> Setup(const FlagSet& given, const PluginOptions& o,
                                  const PluginFiles& files, kube::Client& client) {
  TRY_ASSIGN(auto labels, Labels(client, files, o.node.node_name));
  return driver::SetupVendor(RealFileSystem(),
                             {.given = given,
                              .options = o.vendor,
                              .tuning = node::GivenTuning(given, o.node),
                              .config_yaml = files.config,
                              .overrides_json = files.overrides,
                              .node = o.node.node_name,
                              .labels = std::move(labels),
                              .health_off = GetEnvOr("DP_DISABLE_HEALTHCHECKS", ""),
                              .health_on = GetEnvOr("DP_ENABLE_HEALTHCHECKS", "")});
}

}  // namespace hami

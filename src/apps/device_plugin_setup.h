// What hami-device-plugin runs with: flags, the two configuration files, the node's labels.
#pragma once

#include <memory>
#include <string>

#include "base/flags.h"
#include "platform/driver/node_setup.h"
#include "platform/kube/client.h"
#include "services/node/cleanup.h"
#include "services/node/settings.h"

namespace hami {

struct PluginOptions {
  node::NodeFlags node;
  driver::VendorOptions vendor;
  node::CleanupFlags cleanup;
};

struct PluginFiles {
  std::string config;     // device-config.yaml
  std::string overrides;  // config.json; empty when there is none
  bool operator==(const PluginFiles&) const = default;
};

Result<PluginFiles> ReadFiles(const node::NodeFlags& flags);

Result<std::unique_ptr<kube::Client>> Connect(net::Loop& loop, const node::NodeFlags& flags);

// `given`: which flags were set by hand; those win over both files. Asks the API server for the
// node's labels where the overrides name some.
Result<driver::VendorSetup> Setup(const FlagSet& given, const PluginOptions& o,
                                  const PluginFiles& files, kube::Client& client);

}  // namespace hami

// HTTP routes of hami-device-plugin: /healthz, /readyz, /metrics, /debug/allocations
// (spec/device-plugin.md 18.8).
#pragma once

#include <vector>

#include "platform/net/http_server.h"
#include "services/node/service.h"

namespace hami::node {

// `service` must outlive the server that serves them.
std::vector<net::Route> Routes(NodeService& service);

}  // namespace hami::node

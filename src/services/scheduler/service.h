// Scheduler service: answers kube-scheduler's /filter and /bind.
//
// Owns the state thread and everything on it: ledger, cluster picture, bind queue, requeuer. I/O
// threads parse and enqueue, never touch the state (design.md decision 1). Decisions come from
// domain/policy; nothing here reads back what it did: effects return through the watches.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/executor.h"
#include "domain/policy/compile.h"
#include "domain/protocol/device_config.h"
#include "platform/kube/client.h"
#include "platform/kube/events.h"
#include "platform/net/http_server.h"
#include "platform/telemetry/exposition.h"
#include "services/scheduler/cluster.h"
#include "services/scheduler/leading.h"

namespace hami::scheduler {

// One Event on a Pod; must not block.
using EventSink = std::function<void(const Pod&, kube::EventType, std::string_view reason,
                                     const std::string& text)>;

using MoreMetrics = std::function<void(telemetry::Exposition&)>;

struct ServiceOptions {
  protocol::DeviceConfig devices;
  policy::PolicyDefaults policies;
  LabelMap node_selector;
  Duration lock_timeout = protocol::kNodeLockTimeout;
  Duration bind_wait = std::chrono::seconds(27);    // below the extender's httpTimeout of 30 s
  Duration assume_for = std::chrono::seconds(60);   // between /filter and /bind
  Duration stale_after = std::chrono::seconds(20);  // a watch broken so long makes us not ready
  bool annotate_at_filter = false;
  std::function<LeaderView()> leader = [] { return LeaderView{}; };  // cheap, thread-safe
};

class Service {
 public:
  Service(kube::Client& api, EventSink events, ServiceOptions options);
  ~Service();  // answers what waits, then stops

  // POST /filter and /bind.
  std::vector<net::Route> ExtenderRoutes();
  // GET /readyz: 200 when this replica could decide as soon as it leads, 503 with the reason
  // otherwise.
  net::Handler ReadyHandler();
  // GET /metrics; `more` adds what others count, on the state thread.
  net::Handler MetricsHandler(MoreMetrics more = [](telemetry::Exposition&) {});

  struct Impl;

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace hami::scheduler

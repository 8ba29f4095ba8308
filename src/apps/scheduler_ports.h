// The three ports of hami-scheduler: webhook, extender, metrics.
#pragma once

#include <memory>

#include "apps/scheduler_flags.h"
#include "platform/net/http_server.h"
#include "services/admission/service.h"
#include "services/scheduler/service.h"

namespace hami {

struct SchedulerPorts {
  std::unique_ptr<net::HttpServer> webhook;   // --http_bind: admission, /healthz, /readyz
  std::unique_ptr<net::HttpServer> extender;  // --extender-bind; null: the webhook's port serves it
  std::unique_ptr<net::HttpServer> metrics;   // --metrics-bind
};

// `loop` and both services outlive the ports.
Result<SchedulerPorts> OpenPorts(net::Loop& loop, const SchedulerFlags& f,
                                 scheduler::Service& service, admission::Service& admission);

}  // namespace hami

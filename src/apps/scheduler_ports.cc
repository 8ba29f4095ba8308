#include "apps/scheduler_ports.h"

#include "base/log.h"
#include "platform/telemetry/names.h"

namespace hami {
namespace {

using telemetry::Exposition;
using telemetry::MetricType;

void Append(std::vector<net::Route>& routes, std::vector<net::Route> more) {
  for (net::Route& route : more) routes.push_back(std::move(route));
}

std::vector<net::Route> Health(scheduler::Service& service) {
  auto alive = [](net::HttpRequest, net::Responder r) { r.Reply({.content_type = "text/plain"}); };
  return {{.method = "GET", .path = "/healthz", .handler = alive},
          {.method = "GET", .path = "/readyz", .handler = service.ReadyHandler()}};
}

void Admissions(Exposition& out, const admission::Service& admission,
                const net::HttpServer& webhook) {
  out.Family(metric::kAdmissionReviews, "Pods reviewed, by outcome", MetricType::kCounter);
  for (const auto& [outcome, count] : admission.Counts()) {
    out.Sample({{"outcome", outcome}}, static_cast<double>(count));
  }
  if (int64_t expiry = webhook.CertExpiryUnix(); expiry != 0) {
    out.Family(metric::kTlsCertExpirySeconds, "end of the serving certificate, unix time",
               MetricType::kGauge);
    out.Sample({}, static_cast<double>(expiry));
  }
}

}  // namespace

Result<SchedulerPorts> OpenPorts(net::Loop& loop, const SchedulerFlags& f,
                                 scheduler::Service& service, admission::Service& admission) {
  SchedulerPorts ports;
  std::vector<net::Route> outside = admission.Routes();
  Append(outside, Health(service));
  if (f.extender_bind.empty()) {
    Append(outside, service.ExtenderRoutes());
  } else {
    TRY_ASSIGN(ports.extender, net::HttpServer::Listen(loop, {.address = f.extender_bind},
                                                       service.ExtenderRoutes()));
  }
  net::ServerOptions front{.address = f.http_bind};
  if (!f.cert_file.empty() && !f.key_file.empty()) {
    front.tls = std::make_unique<net::TlsFiles>(net::TlsFiles{f.cert_file, f.key_file});
  }
  TRY_ASSIGN(ports.webhook, net::HttpServer::Listen(loop, std::move(front), std::move(outside)));
  std::vector<net::Route> metrics = {
      {.method = "GET",
       .path = "/metrics",
       .handler =
           service.MetricsHandler([&admission, webhook = ports.webhook.get()](Exposition& out) {
             Admissions(out, admission, *webhook);
           })}};
  TRY_ASSIGN(ports.metrics,
             net::HttpServer::Listen(loop, {.address = f.metrics_bind}, std::move(metrics)));
  LOG(kInfo, "serving")
      .Kv("webhook", f.http_bind)
      .Kv("extender", f.extender_bind)
      .Kv("metrics", f.metrics_bind);
  return ports;
}

}  // namespace hami

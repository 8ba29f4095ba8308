#include "services/node/routes.h"

#include <utility>

#include "platform/telemetry/exposition.h"

namespace hami::node {
namespace {

net::HttpResponse Text(int status, std::string body) {
  net::HttpResponse response;
  response.status = status;
  response.content_type = "text/plain; charset=utf-8";
  response.body = std::move(body);
  return response;
}

net::Route Get(std::string path, net::Handler handler) {
  return {.method = "GET", .path = std::move(path), .handler = std::move(handler)};
}

}  // namespace

std::vector<net::Route> Routes(NodeService& service) {
  std::vector<net::Route> routes;
  // Alive means that the state thread takes its turn.
  routes.push_back(Get("/healthz", [&service](net::HttpRequest, net::Responder responder) {
    service.AskReadiness(
        [responder](const NodeService::Readiness&) { responder.Reply(Text(200, "ok\n")); });
  }));
  routes.push_back(Get("/readyz", [&service](net::HttpRequest, net::Responder responder) {
    service.AskReadiness([responder](const NodeService::Readiness& readiness) {
      std::string body = readiness.ready ? "ok\n" : "";
      for (const std::string& reason : readiness.reasons) body += reason + "\n";
      responder.Reply(Text(readiness.ready ? 200 : 503, std::move(body)));
    });
  }));
  routes.push_back(Get("/metrics", [&service](net::HttpRequest, net::Responder responder) {
    service.AskMetrics([responder](std::string text) {
      net::HttpResponse response = Text(200, std::move(text));
      response.content_type = telemetry::kTextContentType;
      responder.Reply(std::move(response));
    });
  }));
  routes.push_back(
      Get("/debug/allocations", [&service](net::HttpRequest, net::Responder responder) {
        service.AskAllocations([responder](std::string json) {
          net::HttpResponse response;
          response.body = std::move(json);
          responder.Reply(std::move(response));
        });
      }));
  return routes;
}

}  // namespace hami::node

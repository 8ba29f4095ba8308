#include "services/admission/service.h"

#include <memory>

#include "base/log.h"

namespace hami::admission {
namespace {

ReviewResult Answer(const net::HttpRequest& request, const AdmissionConfig& config) {
  std::string_view type = request.HeaderValue("Content-Type");
  type = type.substr(0, type.find(';'));
  if (type != "application/json") {
    return Refuse(400, "contentType=" + std::string(type) + ", expected application/json");
  }
  if (request.body.size() > kMaxReviewBytes) {
    return Refuse(413, "admission review of " + std::to_string(request.body.size()) +
                           " bytes: expected at most " + std::to_string(kMaxReviewBytes));
  }
  if (request.body.empty()) return Refuse(400, "request body is empty");
  return Review(request.body, config);
}

void LogResult(const ReviewResult& result) {
  std::string_view outcome = OutcomeText(result.outcome);
  switch (result.outcome) {
    case Outcome::kAllowed:
    case Outcome::kOtherScheduler:
      LOG(kDebug, "pod reviewed").Kv("pod", result.pod).Kv("outcome", outcome);
      return;
    case Outcome::kMutated:
      LOG(kInfo, "pod reviewed")
          .Kv("pod", result.pod)
          .Kv("outcome", outcome)
          .Kv("cards", result.uses_cards)
          .Kv("review", result.uid);
      return;
    case Outcome::kDenied:
    case Outcome::kInvalid:
      LOG(kInfo, "pod refused")
          .Kv("pod", result.pod)
          .Kv("outcome", outcome)
          .Kv("reason", result.message)
          .Kv("review", result.uid);
      return;
    case Outcome::kUndecodable:
      LOG(kWarn, "admission review not understood")
          .Kv("reason", result.message)
          .Kv("review", result.uid);
      return;
  }
}

}  // namespace

Service::Service(AdmissionConfig config, WorkerPool& workers)
    : config_(std::move(config)), workers_(workers) {}

net::HttpResponse Service::Handle(const net::HttpRequest& request) {
  ReviewResult result = Answer(request, config_);
  counts_[static_cast<size_t>(result.outcome)].fetch_add(1, std::memory_order_relaxed);
  LogResult(result);
  net::HttpResponse response;
  response.body = std::move(result.body);
  return response;
}

std::vector<net::Route> Service::Routes() {
  net::Route route;
  route.method = "POST";
  route.path = "/webhook";
  // Above our own limit, so that a review a little too long is told so in a review.
  route.body_limit = kMaxReviewBytes + (1 << 20);
  route.handler = [this](net::HttpRequest request, net::Responder responder) {
    // std::function wants copyable tasks; the body is moved, not copied, through the pointer.
    auto held = std::make_shared<net::HttpRequest>(std::move(request));
    bool queued = workers_.TryPost([this, held, responder] {
      if (!responder.closed()) responder.Reply(Handle(*held));
    });
    if (queued) return;
    overloaded_.fetch_add(1, std::memory_order_relaxed);
    net::HttpResponse busy;
    busy.status = 503;
    busy.content_type = "text/plain";
    busy.body = "admission is overloaded\n";
    busy.headers.push_back({"Retry-After", "1"});
    responder.Reply(std::move(busy));
  };
  std::vector<net::Route> routes;
  routes.push_back(std::move(route));
  return routes;
}

std::vector<std::pair<std::string, uint64_t>> Service::Counts() const {
  std::vector<std::pair<std::string, uint64_t>> counts;
  for (size_t i = 0; i < kOutcomes; ++i) {
    counts.emplace_back(OutcomeText(static_cast<Outcome>(i)),
                        counts_[i].load(std::memory_order_relaxed));
  }
  return counts;
}

}  // namespace hami::admission

// Service: the webhook's HTTP route around Review().
//
// Owned by main; outlives the HttpServer that got its routes. Reviews run on the worker pool, never
// on the I/O thread; a full pool answers 503 at once (the API server then follows its
// failurePolicy). Routes and Counts may be called from any thread.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/executor.h"
#include "platform/net/http_server.h"
#include "services/admission/review.h"

namespace hami::admission {

inline constexpr size_t kMaxReviewBytes = 7 << 20;  // spec/scheduler.md 3.2

class Service {
 public:
  Service(AdmissionConfig config, WorkerPool& workers);

  // POST /webhook.
  std::vector<net::Route> Routes();
  // Reviews answered so far by outcome, for metrics.
  std::vector<std::pair<std::string, uint64_t>> Counts() const;
  // Requests turned away because the pool was full.
  uint64_t overloaded() const { return overloaded_.load(std::memory_order_relaxed); }

  // One request answered on the calling thread: what the worker runs.
  net::HttpResponse Handle(const net::HttpRequest& request);

 private:
  static constexpr size_t kOutcomes = static_cast<size_t>(Outcome::kUndecodable) + 1;

  AdmissionConfig config_;
  WorkerPool& workers_;
  std::array<std::atomic<uint64_t>, kOutcomes> counts_{};
  std::atomic<uint64_t> overloaded_{0};
};

}  // namespace hami::admission

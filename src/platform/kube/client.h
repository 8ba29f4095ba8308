// Client: requests to kube-apiserver.
//
// Thread-safe. Lives on a Loop. Call is asynchronous: `done` runs on the Loop's thread exactly once
// (with kCancelled when the client is destroyed first): post to your own executor from there.
// CallSync blocks and is for start-up, CLIs and tests only; never on the Loop's thread. Connections
// are kept alive and reused; a request that never left is retried once on a fresh connection (a GET
// also when it did leave); 401 is retried once after the credentials are read again; 429, and 5xx
// with a Retry-After, are repeated as the server asks, within the deadline.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"
#include "platform/kube/config.h"
#include "platform/net/http.h"
#include "platform/net/loop.h"

namespace hami::kube {

// High: lock and bind. Low: events; dropped oldest first when the limiter is behind.
enum class Lane : uint8_t { kHigh, kNormal, kLow };

struct ClientOptions {
  double qps = 200;
  int burst = 400;
  Duration timeout = std::chrono::seconds(30);  // of a request that names none
  std::string user_agent = "hami";
  int max_connections = 8;  // for calls; the high lane may use two more, each watch has its own
  size_t max_low_waiting = 1000;
};

inline constexpr char kMergePatch[] = "application/merge-patch+json";

struct Request {
  std::string method = "GET";
  std::string path;  // "/api/v1/nodes/n1", encoded; query included
  std::string body;
  std::string content_type = "application/json";  // or kMergePatch
  Duration timeout{0};  // 0: the client's; counts from Call, waiting included
  Lane lane = Lane::kNormal;
};

struct Response {
  int status = 0;
  std::string body;
};

// 2xx or the error that the server's Status object names: kNotFound, kConflict, kAlreadyExists,
// kPermissionDenied, kUnauthenticated, kInvalidArgument (400, 422), kFailedPrecondition (410),
// kResourceExhausted (429, or dropped from the low lane), kUnavailable (5xx, no connection),
// kDeadlineExceeded; message = method, path, Status.message.
// A write that ended with kUnavailable or kDeadlineExceeded may have been carried out unless its
// message says "not sent": read the object before undoing.
using Done = std::function<void(Result<Response>)>;

class Client {
 public:
  static Result<std::unique_ptr<Client>> Create(net::Loop& loop, Config config,
                                                ClientOptions options);
  ~Client();

  void Call(Request request, Done done);
  Result<Response> CallSync(Request request);
  net::Loop& loop();
  const std::string& default_namespace() const;

  // Calls answered so far by verb, resource and code, for metrics. Code 0: no answer.
  struct CallCount {
    std::string verb, resource;
    int code = 0;
    uint64_t count = 0;
  };
  std::vector<CallCount> CallCounts() const;

  struct Impl;
  Impl& impl() { return *impl_; }  // for platform/kube only

 private:
  explicit Client(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace hami::kube

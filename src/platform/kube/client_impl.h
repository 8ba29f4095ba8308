// The inside of Client, for reflector.cc. Private to platform/kube; everything here lives on the
// Loop's thread except what says otherwise.
#pragma once

#include <array>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "base/mutex.h"
#include "platform/kube/client.h"
#include "platform/kube/credentials.h"
#include "platform/kube/rate_limiter.h"
#include "platform/net/http_client.h"

namespace hami::kube {

// One answer that goes on for long. Give it up by Cancel: `on_end` does not come then.
class StreamCall {
 public:
  virtual ~StreamCall() = default;
  virtual void Cancel() = 0;
};

struct StreamHandlers {
  std::function<void()> on_open;                        // 200
  std::function<void(std::string_view piece)> on_data;  // of the 200 answer
  // Exactly once. Ok: ended by the server. `retry_after`: what the server asked for, else 0.
  std::function<void(Result<void> end, Duration retry_after)> on_end;
};

struct PendingCall;

struct Client::Impl : std::enable_shared_from_this<Client::Impl> {
  Impl(net::Loop& loop, Config config, net::Url url, Credentials credentials,
       ClientOptions options);

  // Any thread.
  void Submit(std::shared_ptr<PendingCall> call);
  std::vector<CallCount> Counts() const;

  void Shutdown();
  // A GET on a connection of its own, for watches. `idle_limit`: given up when nothing comes for so
  // long.
  std::shared_ptr<StreamCall> OpenStream(const std::string& path, Duration idle_limit,
                                         StreamHandlers handlers);
  net::Peer MakePeer();
  net::HttpRequest MakeRequest(const Request& request);
  void Count(const std::string& method, const std::string& path, int code);

  void Enqueue(std::shared_ptr<PendingCall> call);
  void Pump();
  bool MayUseConnection(Lane lane) const;
  void Run(std::shared_ptr<PendingCall> call);
  void Send(std::shared_ptr<PendingCall> call);
  void OnExchangeEnd(const std::shared_ptr<PendingCall>& call, Result<void> end);
  void OnAnswer(const std::shared_ptr<PendingCall>& call);
  bool RetryLater(const std::shared_ptr<PendingCall>& call);
  void ReleaseConnection(const std::shared_ptr<PendingCall>& call);
  void FinishError(const std::shared_ptr<PendingCall>& call, Error error);
  void Finish(const std::shared_ptr<PendingCall>& call, Result<Response> result);

  struct Idle {
    std::shared_ptr<net::HttpConnection> connection;
    MonoTime since;
    uint64_t generation;
  };

  net::Loop& loop;
  const Config config;
  const net::Url url;
  Credentials credentials;
  const ClientOptions options;
  RateLimiter limiter;
  std::array<std::deque<std::shared_ptr<PendingCall>>, 3> waiting;
  std::set<std::shared_ptr<PendingCall>> calls;  // all that are not finished
  std::vector<Idle> idle;
  int busy = 0;  // connections in use or being opened
  Executor::TimerId pump_timer = 0;
  bool shut = false;

  mutable Mutex mutex;
  std::map<std::tuple<std::string, std::string, int>, uint64_t> counts GUARDED_BY(mutex);
};

}  // namespace hami::kube

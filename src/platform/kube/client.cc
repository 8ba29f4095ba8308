#include "platform/kube/client.h"

#include <algorithm>
#include <charconv>
#include <future>
#include <utility>

#include "base/log.h"
#include "platform/kube/client_impl.h"
#include "platform/kube/status.h"

namespace hami::kube {
namespace {

constexpr Duration kIdleConnection = std::chrono::seconds(60);
constexpr int kMaxAttempts = 10;  // as client-go
constexpr int kExtraForHigh = 2;

Duration RetryAfter(const std::vector<net::Header>& headers) {
  std::string_view text = net::FindHeader(headers, "Retry-After");
  int seconds = 0;
  auto [at, ec] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (text.empty() || ec != std::errc() || at != text.data() + text.size() || seconds < 0) {
    return Duration(0);
  }
  return std::chrono::seconds(std::min(seconds, 3600));
}

}  // namespace

struct PendingCall {
  Request request;
  Done done;
  MonoTime deadline;
  Executor::TimerId timer = 0;  // while it waits for a turn
  std::shared_ptr<net::HttpConnection> connection;
  std::function<void()> cancel_opening;
  uint64_t generation = 0;
  bool reused = false;      // the connection had served others before
  bool fresh_only = false;  // a retry: take no idle connection
  bool holds_slot = false;
  bool auth_retried = false;
  bool finished = false;
  int attempts = 0;
  int status = 0;
  Duration retry_after{0};
  std::string body;

  std::string Name() const {
    return request.method + " " + request.path.substr(0, request.path.find('?'));
  }
};

Client::Impl::Impl(net::Loop& l, Config c, net::Url u, Credentials cr, ClientOptions o)
    : loop(l),
      config(std::move(c)),
      url(std::move(u)),
      credentials(std::move(cr)),
      options(std::move(o)),
      limiter(options.qps, options.burst, l.clock().Mono()) {}

void Client::Impl::Submit(std::shared_ptr<PendingCall> call) {
  loop.Post([self = shared_from_this(), call = std::move(call)] {
    self->calls.insert(call);
    if (self->shut)
      return self->FinishError(call, {Code::kCancelled, "not sent: client is closed"});
    self->Enqueue(call);
    self->Pump();
  });
}

void Client::Impl::Enqueue(std::shared_ptr<PendingCall> call) {
  auto& lane = waiting[static_cast<size_t>(call->request.lane)];
  call->timer = loop.PostAt(call->deadline, [self = shared_from_this(), call] {
    std::erase(self->waiting[static_cast<size_t>(call->request.lane)], call);
    self->FinishError(call,
                      {Code::kDeadlineExceeded,
                       call->status == 0 ? "not sent: no turn before the deadline"
                                         : "server asked to retry, but the deadline came first"});
  });
  lane.push_back(std::move(call));
  if (&lane == &waiting[static_cast<size_t>(Lane::kLow)] && lane.size() > options.max_low_waiting) {
    auto oldest = lane.front();
    lane.pop_front();
    FinishError(oldest, {Code::kResourceExhausted, "not sent: dropped, too many calls wait"});
  }
}

bool Client::Impl::MayUseConnection(Lane lane) const {
  return busy < options.max_connections + (lane == Lane::kHigh ? kExtraForHigh : 0);
}

void Client::Impl::Pump() {
  for (auto& lane : waiting) {
    while (!lane.empty() && !shut) {
      if (!MayUseConnection(lane.front()->request.lane)) return;  // Finish pumps again
      MonoTime now = loop.clock().Mono();
      if (!limiter.TryTake(now)) {
        if (pump_timer != 0) loop.Cancel(pump_timer);
        pump_timer = loop.PostAt(limiter.NextAt(now), [self = shared_from_this()] {
          self->pump_timer = 0;
          self->Pump();
        });
        return;
      }
      auto call = std::move(lane.front());
      lane.pop_front();
      loop.Cancel(call->timer);
      call->timer = 0;
      Run(std::move(call));
    }
  }
}

net::Peer Client::Impl::MakePeer() {
  net::Peer peer;
  peer.host = url.host;
  peer.port = url.port;
  peer.unix_path = url.unix_path;
  peer.server_name = config.server_name;
  peer.tls = credentials.Tls();
  return peer;
}

net::HttpRequest Client::Impl::MakeRequest(const Request& request) {
  net::HttpRequest out;
  out.method = request.method;
  out.target = url.base_path + request.path;
  out.body = request.body;
  out.headers.push_back({"User-Agent", options.user_agent});
  out.headers.push_back({"Accept", "application/json"});
  if (!request.body.empty()) out.headers.push_back({"Content-Type", request.content_type});
  if (std::string auth = credentials.Authorization(); !auth.empty()) {
    out.headers.push_back({"Authorization", std::move(auth)});
  }
  return out;
}

void Client::Impl::Run(std::shared_ptr<PendingCall> call) {
  ++busy;
  call->holds_slot = true;
  ++call->attempts;
  auto tls = credentials.Tls();  // may start a new generation
  MonoTime now = loop.clock().Mono();
  while (!idle.empty() && !call->fresh_only) {
    Idle candidate = std::move(idle.back());
    idle.pop_back();
    if (!candidate.connection->usable() || candidate.generation != credentials.generation() ||
        now - candidate.since > kIdleConnection) {
      candidate.connection->Close();
      continue;
    }
    call->connection = std::move(candidate.connection);
    call->generation = candidate.generation;
    call->reused = true;
    return Send(std::move(call));
  }
  call->reused = false;
  call->generation = credentials.generation();
  auto opening = net::HttpConnection::Open(
      loop, MakePeer(), call->deadline,
      [self = shared_from_this(), call](Result<std::shared_ptr<net::HttpConnection>> opened) {
        call->cancel_opening = nullptr;
        if (!opened) {
          Error error = std::move(opened.error());
          error.message.insert(0, "not sent: ");
          return self->FinishError(call, std::move(error));
        }
        call->connection = std::move(*opened);
        self->Send(call);
      });
  call->cancel_opening = std::move(opening.cancel);
}

void Client::Impl::Send(std::shared_ptr<PendingCall> call) {
  call->status = 0;
  call->body.clear();
  call->retry_after = Duration(0);
  net::HttpConnection::Exchange exchange;
  exchange.on_head = [call](int status, const std::vector<net::Header>& headers) {
    call->status = status;
    call->retry_after = RetryAfter(headers);
  };
  exchange.on_body = [call](std::string_view piece) { call->body += piece; };
  exchange.on_end = [self = shared_from_this(), call](Result<void> end) {
    self->OnExchangeEnd(call, std::move(end));
  };
  call->connection->Start(MakeRequest(call->request), call->deadline, std::move(exchange));
}

void Client::Impl::OnExchangeEnd(const std::shared_ptr<PendingCall>& call, Result<void> end) {
  bool sent = call->connection->sent();
  bool answered = call->connection->answered();
  ReleaseConnection(call);
  if (end) return OnAnswer(call);
  Count(call->request.method, call->request.path, 0);
  Error error = std::move(end.error());
  bool get = call->request.method == "GET";
  if (error.code == Code::kUnavailable && call->reused && !answered && (get || !sent) && !shut) {
    call->fresh_only = true;
    return Run(call);
  }
  if (!sent) error.message.insert(0, "not sent: ");
  FinishError(call, std::move(error));
}

void Client::Impl::ReleaseConnection(const std::shared_ptr<PendingCall>& call) {
  auto connection = std::exchange(call->connection, nullptr);
  if (call->holds_slot) --busy;
  call->holds_slot = false;
  if (connection && connection->usable() && !shut) {
    idle.push_back({std::move(connection), loop.clock().Mono(), call->generation});
  }
}

void Client::Impl::OnAnswer(const std::shared_ptr<PendingCall>& call) {
  Count(call->request.method, call->request.path, call->status);
  if (call->status >= 200 && call->status < 300) {
    return Finish(call, Response{call->status, std::move(call->body)});
  }
  if (call->status == 401 && !call->auth_retried && !shut) {
    call->auth_retried = true;
    credentials.Expire();
    return Run(call);
  }
  bool asked_to_wait =
      call->status == 429 || (call->status >= 500 && call->retry_after.count() > 0);
  if (asked_to_wait && RetryLater(call)) return Pump();
  FinishError(call, StatusError(call->status, call->body));
}

bool Client::Impl::RetryLater(const std::shared_ptr<PendingCall>& call) {
  Duration wait = std::max<Duration>(call->retry_after, std::chrono::milliseconds(100));
  if (call->retry_after.count() == 0) wait = std::chrono::seconds(1);
  MonoTime at = loop.clock().Mono() + wait;
  if (shut || call->attempts >= kMaxAttempts || at >= call->deadline) return false;
  call->timer = loop.PostAt(at, [self = shared_from_this(), call] {
    self->Enqueue(call);
    self->Pump();
  });
  return true;
}

void Client::Impl::FinishError(const std::shared_ptr<PendingCall>& call, Error error) {
  Finish(call, tl::unexpected<Error>(std::move(error).With(call->Name())));
}

void Client::Impl::Finish(const std::shared_ptr<PendingCall>& call, Result<Response> result) {
  if (call->finished) return;
  call->finished = true;
  auto keep = call;
  if (call->timer != 0) loop.Cancel(call->timer);
  ReleaseConnection(call);
  calls.erase(keep);
  Done done = std::move(keep->done);
  if (done) done(std::move(result));
  Pump();
}

void Client::Impl::Shutdown() {
  shut = true;
  if (pump_timer != 0) loop.Cancel(pump_timer);
  for (auto& lane : waiting) lane.clear();
  auto all = calls;
  for (auto& call : all) {
    if (call->cancel_opening) {
      std::exchange(call->cancel_opening, nullptr)();
    } else if (call->connection) {
      call->connection->Close();
    } else {
      FinishError(call, {Code::kCancelled, "client is closed"});
    }
  }
  for (auto& entry : idle) entry.connection->Close();
  idle.clear();
}

void Client::Impl::Count(const std::string& method, const std::string& path, int code) {
  CallName name = NameCall(method, path);
  MutexLock lock(mutex);
  ++counts[{std::move(name.verb), std::move(name.resource), code}];
}

std::vector<Client::CallCount> Client::Impl::Counts() const {
  std::vector<CallCount> out;
  MutexLock lock(mutex);
  for (const auto& [key, count] : counts) {
    out.push_back({std::get<0>(key), std::get<1>(key), std::get<2>(key), count});
  }
  return out;
}

namespace {

constexpr Duration kStreamOpenLimit = std::chrono::seconds(30);

class OpenedStream final : public StreamCall, public std::enable_shared_from_this<OpenedStream> {
 public:
  OpenedStream(std::shared_ptr<Client::Impl> client, std::string path, Duration idle_limit,
               StreamHandlers handlers)
      : client_(std::move(client)),
        path_(std::move(path)),
        idle_limit_(idle_limit),
        handlers_(std::move(handlers)) {}

  void Start() {
    auto opening = net::HttpConnection::Open(
        client_->loop, client_->MakePeer(), client_->loop.clock().Mono() + kStreamOpenLimit,
        [self = shared_from_this()](Result<std::shared_ptr<net::HttpConnection>> opened) {
          self->cancel_opening_ = nullptr;
          if (self->over_) return;
          if (!opened) return self->End(Fail(std::move(opened.error())));
          self->connection_ = std::move(*opened);
          self->Send();
        });
    cancel_opening_ = std::move(opening.cancel);
  }

  void Cancel() override {
    over_ = true;
    if (cancel_opening_) std::exchange(cancel_opening_, nullptr)();
    if (auto connection = std::exchange(connection_, nullptr)) connection->Close();
    handlers_ = {};
  }

 private:
  void Send() {
    Request request;
    request.path = path_;
    net::HttpConnection::Exchange exchange;
    auto self = shared_from_this();
    exchange.on_head = [self](int status, const std::vector<net::Header>& headers) {
      self->OnHead(status, headers);
    };
    exchange.on_body = [self](std::string_view piece) { self->OnBody(piece); };
    exchange.on_end = [self](Result<void> end) { self->OnEnd(std::move(end)); };
    connection_->Start(client_->MakeRequest(request),
                       client_->loop.clock().Mono() + kStreamOpenLimit, std::move(exchange));
  }

  void OnHead(int status, const std::vector<net::Header>& headers) {
    if (over_) return;
    status_ = status;
    retry_after_ = RetryAfter(headers);
    client_->Count("GET", path_, status);
    if (status != 200) return;
    connection_->SetDeadline(client_->loop.clock().Mono() + idle_limit_);
    handlers_.on_open();
  }

  void OnBody(std::string_view piece) {
    if (over_) return;
    if (status_ != 200) {
      error_body_ += piece;
      return;
    }
    connection_->SetDeadline(client_->loop.clock().Mono() + idle_limit_);
    handlers_.on_data(piece);
  }

  void OnEnd(Result<void> end) {
    if (over_) return;
    if (end && status_ != 200) end = Fail(StatusError(status_, error_body_));
    if (status_ == 401) client_->credentials.Expire();
    End(std::move(end));
  }

  void End(Result<void> end) {
    over_ = true;
    auto connection = std::exchange(connection_, nullptr);
    auto on_end = std::move(handlers_.on_end);
    handlers_ = {};
    on_end(std::move(end), retry_after_);
  }

  std::shared_ptr<Client::Impl> client_;
  std::string path_;
  Duration idle_limit_;
  StreamHandlers handlers_;
  std::shared_ptr<net::HttpConnection> connection_;
  std::function<void()> cancel_opening_;
  std::string error_body_;
  Duration retry_after_{0};
  int status_ = 0;
  bool over_ = false;
};

}  // namespace

std::shared_ptr<StreamCall> Client::Impl::OpenStream(const std::string& path, Duration idle_limit,
                                                     StreamHandlers handlers) {
  auto stream =
      std::make_shared<OpenedStream>(shared_from_this(), path, idle_limit, std::move(handlers));
  stream->Start();
  return stream;
}

Result<std::unique_ptr<Client>> Client::Create(net::Loop& loop, Config config,
                                               ClientOptions options) {
  TRY_ASSIGN(net::Url url, net::ParseUrl(config.server));
  auto credentials = Credentials::Create(RealFileSystem(), loop.clock(), config);
  if (!credentials) return Fail(std::move(credentials.error()).With("API server " + config.server));
  auto impl = std::make_shared<Impl>(loop, std::move(config), std::move(url),
                                     std::move(*credentials), std::move(options));
  return std::unique_ptr<Client>(new Client(std::move(impl)));
}

Client::Client(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

Client::~Client() {
  impl_->loop.RunSync([this] { impl_->Shutdown(); });
}

void Client::Call(Request request, Done done) {
  auto call = std::make_shared<PendingCall>();
  Duration timeout = request.timeout.count() > 0 ? request.timeout : impl_->options.timeout;
  if (timeout.count() <= 0) timeout = std::chrono::hours(24);  // "no limit"
  call->deadline = loop().clock().Mono() + timeout;
  call->request = std::move(request);
  call->done = std::move(done);
  impl_->Submit(std::move(call));
}

Result<Response> Client::CallSync(Request request) {
  CHECK(!loop().OnThread());
  std::promise<Result<Response>> answered;
  Call(std::move(request), [&](Result<Response> r) { answered.set_value(std::move(r)); });
  return answered.get_future().get();
}

net::Loop& Client::loop() { return impl_->loop; }
const std::string& Client::default_namespace() const { return impl_->config.ns; }
std::vector<Client::CallCount> Client::CallCounts() const { return impl_->Counts(); }

}  // namespace hami::kube

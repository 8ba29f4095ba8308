#include "platform/net/http_server.h"

#include <future>
#include <map>
#include <utility>

#include "base/log.h"
#include "platform/net/cert_reloader.h"
#include "platform/net/http_session.h"
#include "platform/net/responder.h"
#include "platform/net/stream.h"

namespace hami::net {

void Responder::Reply(HttpResponse response) const { state_->Deliver(std::move(response)); }

bool Responder::closed() const { return state_->closed; }

struct HttpServer::Impl final : SessionHost, std::enable_shared_from_this<HttpServer::Impl> {
  Impl(Loop& l, ServerOptions o, std::vector<Route> r)
      : loop(l), opts(std::move(o)), routes(std::move(r)) {}

  // Everything below runs on the Loop's thread.

  void AcceptNext() {
    if (stopping || accepting) return;
    if (sessions.size() >= opts.max_connections && !MakeRoom()) return;  // OnEnd asks again
    accepting = true;
    listener->Accept([self = shared_from_this()](Result<std::shared_ptr<Stream>> stream) {
      self->accepting = false;
      if (self->stopping) return;
      if (!stream) {
        LOG(kWarn, "connection not accepted").Kv("error", stream.error().message);
        self->loop.PostAfter(std::chrono::milliseconds(100), [self] { self->AcceptNext(); });
        return;
      }
      auto session = MakeSession(self->loop, *self, std::move(*stream),
                                 self->certs ? self->certs->current() : nullptr);
      self->sessions[session.get()] = session;
      session->Start();
      self->AcceptNext();
    });
  }

  bool MakeRoom() {
    Session* oldest = nullptr;
    for (auto& [raw, session] : sessions) {
      if (raw->idle() && (oldest == nullptr || raw->idle_since() < oldest->idle_since())) {
        oldest = raw;
      }
    }
    if (oldest == nullptr) return false;
    auto keep = sessions.at(oldest);
    ending_for_room = true;
    keep->Abort();
    ending_for_room = false;
    return true;
  }

  Match Find(std::string_view method, std::string_view path) const override {
    Match match;
    for (const Route& route : routes) {
      if (!Covers(route, path)) continue;
      match.path_known = true;
      if (route.method == method || (route.method == "GET" && method == "HEAD")) {
        match.route = &route;
        return match;
      }
      match.allow += (match.allow.empty() ? "" : ", ") + route.method;
    }
    return match;
  }

  static bool Covers(const Route& route, std::string_view path) {
    if (route.path.ends_with("/*")) {
      return path.starts_with(std::string_view(route.path).substr(0, route.path.size() - 1));
    }
    return route.path == path;
  }

  const ServerOptions& options() const override { return opts; }
  bool draining() const override { return stopping; }

  void OnEnd(Session& session) override {
    sessions.erase(&session);
    if (stopping) {
      FinishIfEmpty();
    } else if (!ending_for_room) {
      AcceptNext();
    }
  }

  void BeginStop() {
    stopping = true;
    listener->Close();
    ForEach([](Session& session) { session.Drain(); });
    loop.PostAfter(opts.drain, [self = shared_from_this()] {
      self->ForEach([](Session& session) { session.Abort(); });
    });
    FinishIfEmpty();
  }

  void ForEach(const std::function<void(Session&)>& visit) {
    auto copy = sessions;
    for (auto& [raw, session] : copy) visit(*session);
  }

  void FinishIfEmpty() {
    if (!sessions.empty() || finished) return;
    finished = true;
    certs.reset();
    all_ended.set_value();
  }

  Loop& loop;
  ServerOptions opts;
  std::vector<Route> routes;
  std::shared_ptr<Listener> listener;
  std::unique_ptr<CertReloader> certs;
  std::map<Session*, std::shared_ptr<Session>> sessions;
  std::promise<void> all_ended;
  bool accepting = false;
  bool stopping = false;
  bool finished = false;
  bool ending_for_room = false;
};

Result<std::unique_ptr<HttpServer>> HttpServer::Listen(Loop& loop, ServerOptions options,
                                                       std::vector<Route> routes) {
  auto impl = std::make_shared<Impl>(loop, std::move(options), std::move(routes));
  if (impl->opts.tls) {
    TRY_ASSIGN(impl->certs, CertReloader::Create(loop, *impl->opts.tls));
  }
  auto listener = ListenTcp(loop, impl->opts.address);
  if (!listener) {
    loop.RunSync([&] { impl->certs.reset(); });
    return Fail(std::move(listener.error()));
  }
  impl->listener = std::move(*listener);
  loop.RunSync([&] { impl->AcceptNext(); });
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

HttpServer::HttpServer(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

HttpServer::~HttpServer() {
  CHECK(!impl_->loop.OnThread());
  auto ended = impl_->all_ended.get_future();
  impl_->loop.Post([impl = impl_] { impl->BeginStop(); });
  ended.wait();
}

int HttpServer::port() const { return impl_->listener->port(); }

int64_t HttpServer::CertExpiryUnix() const { return impl_->certs ? impl_->certs->ExpiryUnix() : 0; }

}  // namespace hami::net

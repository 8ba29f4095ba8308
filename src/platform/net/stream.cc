#include "platform/net/stream.h"

#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>
#include <charconv>
#include <optional>
#include <utility>

#include "platform/net/asio_loop.h"
#include "platform/net/asio_tls.h"

namespace hami::net {
namespace {

namespace asio = boost::asio;
namespace ssl = boost::asio::ssl;
using boost::system::error_code;
using tcp = asio::ip::tcp;
using unix_stream = asio::local::stream_protocol;

bool IsEnd(const error_code& ec) {
  return ec == asio::error::eof || ec == ssl::error::stream_truncated;
}

Error ToError(const error_code& ec, std::string_view what) {
  if (ec == asio::error::operation_aborted || ec == asio::error::bad_descriptor) {
    return {Code::kCancelled, std::string(what) + ": given up"};
  }
  return {Code::kUnavailable, std::string(what) + ": " + ec.message()};
}

// A peer that vanished without a word is noticed after 15 + 3 * 5 s.
void TuneSocket(tcp::socket& socket) {
  error_code ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  socket.set_option(asio::socket_base::keep_alive(true), ignored);
  int fd = socket.native_handle();
  int idle = 15, interval = 5, count = 3;
  unsigned user_timeout_ms = 30'000;
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
  setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout_ms, sizeof user_timeout_ms);
}

// Socket: tcp::socket, unix socket, or TLS over tcp::socket.
template <class Socket>
class AsioStream final : public Stream, public std::enable_shared_from_this<AsioStream<Socket>> {
 public:
  template <class... Args>
  explicit AsioStream(std::shared_ptr<TlsContext> tls, Args&&... args)
      : tls_(std::move(tls)), socket_(std::forward<Args>(args)...) {}

  void ReadSome(char* data, size_t size, IoDone done) override {
    socket_.async_read_some(
        asio::buffer(data, size),
        [self = this->shared_from_this(), done = std::move(done)](const error_code& ec, size_t n) {
          if (IsEnd(ec)) return done(size_t{0});
          if (ec) return done(Fail(ToError(ec, "read")));
          done(n);
        });
  }

  void Write(std::string head, std::string body, WriteDone done) override {
    auto texts = std::make_shared<std::array<std::string, 2>>(
        std::array<std::string, 2>{std::move(head), std::move(body)});
    std::array<asio::const_buffer, 2> buffers = {asio::buffer((*texts)[0]),
                                                 asio::buffer((*texts)[1])};
    asio::async_write(socket_, buffers,
                      [self = this->shared_from_this(), texts, done = std::move(done)](
                          const error_code& ec, size_t n) {
                        if (ec) return done(Fail(ToError(ec, "write")), n);
                        done({}, n);
                      });
  }

  void CloseWrite(std::function<void()> done) override {
    if constexpr (kTls) {
      // Completes when the peer answers; the caller's deadline bounds that.
      socket_.async_shutdown(
          [self = this->shared_from_this(), done = std::move(done)](const error_code&) { done(); });
    } else {
      error_code ignored;
      socket_.shutdown(asio::socket_base::shutdown_send, ignored);
      done();
    }
  }

  void Close() override {
    error_code ignored;
    socket_.lowest_layer().close(ignored);
  }

  Socket& socket() { return socket_; }

 private:
  static constexpr bool kTls = std::is_same_v<Socket, ssl::stream<tcp::socket>>;

  std::shared_ptr<TlsContext> tls_;  // before socket_: outlives it
  Socket socket_;
};

using PlainStream = AsioStream<tcp::socket>;
using UnixStream = AsioStream<unix_stream::socket>;
using TlsStream = AsioStream<ssl::stream<tcp::socket>>;

bool IsAddress(const std::string& host) {
  error_code ec;
  asio::ip::make_address(host, ec);
  return !ec;
}

std::string HandshakeFailure(TlsStream& stream, const error_code& ec) {
  long verdict = SSL_get_verify_result(stream.socket().native_handle());
  if (verdict != X509_V_OK) return X509_verify_cert_error_string(verdict);
  if (IsEnd(ec)) return "the peer closed the connection";
  return ec.message();
}

class ConnectOp final : public Cancellable, public std::enable_shared_from_this<ConnectOp> {
 public:
  ConnectOp(Loop& loop, Endpoint endpoint, StreamDone done)
      : io_(*loop.impl().io),
        endpoint_(std::move(endpoint)),
        done_(std::move(done)),
        resolver_(io_),
        socket_(io_) {}

  void Start() {
    if (!endpoint_.unix_path.empty()) return StartUnix();
    auto self = shared_from_this();
    resolver_.async_resolve(endpoint_.host, std::to_string(endpoint_.port),
                            tcp::resolver::numeric_service,
                            [self](const error_code& ec, const tcp::resolver::results_type& found) {
                              if (self->cancelled_) return self->Finish(Cancelled());
                              if (ec) return self->Finish(self->Failed("resolve", ec.message()));
                              self->ConnectTo(found);
                            });
  }

  void Cancel() override {
    cancelled_ = true;
    resolver_.cancel();
    error_code ignored;
    socket_.close(ignored);
    if (tls_stream_) tls_stream_->Close();
  }

 private:
  static tl::unexpected<Error> Cancelled() { return Fail(Code::kCancelled, "connect: given up"); }

  std::string Where() const {
    if (!endpoint_.unix_path.empty()) return endpoint_.unix_path;
    return endpoint_.host + ":" + std::to_string(endpoint_.port);
  }

  tl::unexpected<Error> Failed(std::string_view step, const std::string& why) const {
    return Fail(Code::kUnavailable, std::string(step) + " " + Where() + ": " + why);
  }

  void Finish(Result<std::shared_ptr<Stream>> result) {
    StreamDone done = std::move(done_);
    done_ = nullptr;
    if (done) done(std::move(result));
  }

  void StartUnix() {
    auto stream = std::make_shared<UnixStream>(nullptr, io_);
    auto self = shared_from_this();
    stream->socket().async_connect(unix_stream::endpoint(endpoint_.unix_path),
                                   [self, stream](const error_code& ec) {
                                     if (self->cancelled_) return self->Finish(Cancelled());
                                     if (ec)
                                       return self->Finish(self->Failed("connect", ec.message()));
                                     self->Finish(std::shared_ptr<Stream>(stream));
                                   });
  }

  void ConnectTo(const tcp::resolver::results_type& found) {
    asio::async_connect(socket_, found,
                        [self = shared_from_this()](const error_code& ec, const tcp::endpoint&) {
                          if (self->cancelled_) return self->Finish(Cancelled());
                          if (ec) return self->Finish(self->Failed("connect", ec.message()));
                          TuneSocket(self->socket_);
                          self->Secure();
                        });
  }

  void Secure() {
    if (!endpoint_.tls) {
      return Finish(
          std::shared_ptr<Stream>(std::make_shared<PlainStream>(nullptr, std::move(socket_))));
    }
    const std::string& name =
        endpoint_.server_name.empty() ? endpoint_.host : endpoint_.server_name;
    tls_stream_ =
        std::make_shared<TlsStream>(endpoint_.tls, std::move(socket_), endpoint_.tls->context);
    auto& secure = tls_stream_->socket();
    if (!IsAddress(name)) SSL_set_tlsext_host_name(secure.native_handle(), name.c_str());
    static constexpr unsigned char kAlpn[] = "\x08http/1.1";
    SSL_set_alpn_protos(secure.native_handle(), kAlpn, sizeof kAlpn - 1);
    if (endpoint_.tls->verify_peer) {
      error_code ignored;
      secure.set_verify_callback(ssl::host_name_verification(name), ignored);
    }
    secure.async_handshake(
        ssl::stream_base::client, [self = shared_from_this()](const error_code& ec) {
          if (self->cancelled_) return self->Finish(Cancelled());
          if (ec) {
            return self->Finish(
                self->Failed("TLS handshake with", HandshakeFailure(*self->tls_stream_, ec)));
          }
          self->Finish(std::shared_ptr<Stream>(self->tls_stream_));
        });
  }

  asio::io_context& io_;
  Endpoint endpoint_;
  StreamDone done_;
  tcp::resolver resolver_;
  tcp::socket socket_;
  std::shared_ptr<TlsStream> tls_stream_;
  bool cancelled_ = false;
};

class AcceptTlsOp final : public Cancellable, public std::enable_shared_from_this<AcceptTlsOp> {
 public:
  AcceptTlsOp(std::shared_ptr<TlsStream> stream, StreamDone done)
      : stream_(std::move(stream)), done_(std::move(done)) {}

  void Start() {
    stream_->socket().async_handshake(ssl::stream_base::server,
                                      [self = shared_from_this()](const error_code& ec) {
                                        if (ec) {
                                          return self->done_(Fail(ToError(ec, "TLS handshake")));
                                        }
                                        self->done_(std::shared_ptr<Stream>(self->stream_));
                                      });
  }

  void Cancel() override { stream_->Close(); }

 private:
  std::shared_ptr<TlsStream> stream_;
  StreamDone done_;
};

class TcpListener final : public Listener, public std::enable_shared_from_this<TcpListener> {
 public:
  explicit TcpListener(asio::io_context& io) : io_(io), acceptor_(io) {}

  error_code Open(const tcp::endpoint& endpoint, bool both_families) {
    error_code ec;
    error_code ignored;
    acceptor_.open(endpoint.protocol(), ec);
    if (ec) return ec;
    acceptor_.set_option(tcp::acceptor::reuse_address(true), ignored);
    if (endpoint.protocol() == tcp::v6()) {
      acceptor_.set_option(asio::ip::v6_only(!both_families), ignored);
    }
    acceptor_.bind(endpoint, ec);
    if (!ec) acceptor_.listen(asio::socket_base::max_listen_connections, ec);
    if (!ec) port_ = acceptor_.local_endpoint(ignored).port();
    if (ec) acceptor_.close(ignored);
    return ec;
  }

  int port() const override { return port_; }

  void Accept(AcceptDone done) override {
    acceptor_.async_accept(io_, [self = shared_from_this(), done = std::move(done)](
                                    const error_code& ec, tcp::socket socket) {
      if (ec) return done(Fail(ToError(ec, "accept")));
      TuneSocket(socket);
      done(std::shared_ptr<Stream>(std::make_shared<PlainStream>(nullptr, std::move(socket))));
    });
  }

  void Close() override {
    error_code ignored;
    acceptor_.close(ignored);
  }

 private:
  asio::io_context& io_;
  tcp::acceptor acceptor_;
  int port_ = 0;
};

struct HostPort {
  std::string host;  // "" = all addresses
  uint16_t port = 0;
};

Result<HostPort> SplitHostPort(const std::string& address) {
  auto bad = [&] {
    return Fail(Code::kInvalidArgument,
                "listen address \"" + address + "\": expected host:port, for example :8080");
  };
  size_t colon = address.rfind(':');
  if (colon == std::string::npos) return bad();
  HostPort out;
  out.host = address.substr(0, colon);
  const char* end = address.data() + address.size();
  auto [at, ec] = std::from_chars(address.data() + colon + 1, end, out.port);
  if (ec != std::errc() || at != end) return bad();
  if (out.host.size() >= 2 && out.host.front() == '[' && out.host.back() == ']') {
    out.host = out.host.substr(1, out.host.size() - 2);
  } else if (out.host.find(':') != std::string::npos) {
    return bad();
  }
  if (out.host == "localhost") out.host = "127.0.0.1";
  return out;
}

}  // namespace

std::shared_ptr<Cancellable> Connect(Loop& loop, Endpoint endpoint, StreamDone done) {
  auto op = std::make_shared<ConnectOp>(loop, std::move(endpoint), std::move(done));
  op->Start();
  return op;
}

std::shared_ptr<Cancellable> AcceptTls(std::shared_ptr<Stream> plain,
                                       std::shared_ptr<TlsContext> tls, StreamDone done) {
  auto& socket = static_cast<PlainStream&>(*plain).socket();
  auto stream = std::make_shared<TlsStream>(tls, std::move(socket), tls->context);
  auto op = std::make_shared<AcceptTlsOp>(std::move(stream), std::move(done));
  op->Start();
  return op;
}

Result<std::shared_ptr<Listener>> ListenTcp(Loop& loop, const std::string& address) {
  TRY_ASSIGN(HostPort where, SplitHostPort(address));
  auto listener = std::make_shared<TcpListener>(*loop.impl().io);
  error_code ec;
  if (where.host.empty()) {
    ec = listener->Open(tcp::endpoint(tcp::v6(), where.port), true);
    if (ec && ec != asio::error::address_in_use) {  // a machine without IPv6
      ec = listener->Open(tcp::endpoint(tcp::v4(), where.port), false);
    }
  } else {
    asio::ip::address ip = asio::ip::make_address(where.host, ec);
    if (ec) {
      return Fail(Code::kInvalidArgument, "listen address \"" + address + "\": \"" + where.host +
                                              "\" is not an IP address");
    }
    ec = listener->Open(tcp::endpoint(ip, where.port), false);
  }
  if (ec) return Fail(Code::kUnavailable, "listen on " + address + ": " + ec.message());
  return std::shared_ptr<Listener>(std::move(listener));
}

}  // namespace hami::net

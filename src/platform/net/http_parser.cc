#include "platform/net/http_parser.h"

#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

namespace hami::net {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;

Error ToError(const boost::system::error_code& ec) {
  if (ec == http::error::body_limit || ec == http::error::header_limit ||
      ec == http::error::buffer_overflow) {
    return {Code::kResourceExhausted, "HTTP message too large: " + ec.message()};
  }
  return {Code::kInvalidArgument, "malformed HTTP message: " + ec.message()};
}

std::string Text(boost::beast::string_view s) { return {s.data(), s.size()}; }

template <class Parser>
Result<size_t> Put(Parser& parser, std::string_view data) {
  boost::system::error_code ec;
  size_t used = parser.put(asio::buffer(data.data(), data.size()), ec);
  if (ec && ec != http::error::need_more) return Fail(ToError(ec));
  return used;
}

template <class Fields>
std::vector<Header> CopyHeaders(const Fields& fields) {
  std::vector<Header> out;
  for (const auto& field : fields) {
    out.push_back({Text(field.name_string()), Text(field.value())});
  }
  return out;
}

}  // namespace

struct RequestParser::Impl {
  http::request_parser<http::string_body> parser;
  std::string method;
  std::string target;
};

RequestParser::RequestParser() : impl_(std::make_unique<Impl>()) {
  impl_->parser.header_limit(kMaxHeaderBytes);
  impl_->parser.body_limit(boost::none);  // set by ExpectBody
}
RequestParser::~RequestParser() = default;
RequestParser::RequestParser(RequestParser&&) noexcept = default;
RequestParser& RequestParser::operator=(RequestParser&&) noexcept = default;

Result<size_t> RequestParser::Feed(std::string_view data) {
  TRY_ASSIGN(size_t used, Put(impl_->parser, data));
  if (header_done() && impl_->method.empty()) {
    impl_->method = Text(impl_->parser.get().method_string());
    impl_->target = Text(impl_->parser.get().target());
  }
  return used;
}

bool RequestParser::header_done() const { return impl_->parser.is_header_done(); }
bool RequestParser::done() const { return impl_->parser.is_done(); }
const std::string& RequestParser::method() const { return impl_->method; }
const std::string& RequestParser::target() const { return impl_->target; }

std::string RequestParser::Header(std::string_view name) const {
  return Text(impl_->parser.get()[boost::beast::string_view(name.data(), name.size())]);
}

std::optional<uint64_t> RequestParser::content_length() const {
  auto length = impl_->parser.content_length();
  if (!length) return std::nullopt;
  return *length;
}

bool RequestParser::keep_alive() const { return impl_->parser.keep_alive(); }

bool RequestParser::ExpectBody(size_t limit) {
  impl_->parser.body_limit(limit);
  impl_->parser.eager(true);
  auto length = content_length();
  return !length || *length <= limit;
}

HttpRequest RequestParser::Take() {
  auto message = impl_->parser.release();
  HttpRequest out;
  out.method = std::move(impl_->method);
  out.target = std::move(impl_->target);
  out.headers = CopyHeaders(message);
  out.body = std::move(message.body());
  return out;
}

struct ResponseParser::Impl {
  using Parser = http::response_parser<http::string_body>;
  explicit Impl(bool head) : head_request(head) { Reset(); }
  void Reset() {
    parser.emplace();
    parser->header_limit(kMaxHeaderBytes);
    parser->body_limit(boost::none);  // large lists, endless watches
    parser->skip(head_request);
  }
  bool head_request;
  bool have_headers = false;
  std::optional<Parser> parser;
  std::vector<net::Header> headers;
};

ResponseParser::ResponseParser(bool head_request) : impl_(std::make_unique<Impl>(head_request)) {}
ResponseParser::~ResponseParser() = default;
ResponseParser::ResponseParser(ResponseParser&&) noexcept = default;
ResponseParser& ResponseParser::operator=(ResponseParser&&) noexcept = default;

Result<size_t> ResponseParser::Feed(std::string_view data) {
  size_t total = 0;
  while (total < data.size() && !done()) {
    TRY_ASSIGN(size_t used, Put(*impl_->parser, data.substr(total)));
    total += used;
    if (impl_->parser->is_header_done() && !impl_->have_headers) {
      int code = impl_->parser->get().result_int();
      if (code >= 100 && code < 200) {
        impl_->Reset();
        continue;
      }
      const auto length = impl_->parser->content_length();
      if (!impl_->head_request && length && *length > kMaxAnnouncedBytes) {
        return Fail(Code::kResourceExhausted,
                    "HTTP message too large: " + std::to_string(*length) + " bytes announced");
      }
      impl_->have_headers = true;
      impl_->headers = CopyHeaders(impl_->parser->get());
      impl_->parser->eager(true);
    }
    if (used == 0) break;
  }
  return total;
}

Result<void> ResponseParser::FeedEnd() {
  if (done()) return {};
  boost::system::error_code ec = http::error::partial_message;
  if (header_done()) impl_->parser->put_eof(ec);
  if (ec || !done()) {
    return Fail(Code::kUnavailable, header_done() ? "connection closed in the middle of an answer"
                                                  : "connection closed before an answer");
  }
  return {};
}

bool ResponseParser::header_done() const { return impl_->have_headers; }
bool ResponseParser::done() const { return impl_->have_headers && impl_->parser->is_done(); }
int ResponseParser::status() const { return static_cast<int>(impl_->parser->get().result_int()); }
bool ResponseParser::keep_alive() const { return impl_->parser->keep_alive(); }
const std::vector<Header>& ResponseParser::headers() const { return impl_->headers; }

std::string ResponseParser::TakeBody() {
  std::string out;
  out.swap(impl_->parser->get().body());
  return out;
}

std::string_view ReasonPhrase(int status) {
  auto phrase = http::obsolete_reason(static_cast<http::status>(status));
  return {phrase.data(), phrase.size()};
}

}  // namespace hami::net

// Incremental HTTP/1.1 parsers: bytes in, requests and responses out. The only users of Beast.
//
// Private to platform/net. Values with state; one thread at a time. Hostile input is bounded: 64
// KiB of headers, a body limit that the caller sets once it knows the route.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "platform/net/http.h"

namespace hami::net {

inline constexpr size_t kMaxHeaderBytes = 64 << 10;
// Of a response, whose announced length is room that is taken at once: above any page of a list
// (500 objects of at most 1.5 MiB). A stream without a length, as a watch, has no end.
inline constexpr uint64_t kMaxAnnouncedBytes = uint64_t{1} << 30;

class RequestParser {
 public:
  RequestParser();
  ~RequestParser();
  RequestParser(RequestParser&&) noexcept;
  RequestParser& operator=(RequestParser&&) noexcept;

  // Returns how many bytes were used; what was not must come again with more behind it. Stops
  // behind the header: call ExpectBody, then feed on. Errors: kInvalidArgument (not HTTP),
  // kResourceExhausted (header or body above its limit).
  Result<size_t> Feed(std::string_view data);
  bool header_done() const;
  bool done() const;

  // From here on after header_done():
  const std::string& method() const;
  const std::string& target() const;
  std::string Header(std::string_view name) const;
  std::optional<uint64_t> content_length() const;
  bool keep_alive() const;
  // False when the announced length is above `limit` already.
  bool ExpectBody(size_t limit);
  // After done().
  HttpRequest Take();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

class ResponseParser {
 public:
  explicit ResponseParser(bool head_request);
  ~ResponseParser();
  ResponseParser(ResponseParser&&) noexcept;
  ResponseParser& operator=(ResponseParser&&) noexcept;

  // As RequestParser::Feed, but does not stop behind the header. 1xx answers are skipped.
  Result<size_t> Feed(std::string_view data);
  // The peer closed: the end of a body without a length; otherwise kUnavailable (cut off).
  Result<void> FeedEnd();
  bool header_done() const;
  bool done() const;
  int status() const;
  bool keep_alive() const;
  const std::vector<Header>& headers() const;
  // Body bytes decoded since the last call.
  std::string TakeBody();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// "Not Found"; "" for unknown ones.
std::string_view ReasonPhrase(int status);

}  // namespace hami::net

// HTTP values shared by server and client. Plain values; no threads.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hami::net {

struct Header {
  std::string name;  // compared without case
  std::string value;
};

bool SameHeaderName(std::string_view a, std::string_view b);
// Value of the first header of that name, "" when absent.
std::string_view FindHeader(const std::vector<Header>& headers, std::string_view name);
// For one path segment or query value: all but RFC 3986's unreserved characters as %XX.
std::string PercentEncode(std::string_view text);

struct HttpRequest {
  std::string method = "GET";
  std::string target = "/";  // path and query, percent-encoded
  std::vector<Header> headers;
  std::string body;

  std::string_view Path() const { return std::string_view(target).substr(0, target.find('?')); }
  // First header of that name, "" when absent.
  std::string_view HeaderValue(std::string_view name) const;
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::vector<Header> headers;
};

}  // namespace hami::net

#include "platform/kube/status.h"

#include <vector>

#include "base/json.h"

namespace hami::kube {
namespace {

Code CodeOf(int status, std::string_view reason) {
  switch (status) {
    case 401:
      return Code::kUnauthenticated;
    case 403:
      return Code::kPermissionDenied;
    case 404:
      return Code::kNotFound;
    case 408:
    case 504:
      return Code::kDeadlineExceeded;
    case 409:
      return reason == "AlreadyExists" ? Code::kAlreadyExists : Code::kConflict;
    case 410:
      return Code::kFailedPrecondition;
    case 429:
      return Code::kResourceExhausted;
    default:
      break;
  }
  if (status >= 500) return Code::kUnavailable;
  return status >= 400 ? Code::kInvalidArgument : Code::kInternal;
}

std::vector<std::string_view> Segments(std::string_view path) {
  std::vector<std::string_view> out;
  while (!path.empty()) {
    path.remove_prefix(1);  // '/'
    size_t slash = std::min(path.find('/'), path.size());
    if (slash > 0) out.push_back(path.substr(0, slash));
    path.remove_prefix(slash);
  }
  return out;
}

}  // namespace

Error StatusError(int http_status, std::string_view body) {
  std::string message;
  std::string reason;
  if (auto parsed = ParseJson(body); parsed && StringAt(*parsed, {"kind"}) == "Status") {
    message = StringAt(*parsed, {"message"});
    reason = StringAt(*parsed, {"reason"});
  }
  if (message.empty()) {
    message = "HTTP status " + std::to_string(http_status);
    std::string_view start = body.substr(0, 200);
    size_t text_end = start.find_last_not_of(" \r\n\t");
    if (text_end != std::string_view::npos)
      message += ": " + std::string(start.substr(0, text_end + 1));
  }
  return {CodeOf(http_status, reason), std::move(message)};
}

CallName NameCall(std::string_view method, std::string_view target) {
  std::string_view query;
  if (size_t mark = target.find('?'); mark != std::string_view::npos) {
    query = target.substr(mark + 1);
    target = target.substr(0, mark);
  }
  std::vector<std::string_view> parts =
      target.starts_with('/') ? Segments(target) : std::vector<std::string_view>();
  CallName out;
  bool named = false;
  size_t at = parts.empty() ? 0 : parts[0] == "api" ? 2 : parts[0] == "apis" ? 3 : parts.size();
  bool namespaced = at + 2 < parts.size() && parts[at] == "namespaces";
  if (namespaced && parts.size() == at + 3 &&
      (parts[at + 2] == "status" || parts[at + 2] == "finalize")) {
    namespaced = false;  // a subresource of the namespace itself
  }
  if (namespaced) at += 2;
  if (at < parts.size()) {
    out.resource = parts[at];
    named = at + 1 < parts.size();
    if (at + 2 < parts.size()) out.resource += "/" + std::string(parts[at + 2]);
  }
  if (method == "GET" || method == "HEAD") {
    bool watch = query.find("watch=1") != std::string_view::npos ||
                 query.find("watch=true") != std::string_view::npos;
    out.verb = watch ? "watch" : (named || out.resource.empty()) ? "get" : "list";
  } else if (method == "POST") {
    out.verb = "create";
  } else if (method == "PUT") {
    out.verb = "update";
  } else if (method == "PATCH") {
    out.verb = "patch";
  } else {
    out.verb = "delete";
  }
  return out;
}

}  // namespace hami::kube

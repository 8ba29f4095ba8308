// What an HTTP answer of the API server means: the one table from code and Status.reason to Error,
// and the names of verb and resource that metrics use. Values, no threads. Private to
// platform/kube.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace hami::kube {

// `body` is a Status object or anything else; message falls back to the code.
Error StatusError(int http_status, std::string_view body);

struct CallName {
  std::string verb;      // get list watch create update patch delete
  std::string resource;  // "pods", "pods/binding", "" for others such as /version
};
CallName NameCall(std::string_view method, std::string_view target);

}  // namespace hami::kube

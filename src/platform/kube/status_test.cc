#include "platform/kube/status.h"

#include <gtest/gtest.h>

namespace hami::kube {
namespace {

TEST(StatusTest, TheStatusObjectNamesReasonAndMessage) {
  Error error = StatusError(
      409, R"({"kind":"Status","reason":"AlreadyExists","message":"pods \"p\" already exists"})");
  EXPECT_EQ(error.code, Code::kAlreadyExists);
  EXPECT_EQ(error.message, "pods \"p\" already exists");
  EXPECT_EQ(StatusError(409, R"({"kind":"Status","reason":"Conflict","message":"m"})").code,
            Code::kConflict);
}

TEST(StatusTest, AnswersOfOthersAreQuotedInShort) {
  Error error = StatusError(502, "<html>bad gateway</html>\n");
  EXPECT_EQ(error.code, Code::kUnavailable);
  EXPECT_EQ(error.message, "HTTP status 502: <html>bad gateway</html>");
  EXPECT_EQ(StatusError(500, "").message, "HTTP status 500");
  EXPECT_LT(StatusError(500, std::string(10'000, 'x')).message.size(), 250u);
}

TEST(StatusTest, CallsAreNamedByVerbAndResource) {
  struct Case {
    const char *method, *target, *verb, *resource;
  };
  for (const Case& c : {
           Case{"GET", "/api/v1/pods?limit=500", "list", "pods"},
           Case{"GET", "/api/v1/namespaces/a/pods?watch=1", "watch", "pods"},
           Case{"GET", "/api/v1/namespaces/a/pods/p", "get", "pods"},
           Case{"POST", "/api/v1/namespaces/a/pods/p/binding", "create", "pods/binding"},
           Case{"PATCH", "/api/v1/nodes/n/status", "patch", "nodes/status"},
           Case{"GET", "/api/v1/namespaces", "list", "namespaces"},
           Case{"GET", "/api/v1/namespaces/a", "get", "namespaces"},
           Case{"PUT", "/api/v1/namespaces/a/finalize", "update", "namespaces/finalize"},
           Case{"PUT", "/apis/coordination.k8s.io/v1/namespaces/k/leases/l", "update", "leases"},
           Case{"DELETE", "/apis/resource.k8s.io/v1/resourceslices/s", "delete", "resourceslices"},
           Case{"GET", "/version", "get", ""},
           Case{"GET", "/", "get", ""},
           Case{"GET", "", "get", ""},
           Case{"GET", "/api", "get", ""},
           Case{"GET", "/apis/x", "get", ""},
       }) {
    CallName name = NameCall(c.method, c.target);
    EXPECT_EQ(name.verb, c.verb) << c.target;
    EXPECT_EQ(name.resource, c.resource) << c.target;
  }
}

}  // namespace
}  // namespace hami::kube

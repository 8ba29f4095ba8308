#include "services/admission/service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.h"

namespace hami::admission {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Pair;

struct Fixture {
  WorkerPool workers{"test", 1};
  Service service{AdmissionConfig{.devices = protocol::DefaultDeviceConfig(),
                                  .scheduler_name = "hami-scheduler"},
                  workers};
  Json Post(std::string type, std::string body) {
    net::HttpRequest request;
    request.method = "POST";
    request.target = "/webhook";
    request.headers.push_back({"Content-Type", std::move(type)});
    request.body = std::move(body);
    net::HttpResponse response = service.Handle(request);
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.content_type, "application/json");
    return ParseJson(response.body).value();
  }
};

int64_t CodeOf(const Json& review) { return IntAt(review, {"response", "status", "code"}).value(); }

TEST(AdmissionServiceTest, ABodyBeyondSevenMebibytesIsToldSoInsideTheReview) {
  Fixture f;
  EXPECT_EQ(CodeOf(f.Post("application/json", std::string(kMaxReviewBytes + 1, ' '))), 413);
  EXPECT_EQ(CodeOf(f.Post("application/json", std::string(kMaxReviewBytes, ' '))), 400);
  EXPECT_GT(f.service.Routes().front().body_limit, kMaxReviewBytes);
}

TEST(AdmissionServiceTest, AnotherContentTypeAndAnEmptyBodyAreRefused) {
  Fixture f;
  Json text = f.Post("text/plain", "{}");
  EXPECT_EQ(CodeOf(text), 400);
  EXPECT_EQ(StringAt(text, {"response", "status", "message"}),
            "contentType=text/plain, expected application/json");
  EXPECT_EQ(CodeOf(f.Post("application/json; charset=utf-8", "")), 400);
  EXPECT_THAT(f.service.Counts(), Contains(Pair("undecodable", 2)));
}

TEST(AdmissionServiceTest, OutcomesAreCounted) {
  Fixture f;
  Json review = f.Post("application/json",
                       R"({"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":)"
                       R"({"uid":"u1","object":{"spec":{"containers":[]}}}})");
  EXPECT_EQ(CodeOf(review), 403);
  EXPECT_EQ(StringAt(review, {"response", "uid"}), "u1");
  EXPECT_THAT(f.service.Counts(), Contains(Pair("denied", 1)));
}

}  // namespace
}  // namespace hami::admission

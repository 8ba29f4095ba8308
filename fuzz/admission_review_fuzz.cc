// Review: every body gets an answer that the API server can read, and a patch that applies to the
// Pod it was made for; a patched Pod needs no second one.
#include "base/base64.h"
#include "base/json.h"
#include "fuzz/fuzz.h"
#include "services/admission/patch_applier.h"
#include "services/admission/review.h"

using namespace hami;  // NOLINT

namespace {

const admission::AdmissionConfig& Config() {
  static const admission::AdmissionConfig config{.devices = protocol::DefaultDeviceConfig(),
                                                 .scheduler_name = "hami-scheduler"};
  return config;
}

}  // namespace

FUZZ_TARGET(text) {
  const admission::ReviewResult result = admission::Review(text, Config());
  const auto answer = ParseJson(result.body);
  FUZZ_CHECK(answer.has_value());
  const auto allowed = BoolAt(*answer, {"response", "allowed"});
  FUZZ_CHECK(allowed.has_value());
  if (!*allowed) return FUZZ_CHECK(!result.message.empty());
  const std::string_view patch = StringAt(*answer, {"response", "patch"});
  if (patch.empty()) return;
  const auto operations = ParseJson(DecodeBase64(patch).value());
  FUZZ_CHECK(operations.has_value());
  Json review = *ParseJson(text);
  Json& object = review.as_object()["request"].as_object()["object"];
  const auto patched = admission::ApplyPatch(object, *operations);
  FUZZ_CHECK(patched.has_value());
  object = *patched;
  const auto again = admission::Review(ToJson(review), Config());
  FUZZ_CHECK(StringAt(*ParseJson(again.body), {"response", "patch"}).empty());
}

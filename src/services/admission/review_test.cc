#include "services/admission/review.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "base/base64.h"
#include "base/env.h"
#include "base/fs.h"
#include "domain/protocol/names.h"
#include "domain/protocol/objects.h"
#include "domain/vendor/vendor.h"
#include "services/admission/patch_applier.h"

namespace hami::admission {
namespace {

namespace json = boost::json;
using testing::HasSubstr;
using testing::StartsWith;

AdmissionConfig Config() {
  return {.devices = protocol::DefaultDeviceConfig(), .scheduler_name = "hami-scheduler"};
}

std::string ReadFile(const std::string& path) {
  auto text = RealFileSystem().Read(path);
  EXPECT_TRUE(text.has_value()) << path;
  return text.value_or("");
}

// The review with its patch decoded, so that the golden files can be read.
Json Readable(const ReviewResult& result) {
  Json review = ParseJson(result.body).value();
  auto& response = review.as_object()["response"].as_object();
  if (auto* patch = response.if_contains("patch")) {
    *patch = ParseJson(DecodeBase64(patch->as_string()).value()).value();
  }
  return review;
}

Json ObjectOf(std::string_view review_text) {
  return *Find(*ParseJson(review_text), {"request", "object"});
}

// The Pod as the API server will have it.
Json Patched(const Json& object, const ReviewResult& result) {
  Json review = Readable(result);
  const Json* patch = Find(review, {"response", "patch"});
  if (patch == nullptr) return object;
  auto applied = ApplyPatch(object, *patch);
  EXPECT_TRUE(applied.has_value()) << applied.error().message;
  return applied.value_or(Json());
}

void Guarded(AdmissionConfig& config) {
  config.decision_writers = {"system:serviceaccount:kube-system:hami-scheduler",
                             "system:serviceaccount:kube-system:hami-device-plugin"};
}

struct Golden {
  const char* name;
  void (*configure)(AdmissionConfig&) = [](AdmissionConfig&) {};
};

const Golden kGoldens[] = {
    {"slice"},
    {"slice_v1beta1"},
    {"no_cards"},
    {"whole_card_by_default",
     [](AdmissionConfig& c) { c.devices.nvidia.runtime_class = "nvidia"; }},
    {"memory_alone_gets_a_count"},
    {"two_containers_and_init"},
    {"unknown_future_fields"},
    {"priority_and_core_policy_beside_user_env",
     [](AdmissionConfig& c) { c.devices.nvidia.core_policy = protocol::CorePolicy::kForce; }},
    {"core_policy_spares_pods_without_cards",
     [](AdmissionConfig& c) { c.devices.nvidia.core_policy = protocol::CorePolicy::kForce; }},
    {"overwrite_env", [](AdmissionConfig& c) { c.devices.nvidia.overwrite_env = true; }},
    {"memory_and_percentage_warn"},
    {"other_scheduler"},
    {"other_scheduler_forged"},
    {"default_scheduler_kept",
     [](AdmissionConfig& c) { c.force_overwrite_default_scheduler = false; }},
    {"forged_annotations"},
    {"forged_annotations_denied", [](AdmissionConfig& c) { c.deny_forged_annotations = true; }},
    {"control_disabled"},
    {"control_disabled_forbidden", [](AdmissionConfig& c) { c.allow_disable_control = false; }},
    {"annotations_without_effect"},
    {"annotations_with_effect"},
    {"privileged"},
    {"privileged_init"},
    {"privileged_allowed", [](AdmissionConfig& c) { c.allow_privileged = true; }},
    {"privileged_without_cards"},
    {"node_assigned"},
    {"no_containers"},
    {"memory_in_bytes"},
    {"memory_negative"},
    {"count_fractional"},
    {"share_of_no_card"},
    {"percentage_101"},
    {"cores_101"},
    {"wrong_type"},
    {"update_is_let_through"},
    {"update_shrinks_the_share", Guarded},
    {"update_shrinks_the_share_denied",
     [](AdmissionConfig& c) {
       Guarded(c);
       c.deny_forged_annotations = true;
     }},
    {"update_forges_a_share", Guarded},
    {"update_drops_every_annotation", Guarded},
    {"update_of_status_forges", Guarded},
    {"update_by_the_plugin", Guarded},
    {"update_by_a_kubelet", Guarded},
    {"update_of_the_users_own_annotations", Guarded},
    {"update_without_writers"},
};

class GoldenTest : public testing::TestWithParam<Golden> {};

// HAMI_UPDATE_GOLDEN=1 writes the answers instead of comparing them.
TEST_P(GoldenTest, AnswerIsTheOneInTheFile) {
  AdmissionConfig config = Config();
  GetParam().configure(config);
  std::string base = std::string("testdata/") + GetParam().name;
  std::string input = ReadFile(base + ".in.json");
  ReviewResult result = Review(input, config);
  std::string answer = ToJson(Readable(result)) + "\n";
  if (GetEnv("HAMI_UPDATE_GOLDEN")) {
    ASSERT_TRUE(RealFileSystem().WriteAtomic(base + ".out.json", answer, 0644).has_value());
  }
  EXPECT_EQ(answer, ReadFile(base + ".out.json"));

  // A second pass over what the API server made of it changes nothing more (reinvocation, and Pods
  // that controllers copy).
  Json review = ParseJson(input).value();
  Json& object = review.as_object()["request"].as_object()["object"];
  object = Patched(object, result);
  ReviewResult again = Review(ToJson(review), config);
  EXPECT_EQ(Find(Readable(again), {"response", "patch"}), nullptr) << again.body;
}

INSTANTIATE_TEST_SUITE_P(All, GoldenTest, testing::ValuesIn(kGoldens),
                         [](const auto& golden) { return std::string(golden.param.name); });

TEST(ReviewTest, UnknownFutureFieldsKeepEveryByteOfTheirs) {
  std::string input = ReadFile("testdata/unknown_future_fields.in.json");
  Json before = ObjectOf(input);
  Json after = Patched(before, Review(input, Config()));
  EXPECT_EQ(StringAt(after, {"spec", "schedulerName"}), "hami-scheduler");
  after.as_object()["spec"].as_object()["schedulerName"] = *Find(before, {"spec", "schedulerName"});
  EXPECT_EQ(ToJson(after), ToJson(before));
}

TEST(ReviewTest, TheRequestsNamespaceNamesThePod) {
  std::string input = ReadFile("testdata/slice.in.json");
  EXPECT_EQ(Review(input, Config()).pod, "team-a/train");
}

TEST(ReviewTest, WithoutASchedulerNameNothingIsAssigned) {
  AdmissionConfig config = Config();
  config.scheduler_name.clear();
  ReviewResult result = Review(ReadFile("testdata/slice.in.json"), config);
  EXPECT_EQ(result.outcome, Outcome::kAllowed);
  EXPECT_TRUE(result.uses_cards);
}

TEST(ReviewTest, TextsOfTheReferenceComeFirstAndUnchanged) {
  const std::pair<const char*, const char*> kTexts[] = {
      {"no_containers", "pod has no containers"},
      {"node_assigned", "pod has node assigned; "},
      {"privileged", "container main is privileged; "},
      {"privileged_init", "container setup is privileged; "},
      {"percentage_101",
       "invalid nvidia.com/gpumem-percentage value 101 in container main: must be an integer "
       "between "
       "0 and 100"}};
  for (auto [name, text] : kTexts) {
    ReviewResult result = Review(ReadFile(std::string("testdata/") + name + ".in.json"), Config());
    EXPECT_THAT(result.message, StartsWith(text));
  }
}

TEST(ReviewTest, RefusalsOfBadValuesNameContainerResourceValueAndExpectation) {
  ReviewResult result = Review(ReadFile("testdata/memory_in_bytes.in.json"), Config());
  EXPECT_EQ(result.outcome, Outcome::kInvalid);
  for (const char* part : {"main", "nvidia.com/gpumem", "3Gi", "MiB", "3072"}) {
    EXPECT_THAT(result.message, HasSubstr(part));
  }
}

std::string WarningsOf(const char* limits, const char* annotations) {
  const std::string text =
      std::string(R"({"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{
        "uid":"u","operation":"CREATE","resource":{"version":"v1","resource":"pods"},
        "kind":{"version":"v1","kind":"Pod"},"namespace":"a","object":{"metadata":{"name":"p",
        "annotations":)") +
      annotations + R"(},"spec":{"containers":[{"name":"c","resources":{"limits":)" + limits +
      "}}]}}}}";
  Json review = ParseJson(Review(text, Config()).body).value();
  const Json* warnings = Find(review, {"response", "warnings"});
  return warnings == nullptr ? "" : ToJson(*warnings);
}

// Complaint: admitted in silence, and waited for ever.
TEST(ReviewTest, WrongScoringWeightsAreAWarning) {
  constexpr const char* kLimits = R"({"nvidia.com/gpu":"1","nvidia.com/gpumem":"500"})";
  EXPECT_THAT(WarningsOf(kLimits, R"({"hami.io/device-scoring-weights":"a=1"})"),
              HasSubstr("the pod waits until this is put right"));
  EXPECT_EQ(WarningsOf(kLimits, R"({"hami.io/device-scoring-weights":"slot=1,core=1,memory=2"})"),
            "");
}

TEST(ReviewTest, AMisspeltResourceIsAWarningThatNamesTheRightOne) {
  EXPECT_THAT(WarningsOf(R"({"nvidia.com/gpu":"1","nvidia.com/gpumemory":"500"})", "{}"),
              HasSubstr("nvidia.com/gpumemory is no resource of HAMi: did you mean "
                        "nvidia.com/gpumem?"));
  EXPECT_EQ(WarningsOf(R"({"nvidia.com/gpu":"1","nvidia.com/gpumem":"500","amd.com/gpumemory":"1",
                          "nvidia.com/mig-1g.5gb":"1","cpu":"1"})",
                       "{}"),
            "");
}

// Complaint: what users write into annotations reached terminals raw, by way of kubectl, too.
TEST(ReviewTest, ControlCharactersOfAPodBecomeVisibleInWarnings) {
  EXPECT_THAT(WarningsOf(R"({"nvidia.com/gpu":"1","nvidia.com/gpumem":"500"})",
                         R"({"hami.io/node-scheduler-policy":"\u001b[2J\n"})"),
              HasSubstr(R"(\\x1b[2J\\n)"));
}

TEST(ReviewTest, WhatIsNoReviewIsAnsweredWith400) {
  for (std::string_view text :
       {"", "{", "[]", "null", "3", R"({"kind":"AdmissionReview"})",
        R"({"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v2","request":{}})",
        R"({"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":[]})",
        R"({"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"u"}})"}) {
    ReviewResult result = Review(text, Config());
    EXPECT_EQ(result.outcome, Outcome::kUndecodable) << text;
    Json review = ParseJson(result.body).value();
    EXPECT_EQ(IntAt(review, {"response", "status", "code"}), 400) << text;
    EXPECT_EQ(BoolAt(review, {"response", "allowed"}), false) << text;
  }
}

// --- property: the patch gives exactly the Pod that a plain rewrite gives
// -------------------------------

json::object& Child(json::object& parent, std::string_view key) {
  Json& child = parent[key];
  if (!child.is_object()) child = json::object();
  return child.as_object();
}

// The intended Pod, by direct edits of the tree: no patch, no pointers.
Json Intended(Json object, const Pod& pod, const AdmissionConfig& config) {
  auto mutation = vendor::MutatePod(pod, config.devices);
  auto& spec = object.as_object()["spec"].as_object();
  for (const char* kind : {"annotations", "labels"}) {
    auto* metadata = object.as_object()["metadata"].if_object();
    auto* map =
        metadata != nullptr && metadata->contains(kind) ? (*metadata)[kind].if_object() : nullptr;
    if (map == nullptr) continue;
    std::vector<std::string> gone;
    for (const auto& [key, value] : *map) {
      bool owned = *kind == 'a' ? protocol::IsSchedulerOwned(key)
                                : std::string_view(key) == protocol::kVgpuNode;
      if (owned) gone.emplace_back(key);
    }
    for (const std::string& key : gone) map->erase(key);
  }
  size_t inits = spec.contains("initContainers") ? spec["initContainers"].as_array().size() : 0;
  for (const vendor::Change& change : mutation->changes) {
    if (change.kind == vendor::Change::Kind::kSetRuntimeClass) {
      spec["runtimeClassName"] = change.value;
      continue;
    }
    auto& container =
        (change.container < inits ? spec["initContainers"].as_array()[change.container]
                                  : spec["containers"].as_array()[change.container - inits])
            .as_object();
    if (change.kind == vendor::Change::Kind::kAddEnv) {
      if (!container.contains("env") || container["env"].is_null())
        container["env"] = json::array();
      container["env"].as_array().push_back(
          json::object{{"name", change.name}, {"value", change.value}});
    } else {
      bool limit = change.kind == vendor::Change::Kind::kSetLimit;
      Child(Child(container, "resources"), limit ? "limits" : "requests")[change.name] =
          change.value;
    }
  }
  if (mutation->uses_cards) spec["schedulerName"] = config.scheduler_name;
  return object;
}

class PodMaker {
 public:
  explicit PodMaker(uint32_t seed) : random_(seed) {}
  bool Coin() { return Below(2) == 0; }
  uint32_t Below(uint32_t n) { return static_cast<uint32_t>(random_() % n); }

  Json Make() {
    json::object metadata{{"name", "p"}};
    if (Coin()) {
      metadata["annotations"] = Coin() ? Json(nullptr)
                                       : Json(json::object{{"team/x~y", "1"},
                                                           {"hami.io/vgpu-node", "n1"},
                                                           {"hami.io/bind-phase", "success"}});
    }
    if (Coin()) metadata["labels"] = json::object{{"hami.io/vgpu-node", "n1"}, {"app", "a"}};
    json::object spec{{"containers", Containers(1 + Below(3))}};
    if (Coin()) spec["initContainers"] = Containers(Below(3));
    if (Coin()) spec["schedulerName"] = "default-scheduler";
    if (Coin()) spec["futureField"] = json::object{{"deep", json::array{1, 2.5, nullptr}}};
    return json::object{{"metadata", std::move(metadata)}, {"spec", std::move(spec)}};
  }

 private:
  json::array Containers(uint32_t n) {
    json::array containers;
    for (uint32_t i = 0; i < n; ++i) {
      json::object container{{"name", "c" + std::to_string(i)}};
      if (Coin())
        container["env"] = Coin() ? Json(nullptr)
                                  : Json(json::array{json::object{
                                        {"name", "NVIDIA_VISIBLE_DEVICES"}, {"value", "all"}}});
      if (Coin()) container["resources"] = Resources();
      containers.push_back(std::move(container));
    }
    return containers;
  }
  Json Resources() {
    json::object resources;
    if (Coin()) resources["requests"] = json::object{{"cpu", "1"}};
    if (Below(4) == 0) {
      resources["limits"] = nullptr;
      return resources;
    }
    json::object limits{{"cpu", "1"}};
    if (Coin()) limits["nvidia.com/gpu"] = "1";
    if (Coin()) limits["nvidia.com/gpumem"] = "3000";
    if (Coin()) limits["nvidia.com/gpucores"] = "30";
    if (Coin()) limits["nvidia.com/gpumem-percentage"] = "50";
    if (Coin()) limits["nvidia.com/priority"] = "1";
    resources["limits"] = std::move(limits);
    return resources;
  }
  std::mt19937 random_;
};

TEST(ReviewProperty, ThePatchGivesExactlyTheIntendedPod) {
  int mutated = 0;
  for (uint32_t seed = 1; seed <= 2000; ++seed) {
    PodMaker maker(seed);
    AdmissionConfig config = Config();
    config.devices.nvidia.overwrite_env = maker.Coin();
    if (maker.Coin()) config.devices.nvidia.core_policy = protocol::CorePolicy::kForce;
    if (maker.Coin()) config.devices.nvidia.runtime_class = "nvidia";
    Json object = maker.Make();
    Json review = json::object{{"apiVersion", "admission.k8s.io/v1"},
                               {"kind", "AdmissionReview"},
                               {"request", json::object{{"uid", "u"}, {"object", object}}}};
    ReviewResult result = Review(ToJson(review), config);
    ASSERT_TRUE(result.outcome == Outcome::kAllowed || result.outcome == Outcome::kMutated)
        << "seed " << seed << ": " << result.body;
    auto pod = protocol::DecodePod(object);
    ASSERT_TRUE(pod.has_value());
    ASSERT_EQ(Patched(object, result), Intended(object, *pod, config)) << "seed " << seed;
    mutated += result.outcome == Outcome::kMutated ? 1 : 0;
  }
  EXPECT_GT(mutated, 500);
}

TEST(ReviewProperty, DamagedReviewsAreAnsweredAndNeverCrash) {
  std::vector<std::string> corpus;
  for (const Golden& golden : kGoldens) {
    corpus.push_back(ReadFile(std::string("testdata/") + golden.name + ".in.json"));
  }
  std::mt19937 random(7);
  const std::string_view kPieces = "{}[]\":,\\0x19-eE.nulltruefalse\x80\xff\t";
  for (int round = 0; round < 4000; ++round) {
    std::string text = corpus[random() % corpus.size()];
    for (uint32_t n = 1 + random() % 4; n > 0 && !text.empty(); --n) {
      size_t at = random() % text.size();
      switch (random() % 4) {
        case 0:
          text[at] = static_cast<char>(random());
          break;
        case 1:
          text[at] = kPieces[random() % kPieces.size()];
          break;
        case 2:
          text.erase(at, 1 + random() % 40);
          break;
        default:
          text.resize(at);
      }
    }
    ReviewResult result = Review(text, Config());
    auto review = ParseJson(result.body);
    ASSERT_TRUE(review.has_value()) << result.body;
    ASSERT_EQ(BoolAt(*review, {"response", "allowed"}).has_value(), true);
  }
}

}  // namespace
}  // namespace hami::admission

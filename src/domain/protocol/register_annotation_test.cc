#include "domain/protocol/register_annotation.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace hami::protocol {
namespace {

constexpr std::string_view kTwoCards =
    R"([{"id":"GPU-1a2b3c4d-0000-4000-8000-0000000000a1","count":10,"devmem":81559,"devcore":100,)"
    R"("type":"NVIDIA A100-SXM4-80GB","mode":"hami-core","health":true},)"
    R"({"id":"GPU-1a2b3c4d-0000-4000-8000-0000000000a2","index":1,"count":10,"devmem":81559,)"
    R"("devcore":100,"type":"NVIDIA A100-SXM4-80GB","numa":1,"mode":"hami-core","health":true}])";

TEST(RegisterAnnotationTest, FormJOfTheSpecIsByteExact) {
  auto devices = DecodeRegister(kTwoCards);
  ASSERT_TRUE(devices) << devices.error().message;
  ASSERT_EQ(devices->size(), 2u);
  EXPECT_EQ((*devices)[1].index, 1u);
  EXPECT_EQ((*devices)[1].numa, 1);
  EXPECT_EQ((*devices)[0].memory, MiB{81559});
  EXPECT_TRUE((*devices)[0].healthy);
  EXPECT_EQ(EncodeRegisterJson(*devices), kTwoCards);
}

TEST(RegisterAnnotationTest, MigProfilesAreByteExact) {
  constexpr std::string_view kMig =
      R"([{"id":"GPU-a","count":7,"devmem":40960,"devcore":100,"type":"NVIDIA A100","mode":"mig",)"
      R"("migProfiles":[{"name":"1g.5gb","memoryMB":4864,"core":15,"sliceCount":1,)"
      R"("placements":[{"start":0,"size":1},{"start":1,"size":1}]}],"health":true}])";
  auto devices = DecodeRegister(kMig);
  ASSERT_TRUE(devices) << devices.error().message;
  ASSERT_EQ((*devices)[0].mig_profiles.size(), 1u);
  EXPECT_EQ((*devices)[0].mig_profiles[0].placements[1], (MigPlacement{1, 1}));
  EXPECT_EQ(EncodeRegisterJson(*devices), kMig);
}

TEST(RegisterAnnotationTest, AbsentHealthMeansUnhealthy) {
  auto devices = DecodeRegister(R"([{"id":"GPU-a","count":1}])");
  ASSERT_TRUE(devices);
  EXPECT_FALSE((*devices)[0].healthy);
}

TEST(RegisterAnnotationTest, NamesAreEscapedAsGoDoes) {
  Device device{.id = "GPU-a", .type = "NVIDIA <A&B>"};
  std::string text = EncodeRegisterJson(std::span(&device, 1));
  EXPECT_EQ(text, R"([{"id":"GPU-a","type":"NVIDIA \u003cA\u0026B\u003e"}])");
  EXPECT_EQ((*DecodeRegister(text))[0].type, "NVIDIA <A&B>");
}

TEST(RegisterAnnotationTest, UnknownAndDeadKeysAreSkippedAndCustomInfoKept) {
  auto devices = DecodeRegister(
      R"([{"zzz":{"a":[1]},"migtemplate":[[1]],"id":"X","devicevendor":"Ascend","custominfo":{"NetworkID":3}}])");
  ASSERT_TRUE(devices) << devices.error().message;
  EXPECT_EQ((*devices)[0].vendor, "Ascend");
  EXPECT_EQ(IntAt((*devices)[0].custom_info, {"NetworkID"}), 3);
  EXPECT_EQ(EncodeRegisterJson(*devices),
            R"([{"id":"X","devicevendor":"Ascend","custominfo":{"NetworkID":3}}])");
}

TEST(RegisterAnnotationTest, AWrongFieldIsNamedWithCardAndValue) {
  auto devices = DecodeRegister(R"([{"id":"GPU-a"},{"id":"GPU-b","devmem":"80G"}])");
  ASSERT_FALSE(devices);
  EXPECT_EQ(devices.error().message,
            "devices[1].devmem: expected a 32-bit integer from 0, got \"80G\"");
  EXPECT_FALSE(DecodeRegister(R"([{"id":"GPU-a","count":2147483648}])"));
  EXPECT_FALSE(DecodeRegister(R"([{"id":"GPU-a","health":"yes"}])"));
  EXPECT_FALSE(DecodeRegister(R"([1])"));
  EXPECT_FALSE(DecodeRegister(R"([{"id":"GPU-a"})"));
}

TEST(RegisterAnnotationTest, AnIdThatWouldCorruptAllocationStringsIsRefused) {
  EXPECT_FALSE(DecodeRegister(R"([{"id":"0000:03:00.0"}])"));
  EXPECT_FALSE(DecodeRegister(R"([{"count":1}])"));
  EXPECT_FALSE(DecodeRegister(R"([{"id":"GPU-a"},{"id":"GPU-a"}])"));
}

// Conformance vector 6.
TEST(RegisterAnnotationTest, AnEmptyListIsNoDevice) {
  auto devices = DecodeRegister("[]");
  ASSERT_FALSE(devices);
  EXPECT_EQ(devices.error().code, Code::kNotFound);
  EXPECT_TRUE(devices.error().message.starts_with("no device"));
}

// Conformance vector 5.
TEST(RegisterAnnotationTest, FormCHasSevenOrNineFields) {
  auto nine = DecodeRegister(
      "DCU-0,4,32768,60,DCU-K100,0,true,0,hami-core:DCU-1,4,32768,60,DCU-K100,0,true,1,hami-core:");
  ASSERT_TRUE(nine) << nine.error().message;
  ASSERT_EQ(nine->size(), 2u);
  EXPECT_EQ((*nine)[1].index, 1u);
  EXPECT_EQ((*nine)[1].cores, Percent{60});
  auto seven =
      DecodeRegister("GPU-a,10,7680,100,NVIDIA-Tesla P4,0,true:GPU-b,10,7680,100,X,1,false:");
  ASSERT_TRUE(seven) << seven.error().message;
  EXPECT_EQ((*seven)[1].index, 1u);  // its position: the reference says 0 for every card
  EXPECT_EQ((*seven)[0].mode, "hami-core");
  EXPECT_FALSE((*seven)[1].healthy);
  auto eight = DecodeRegister("GPU-a,10,7680,100,X,0,true,0:");
  ASSERT_FALSE(eight);
  EXPECT_EQ(eight.error().message, "devices[0]: expected 7 or 9 fields, got 8");
}

TEST(RegisterAnnotationTest, FormCErrorsAreTheReferences) {
  EXPECT_EQ(DecodeRegister("nothing").error().message, "node annotation missing device separator");
  EXPECT_FALSE(DecodeRegister("nocomma:"));
  EXPECT_FALSE(DecodeRegister("GPU-a,x,7680,100,X,0,true:"));
  EXPECT_FALSE(DecodeRegister("GPU-a,1,7680,100,X,0,maybe:"));
  EXPECT_FALSE(DecodeRegister("GPU-a,1,7680,100,X,0,true,-1,hami-core:"));
  EXPECT_EQ(DecodeRegister("::").error().code, Code::kNotFound);
}

// Found by the fuzzer: behind a separator it was read, written first it was taken for JSON.
TEST(RegisterAnnotationTest, AnIdOfFormCThatBeginsLikeJsonIsRefused) {
  auto devices = DecodeRegister(":[GPU,10,40960,100,A100,0,true,0,hami-core:");
  ASSERT_FALSE(devices);
  EXPECT_NE(devices.error().message.find("\"[GPU\""), std::string::npos);
}

TEST(RegisterAnnotationTest, FormCIsByteExact) {
  constexpr std::string_view kText = "DCU-0,4,32768,60,DCU-K100,0,true,0,hami-core:";
  EXPECT_EQ(EncodeRegisterCsv(*DecodeRegister(kText)), kText);
}

TEST(RegisterAnnotationTest, PairScoresOfTheSpec) {
  std::vector<Device> devices = {{.id = "GPU-a"}, {.id = "GPU-b"}, {.id = "GPU-c"}};
  auto scores = DecodePairScores(
      R"([{"uuid":"GPU-a","score":{"GPU-b":200,"GPU-c":10,"gone":1}},{"uuid":"gone","score":{}}])",
      devices);
  ASSERT_TRUE(scores) << scores.error().message;
  EXPECT_EQ(*scores, (std::vector<int32_t>{0, 200, 10, 0, 0, 0, 0, 0, 0}));
  EXPECT_FALSE(DecodePairScores(R"([{"uuid":"GPU-a"}])", devices));
  EXPECT_FALSE(DecodePairScores(R"([{"uuid":"GPU-a","score":{"GPU-b":"x"}}])", devices));
  devices.resize(2);
  EXPECT_EQ(EncodePairScores(devices, std::vector<int32_t>{0, 200, 200, 0}),
            R"([{"uuid":"GPU-a","score":{"GPU-b":200}},{"uuid":"GPU-b","score":{"GPU-a":200}}])");
}

rc::Gen<Device> GenDevice() {
  return rc::gen::exec([] {
    auto text = [] {
      return *rc::gen::container<std::string>(rc::gen::elementOf(std::string("aZ09 <>&\"\\/-\n")));
    };
    auto number = [] { return *rc::gen::inRange<int32_t>(0, std::numeric_limits<int32_t>::max()); };
    Device d;
    d.index = *rc::gen::arbitrary<uint32_t>();
    d.count = number();
    d.memory = {number()};
    d.cores = {number()};
    d.type = text();
    d.numa = *rc::gen::arbitrary<int32_t>();
    d.mode = text();
    d.healthy = *rc::gen::arbitrary<bool>();
    if (*rc::gen::arbitrary<bool>()) {
      d.mig_profiles.push_back({text(), {number()}, {number()}, number(), {{number(), number()}}});
    }
    return d;
  });
}

std::vector<Device> GenDevices() {
  auto devices = *rc::gen::nonEmpty(rc::gen::container<std::vector<Device>>(GenDevice()));
  for (size_t i = 0; i < devices.size(); ++i) devices[i].id = "GPU-" + std::to_string(i);
  return devices;
}

RC_GTEST_PROP(RegisterAnnotationProperty, FormJRoundTrips, ()) {
  auto devices = GenDevices();
  auto decoded = DecodeRegister(EncodeRegisterJson(devices));
  RC_ASSERT(decoded.has_value());
  RC_ASSERT(*decoded == devices);
}

RC_GTEST_PROP(RegisterAnnotationProperty, FormCRoundTrips, ()) {
  auto devices = GenDevices();
  for (Device& d : devices) {
    d.type = "model " + std::to_string(d.index);
    d.mode = "hami-core";
    d.mig_profiles.clear();
    d.index &= 0x7fffffff;
  }
  auto decoded = DecodeRegister(EncodeRegisterCsv(devices));
  RC_ASSERT(decoded.has_value());
  RC_ASSERT(*decoded == devices);
}

}  // namespace
}  // namespace hami::protocol

#include "domain/protocol/mig_allocation.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace hami::protocol {
namespace {

constexpr std::string_view kExample =
    R"([{"containerIndex":0,"deviceIndex":0,"gpuUUID":"GPU-a","profile":"1g.10gb","placement":{"start":6,"size":1}},)"
    R"({"containerIndex":0,"deviceIndex":1,"gpuUUID":"GPU-a","profile":"1g.10gb","placement":{"start":5,"size":1}}])";

TEST(MigAllocationTest, TheExampleOfTheSpecIsByteExact) {
  auto list = DecodeMigAllocations(kExample);
  ASSERT_TRUE(list) << list.error().message;
  ASSERT_EQ(list->size(), 2u);
  EXPECT_EQ((*list)[1], (MigAllocation{0, 1, "GPU-a", "1g.10gb", {5, 1}, std::nullopt}));
  EXPECT_EQ(EncodeMigAllocations(*list), kExample);
}

TEST(MigAllocationTest, TheRuntimeIdentityIsAllOrNothing) {
  std::string entry =
      R"({"containerIndex":0,"deviceIndex":0,"gpuUUID":"GPU-a","profile":"p","placement":{"start":0,"size":1})";
  auto full = DecodeMigAllocations(
      "[" + entry + R"(,"migUUID":"MIG-1","gpuInstanceID":0,"computeInstanceID":0}])");
  ASSERT_TRUE(full) << full.error().message;
  EXPECT_EQ((*full)[0].runtime, (MigRuntime{"MIG-1", 0, 0}));
  // Conformance vector 9: two of three.
  auto partial = DecodeMigAllocations("[" + entry + R"(,"migUUID":"MIG-1","gpuInstanceID":0}])");
  ASSERT_FALSE(partial);
  EXPECT_EQ(partial.error().message, "MIG allocation 0 has partial runtime identity");
}

TEST(MigAllocationTest, IncompleteAndDuplicateEntriesAreErrors) {
  EXPECT_EQ(DecodeMigAllocations("[{}]").error().message, "MIG allocation 0 is incomplete");
  std::string entry =
      R"({"containerIndex":1,"deviceIndex":2,"gpuUUID":"GPU-a","profile":"p","placement":{"start":0,"size":1}})";
  EXPECT_EQ(DecodeMigAllocations("[" + entry + "," + entry + "]").error().message,
            "duplicate MIG allocation for container 1 device 2");
  EXPECT_FALSE(DecodeMigAllocations("{}"));
  EXPECT_FALSE(DecodeMigAllocations("[1]"));
  EXPECT_FALSE(DecodeMigAllocations(R"([{"containerIndex":"x"}])"));
  EXPECT_TRUE(DecodeMigAllocations("[]"));
}

RC_GTEST_PROP(MigAllocationProperty, RoundTrips, ()) {
  std::vector<MigAllocation> list;
  int n = *rc::gen::inRange(0, 5);
  for (int i = 0; i < n; ++i) {
    MigAllocation a{*rc::gen::inRange(0, 4),
                    i,
                    "GPU-<" + std::to_string(i),
                    "1g.5gb",
                    {*rc::gen::inRange(0, 8), *rc::gen::inRange(1, 9)},
                    std::nullopt};
    if (*rc::gen::arbitrary<bool>()) {
      a.runtime = MigRuntime{"MIG-1", *rc::gen::inRange(0, 9), *rc::gen::inRange(0, 9)};
    }
    list.push_back(a);
  }
  auto decoded = DecodeMigAllocations(EncodeMigAllocations(list));
  RC_ASSERT(decoded.has_value());
  RC_ASSERT(*decoded == list);
}

}  // namespace
}  // namespace hami::protocol

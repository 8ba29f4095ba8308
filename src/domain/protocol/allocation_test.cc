#include "domain/protocol/allocation.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <limits>

namespace hami::protocol {
namespace {

DeviceShare Share(std::string uuid, int64_t memory, int64_t cores, std::string word = "NVIDIA") {
  return {std::move(uuid), std::move(word), {memory}, {cores}};
}

// Conformance vector 1: every string of spec/protocol.md 4.2, byte for byte.
TEST(AllocationTest, EveryExampleOfTheSpecRoundTrips) {
  for (std::string_view text :
       {"GPU-a,NVIDIA,3000,30:;", "GPU-a,NVIDIA,3000,30:GPU-b,NVIDIA,3000,30:;",
        "GPU-a,NVIDIA,3000,0:;GPU-a,NVIDIA,5000,0:;", ";GPU-a,NVIDIA,1000,0:;;",
        "GPU-a,NVIDIA,20000,0:;;GPU-a,NVIDIA,10000,0:;", "GPU-a,NVIDIA,81559,100:;",
        "GPU-a,NVIDIA,1000,0:;;", ";DCU-0,DCU,2048,10:;", ";GPU-a,NVIDIA,5000,0:;"}) {
    auto shares = DecodeAllocation(text);
    ASSERT_TRUE(shares) << text;
    EXPECT_EQ(EncodeAllocation(*shares), text);
  }
}

TEST(AllocationTest, OneEntryPerContainerInOrder) {
  auto shares = DecodeAllocation(";GPU-a,NVIDIA,3000,30:GPU-b,NVIDIA,3000,30:;;");
  ASSERT_TRUE(shares);
  EXPECT_EQ(*shares, (PodShares{{}, {Share("GPU-a", 3000, 30), Share("GPU-b", 3000, 30)}, {}}));
}

// Conformance vector 2.
TEST(AllocationTest, FewerThanFourFieldsIsTheReferencesError) {
  auto shares = DecodeAllocation("GPU-a,NVIDIA,1:;");
  ASSERT_FALSE(shares);
  EXPECT_EQ(shares.error().message,
            "pod annotation format error, missing fields, do not use nodeName in task spec; "
            "expected uuid,type,MiB,percent, got \"GPU-a,NVIDIA,1\"");
}

// Conformance vector 3.
TEST(AllocationTest, TwoSeparatorsAreTwoEmptyContainers) {
  EXPECT_EQ(*DecodeAllocation(";;"), PodShares(2));
}

TEST(AllocationTest, NumbersMustBeInt32AndNotNegative) {
  for (std::string_view bad : {"GPU-a,NVIDIA,x,0:;", "GPU-a,NVIDIA,2147483648,0:;",
                               "GPU-a,NVIDIA,-1,0:;", "GPU-a,NVIDIA,,0:;"}) {
    auto shares = DecodeAllocation(bad);
    ASSERT_FALSE(shares) << bad;
    EXPECT_TRUE(shares.error().message.starts_with("invalid memory field: ")) << bad;
  }
  auto shares = DecodeAllocation("GPU-a,NVIDIA,1,1.5:;");
  ASSERT_FALSE(shares);
  EXPECT_TRUE(shares.error().message.starts_with("invalid core field: "));
}

TEST(AllocationTest, ExtraFieldsAndPiecesWithoutCommaAreIgnored) {
  EXPECT_EQ(*DecodeAllocation("GPU-a,NVIDIA,1,2,3,4:junk:;"), (PodShares{{Share("GPU-a", 1, 2)}}));
}

// Trap (issue 991): historic padding reads as an empty container.
TEST(AllocationTest, HistoricPaddingIsAnEmptyContainer) {
  EXPECT_EQ(*DecodeAllocation(",,0,0:;GPU-a,NVIDIA,1000,0:;"),
            (PodShares{{}, {Share("GPU-a", 1000, 0)}}));
}

// Trap: the reference leaves out the entries of containers before the first one with a card.
TEST(AllocationTest, AShortStringGoesToTheContainersThatAsk) {
  PodShares shares = *DecodeAllocation("GPU-a,NVIDIA,1000,0:;");
  EXPECT_EQ(AlignToContainers(shares, {false, true}), (PodShares{{}, {Share("GPU-a", 1000, 0)}}));
  PodShares two = *DecodeAllocation("GPU-a,NVIDIA,1,0:;GPU-b,NVIDIA,2,0:;");
  EXPECT_EQ(AlignToContainers(two, {true, false, true}),
            (PodShares{{Share("GPU-a", 1, 0)}, {}, {Share("GPU-b", 2, 0)}}));
}

TEST(AllocationTest, AShortStringThatCannotBeMappedKeepsItsPositionsAndItsCharge) {
  PodShares shares = *DecodeAllocation("GPU-a,NVIDIA,1000,0:;");
  EXPECT_EQ(AlignToContainers(shares, {false, true, true}),
            (PodShares{{Share("GPU-a", 1000, 0)}, {}, {}}));
}

TEST(AllocationTest, EntriesBeyondTheContainersAreIgnored) {
  EXPECT_EQ(AlignToContainers(*DecodeAllocation("GPU-a,NVIDIA,1,0:;;;"), {true}),
            (PodShares{{Share("GPU-a", 1, 0)}}));
}

TEST(AllocationTest, AFullStringIsLeftAlone) {
  PodShares shares = *DecodeAllocation("GPU-a,NVIDIA,1,0:;;");
  EXPECT_EQ(AlignToContainers(shares, {false, true}), shares);
}

// Conformance vector 4.
TEST(AllocationTest, ALegacyMigUuidNamesItsCard) {
  auto shares = DecodeAllocation("GPU-a[0-3],NVIDIA,9728,15:;");
  ASSERT_TRUE(shares);
  EXPECT_EQ(PhysicalUuid((*shares)[0][0].uuid), "GPU-a");
  EXPECT_EQ(PhysicalUuid("GPU-b"), "GPU-b");
}

TEST(AllocationTest, ThePluginEmptiesEntriesAndKeepsSeparators) {
  PodShares a = *DecodeAllocation("GPU-a,NVIDIA,3000,0:;GPU-a,NVIDIA,5000,0:;");
  ASSERT_EQ(FirstPending(a), 0u);
  a = WithoutEntry(std::move(a), 0);
  EXPECT_EQ(EncodeAllocation(a), ";GPU-a,NVIDIA,5000,0:;");
  ASSERT_EQ(FirstPending(a), 1u);
  a = WithoutEntry(std::move(a), 1);
  EXPECT_EQ(EncodeAllocation(a), ";;");
  EXPECT_FALSE(FirstPending(a));
}

TEST(AllocationTest, AnIdWithASeparatorIsNotUsable) {
  EXPECT_TRUE(IsUsableDeviceId("GPU-a"));
  for (std::string_view bad : {"", "0000:03:00.0", "a,b", "a;b"})
    EXPECT_FALSE(IsUsableDeviceId(bad));
}

// Drawn by hand: rapidcheck's nested containers take seconds under the sanitizers.
PodShares GenShares() {
  auto word = [] {
    constexpr std::string_view kWords[] = {"GPU-a", "x", "0.[]<&", "GPU-1a2b[0-3]", "\xC3\xA9"};
    return std::string(
        *rc::gen::elementOf(std::vector<std::string_view>(std::begin(kWords), std::end(kWords))));
  };
  auto number = [] { return *rc::gen::inRange<int32_t>(0, std::numeric_limits<int32_t>::max()); };
  PodShares out(*rc::gen::inRange<size_t>(0, 6));
  for (auto& container : out) {
    container.resize(*rc::gen::inRange<size_t>(0, 4));
    for (DeviceShare& share : container) share = {word(), word(), {number()}, {number()}};
  }
  return out;
}

RC_GTEST_PROP(AllocationProperty, RoundTrips, ()) {
  PodShares shares = GenShares();
  auto decoded = DecodeAllocation(EncodeAllocation(shares));
  RC_ASSERT(decoded.has_value());
  RC_ASSERT(*decoded == shares);
}

RC_GTEST_PROP(AllocationProperty, AnyTextDecodesOrFailsWithoutHarm, ()) {
  auto text = *rc::gen::container<std::string>(rc::gen::elementOf(std::string("a,:;0[]- 9")));
  auto shares = DecodeAllocation(text);
  RC_ASSERT(shares.has_value() || !shares.error().message.empty());
}

RC_GTEST_PROP(AllocationProperty, AligningLosesNoChargeOfAShortString, ()) {
  PodShares shares = GenShares();
  auto more = *rc::gen::inRange<size_t>(0, 4);
  auto requests =
      *rc::gen::container<std::vector<bool>>(shares.size() + more, rc::gen::arbitrary<bool>());
  auto sum = [](const PodShares& all) {
    int64_t memory = 0;
    for (const auto& one : all) {
      for (const DeviceShare& share : one) memory += share.memory.value;
    }
    return memory;
  };
  PodShares aligned = AlignToContainers(shares, requests);
  RC_ASSERT(aligned.size() == requests.size());
  RC_ASSERT(sum(aligned) == sum(shares));
}

}  // namespace
}  // namespace hami::protocol

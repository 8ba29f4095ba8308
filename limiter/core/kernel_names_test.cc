#include "limiter/core/kernel_names.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>
#include <vector>

namespace hami::limiter::core {
namespace {

class KernelNamesTest : public ::testing::Test {
 protected:
  std::unique_ptr<KernelNames> names_ = std::make_unique<KernelNames>();
};

TEST_F(KernelNamesTest, AKernelIsItsNameInItsModulesContent) {
  const auto other = std::make_unique<KernelNames>();  // another process
  names_->Set(0x1000, 77), other->Set(0x9000, 77);
  names_->SetMember(0x2000, 0x1000, "gemm"), other->SetMember(0xa000, 0x9000, "gemm");
  EXPECT_NE(names_->Of(0x2000), 0u);
  EXPECT_EQ(names_->Of(0x2000), other->Of(0xa000));
  other->SetMember(0xa000, 0x9000, "gemv");
  EXPECT_NE(names_->Of(0x2000), other->Of(0xa000));
  // Generated kernels have the same name in many modules.
  other->Set(0x9000, 78);
  other->SetMember(0xa000, 0x9000, "gemm");
  EXPECT_NE(names_->Of(0x2000), other->Of(0xa000));
  names_->SetAlias(0x3000, 0x2000);
  EXPECT_EQ(names_->Of(0x3000), names_->Of(0x2000));
}

TEST_F(KernelNamesTest, AKernelsNameEndsWithItsModules) {
  names_->Set(0x1000, 77);
  names_->SetMember(0x2000, 0x1000, "gemm");
  names_->SetAlias(0x3000, 0x2000);
  names_->Set(0x1000, 0);  // unloaded
  EXPECT_EQ(names_->Of(0x2000), 0u);
  EXPECT_EQ(names_->Of(0x3000), 0u);
}

// What is not known, or gone, must not cost another its name.
TEST_F(KernelNamesTest, HandlesWithoutANameTakeNobodysPlace) {
  std::vector<uint64_t> known;
  for (uint64_t i = 1; i <= 500; ++i) {
    names_->Set(i << 12, i * 2 + 1);
    if (names_->Of(i << 12) != 0) known.push_back(i);
  }
  for (uint64_t i = 1; i <= 100'000; ++i) names_->Set(i << 12 | 0x800, 0);
  for (const uint64_t i : known) EXPECT_EQ(names_->Of(i << 12), i * 2 + 1);
}

TEST_F(KernelNamesTest, AHandleThatComesBackHasItsNewNameOrNone) {
  names_->Set(0x1000, 77);
  names_->SetMember(0x2000, 0x1000, "gemm");
  names_->Set(0x1000, 0);
  EXPECT_EQ(names_->Of(0x1000), 0u);
  names_->SetMember(0x2000, 0x1000, "gemm");  // of a module that nobody knows
  EXPECT_EQ(names_->Of(0x2000), 0u);
  names_->Set(0x1000, 5);
  names_->Set(0x1000, 6);
  EXPECT_EQ(names_->Of(0x1000), 6u);
}

TEST_F(KernelNamesTest, ManyHandlesCostNamesNeverTheRightOnes) {
  size_t known = 0;
  for (uint64_t i = 1; i <= 50'000; ++i) names_->Set(i << 8, i * 2 + 1);
  for (uint64_t i = 1; i <= 50'000; ++i) {
    const uint64_t name = names_->Of(i << 8);
    EXPECT_TRUE(name == 0 || name == i * 2 + 1) << i;
    known += name != 0 ? 1 : 0;
  }
  EXPECT_GT(known, 6'000u);
}

TEST_F(KernelNamesTest, ThreadsNeverGiveAHandleAnothersName) {
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([this, t] {
      for (uint64_t i = 0; i < 20'000; ++i) {
        const uint64_t handle = ((i * 4 + t) % 9'000 + 1) << 8;
        names_->Set(handle, handle * 3);
        const uint64_t name = names_->Of((i % 9'000 + 1) << 8);
        ASSERT_TRUE(name == 0 || name == ((i % 9'000 + 1) << 8) * 3);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace hami::limiter::core

// Spec A2, D2.11: the environment and /overrideEnv as processes meet them. What each variable means
// is shown by limiter/env/settings_test.cc; here, that it holds, and what is said.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>

#include "tests/limiter/session.h"

namespace hami::limiter::testing {
namespace {

struct Syntax {
  const char* text;
  uint64_t mib;
};

TEST(EnvironmentTest, EverySyntaxOfALimitHolds) {
  for (const Syntax& c : {Syntax{"3000m", 3000}, Syntax{"0.5g", 512}, Syntax{"512MiB", 512},
                          Syntax{" 1 Gi ", 1024}, Syntax{"010g", 10240}, Syntax{"0x200m", 512},
                          Syntax{"1073741824", 1024}, Syntax{"1048576kb", 1024}}) {
    Container container(Variables{{"CUDA_DEVICE_MEMORY_LIMIT", c.text}});
    auto probe = container.Start();
    probe->Begin();
    EXPECT_EQ(probe->Value("total 0"), c.mib * kMi) << c.text;
    EXPECT_EQ(probe->Code("alloc " + Text(c.mib * kMi - kContext)), 0) << c.text;
    EXPECT_EQ(probe->Code("alloc 1"), 2) << c.text;
  }
}

// A malformed limit is not "no limit".
TEST(EnvironmentTest, AMalformedLimitIsSaidOnceAndTheSmallestOtherOneHolds) {
  Container container(Variables{{"CUDA_DEVICE_MEMORY_LIMIT_0", "3 GiG"},
                                {"CUDA_DEVICE_MEMORY_LIMIT_1", "700m"},
                                {"LIBCUDA_LOG_LEVEL", "0"}});
  auto probe = container.Start();
  probe->Begin();
  EXPECT_EQ(probe->Value("total 0"), 700 * kMi);
  EXPECT_EQ(probe->Value("total 1"), 700 * kMi);
  const std::string said = probe->Errors();
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1) << said;
  EXPECT_EQ(said.find("[HAMI-core ERROR (pid:"), 0u) << said;
  EXPECT_NE(said.find("\"3 GiG\" of CUDA_DEVICE_MEMORY_LIMIT_0"), std::string::npos) << said;
}

class OverrideTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "mounts need root";
    // A place to mount over; empty, it means nothing to anybody.
    made_ = access("/overrideEnv", F_OK) != 0;
    if (made_) std::ofstream("/overrideEnv").flush();
  }
  void TearDown() override {
    if (made_) std::filesystem::remove("/overrideEnv");
  }
  std::unique_ptr<Probe> Start(const std::string& text, Variables more) {
    const std::string file = container_.folder() + "/override";
    std::ofstream(file) << text;
    more["PROBE_MOUNTS"] = "bind:" + file + ":/overrideEnv;";
    auto probe = container_.Start(more);
    probe->Begin();
    return probe;
  }

  bool made_ = false;
  Container container_;
};

// The reference reads it after the region was made, so it changes nothing there.
TEST_F(OverrideTest, AnImageLowersItsOwnLimits) {
  auto probe = Start(
      "CUDA_DEVICE_MEMORY_LIMIT_0=700m\nCUDA_DEVICE_MEMORY_LIMIT_1=64g\n"
      "CUDA_DEVICE_SM_LIMIT=30\nLIBCUDA_LOG_LEVEL=2\n",
      {{"CUDA_DEVICE_MEMORY_LIMIT", "3000m"}, {"CUDA_DEVICE_SM_LIMIT", "80"}});
  EXPECT_EQ(probe->Value("total 0"), 700 * kMi);
  EXPECT_EQ(probe->Value("total 1"), 3000 * kMi);
  EXPECT_EQ(probe->Code("alloc " + Text(700 * kMi - kContext + 1)), 2);
  EXPECT_EQ(container_.region().v1.sm_limit[0], 30u);
  EXPECT_NE(probe->Errors().find("]: Initialized"), std::string::npos) << probe->Errors();
}

TEST_F(OverrideTest, AnImageLiftsNoLimitAndLeavesNoAccount) {
  const std::string other = container_.folder() + "/other.cache";
  auto probe = Start(
      "CUDA_DEVICE_MEMORY_LIMIT_0=64g\nCUDA_DEVICE_MEMORY_LIMIT=0\n"
      "CUDA_DISABLE_CONTROL=true\nCUDA_DEVICE_MEMORY_SHARED_CACHE=" +
          other + "\n",
      {{"CUDA_DEVICE_MEMORY_LIMIT_0", "600m"}});
  EXPECT_EQ(probe->Value("total 0"), 600 * kMi);
  EXPECT_EQ(probe->Code("alloc " + Text(600 * kMi - kContext + 1)), 2);
  EXPECT_EQ(container_.Used(0), kContext);
  EXPECT_FALSE(std::filesystem::exists(other));
}

// 4 KiB are read. A value that they cut would be another one: 3 bytes here.
TEST_F(OverrideTest, ALineThatDoesNotFitIsNotReadInPart) {
  const std::string name = "CUDA_DEVICE_MEMORY_LIMIT_0=";
  std::string text = "FILL=";
  text += std::string(4096 - text.size() - 1 - name.size() - 1, 'x') + "\n" + name + "3000m\n";
  auto probe = Start(text, {{"CUDA_DEVICE_MEMORY_LIMIT_0", "4000m"}});
  EXPECT_EQ(probe->Value("total 0"), 4000 * kMi);
}

}  // namespace
}  // namespace hami::limiter::testing

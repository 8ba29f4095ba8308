// Spec D2.1: the library goes into every process of a container and nobody notices.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "tests/limiter/session.h"

namespace hami::limiter::testing {
namespace {

class LoadTest : public ::testing::TestWithParam<std::vector<std::string>> {};

TEST_P(LoadTest, PrintsNothingAndChangesNothing) {
  Container container(Variables{{"CUDA_DEVICE_MEMORY_LIMIT_0", "3000m"}});
  for (const Variables& variables : {Variables{}, Variables{{"LD_BIND_NOW", "1"}}}) {
    const Finished finished = container.Run(GetParam(), variables);
    EXPECT_EQ(finished.status, 0);
    EXPECT_EQ(finished.out, "");
    EXPECT_EQ(finished.err, "");
  }
  EXPECT_FALSE(std::filesystem::exists(container.region_path()));
}

INSTANTIATE_TEST_SUITE_P(OwnPrograms, LoadTest,
                         ::testing::Values(std::vector<std::string>{Built("tests/quiet")},
                                           std::vector<std::string>{Built("tests/quiet_static")}),
                         [](const auto& test) {
                           return std::filesystem::path(test.param[0]).filename().string();
                         });

INSTANTIATE_TEST_SUITE_P(
    Programs, LoadTest,
    ::testing::Values(std::vector<std::string>{"/bin/true"},
                      std::vector<std::string>{"bash", "-c", "x=$(echo hi)"},
                      std::vector<std::string>{"python3", "-c", "import ctypes, ssl"},
                      std::vector<std::string>{"node", "-e", "1"}),
    [](const auto& test) { return std::filesystem::path(test.param[0]).filename().string(); });

TEST(LoadingTest, NoDriverMeansNoErrorUntilItIsCalled) {
  Container container;
  auto probe = container.Start({{"LD_LIBRARY_PATH", "/nowhere"}});
  EXPECT_EQ(probe->Code("init"), -1000);  // the probe's own code: no such library
  EXPECT_EQ(probe->Errors(), "");
}

TEST(LoadingTest, TwoHundredForksAndExecsStayQuiet) {
  Container container;
  const Finished finished =
      container.Run({"bash", "-c", "for i in $(seq 200); do /bin/true || exit 1; done"});
  EXPECT_EQ(finished.status, 0);
  EXPECT_EQ(finished.err, "");
}

TEST(LoadingTest, TwoHundredForksOfAProgramWithAContextLeaveItAsItWas) {
  Container container(Variables{{"CUDA_DEVICE_MEMORY_LIMIT_0", "3000m"}});
  auto probe = container.Start();
  probe->Begin();
  const std::string before = probe->Ask("environment");
  EXPECT_EQ(probe->Ask("forks 200"), "0");
  EXPECT_EQ(probe->Ask("environment"), before);
  EXPECT_EQ(container.Used(0), kContext);
  EXPECT_EQ(container.region().v1.proc_num, 1);
  EXPECT_EQ(probe->Code("alloc 4096"), 0);
  EXPECT_EQ(probe->Errors(), "");
}

TEST(LoadingTest, AStaticBinaryRunsAsIfWeWereNotThere) {
  Container container;
  const Finished finished = container.Run({"busybox", "echo", "hello"});
  EXPECT_EQ(finished.status, 0);
  EXPECT_EQ(finished.out, "hello\n");
  EXPECT_EQ(finished.err, "");
}

// The linker ignores LD_PRELOAD with a path for programs that run with other rights than their
// caller's, without a word.
TEST(LoadingTest, ASetuidBinaryRunsWithoutUs) {
  Container container;
  const std::filesystem::path copy = container.folder() + "/grep";
  std::filesystem::copy_file("/bin/grep", copy);
  if (geteuid() != 0 || chmod(container.folder().c_str(), 0755) != 0 ||
      chmod(copy.c_str(), 04755) != 0) {
    GTEST_SKIP() << "no right to make a setuid binary";
  }
  const std::vector<std::string> look = {copy, "-c", "libvgpu", "/proc/self/maps"};
  std::vector<std::string> as_nobody = {"setpriv", "--reuid=65534", "--clear-groups"};
  as_nobody.insert(as_nobody.end(), look.begin(), look.end());
  EXPECT_NE(container.Run(look).out, "0\n");
  const Finished finished = container.Run(as_nobody);
  EXPECT_EQ(finished.out, "0\n");
  EXPECT_EQ(finished.err, "");
}

class UnchangedTest : public ::testing::TestWithParam<std::pair<const char*, const char*>> {};

TEST_P(UnchangedTest, UmaskSignalsDescriptorsLocaleAndEnvironmentAreAsBefore) {
  const Variables variables = {{"CUDA_DEVICE_MEMORY_LIMIT_0", "3000m"},
                               {GetParam().first, GetParam().second}};
  Container container(variables), bare_container(variables);
  auto probe = container.Start();
  auto bare = bare_container.StartBare();
  EXPECT_EQ(probe->Ask("environment"), bare->Ask("environment"));
  for (const char* command : {"init", "ctx", "alloc 1000", "nvmlmem 0", "busy 5000", "sync"}) {
    EXPECT_EQ(probe->Code(command), 0) << command;
    EXPECT_EQ(bare->Code(command), 0) << command;
  }
  EXPECT_EQ(probe->Ask("environment"), bare->Ask("environment"));
  EXPECT_EQ(probe->Errors(), "");
}

INSTANTIATE_TEST_SUITE_P(Ways, UnchangedTest,
                         ::testing::Values(std::pair("HAMI_TEST_NOTHING", "1"),
                                           std::pair("LD_BIND_NOW", "1"),
                                           std::pair("CUDA_DEVICE_SM_LIMIT", "50")),
                         [](const auto& test) { return test.param.first; });

TEST(LoadingTest, ErrnoSurvivesTheFirstCallGrantAndRefusal) {
  Container container(Variables{{"CUDA_DEVICE_MEMORY_LIMIT_0", "1000m"}});
  auto probe = container.Start();
  EXPECT_EQ(probe->Ask("errno init"), container.StartBare()->Ask("errno init"));
  probe->Begin();
  EXPECT_EQ(probe->Ask("errno 1000"), "0 4711");
  EXPECT_EQ(probe->Ask("errno 2000000000"), "2 4711");
}

TEST(LoadingTest, AnExplicitLogLevelAnnouncesTheLibrary) {
  Container container(Variables{{"LIBCUDA_LOG_LEVEL", "2"}});
  auto probe = container.Start();
  probe->Begin();
  const std::string said = probe->Errors();
  EXPECT_NE(said.find("]: Initializing....."), std::string::npos) << said;
  EXPECT_NE(said.find("]: Initialized"), std::string::npos) << said;
  EXPECT_EQ(said.find("[HAMI-core Msg(" + std::to_string(probe->pid())), 0u) << said;
}

}  // namespace
}  // namespace hami::limiter::testing

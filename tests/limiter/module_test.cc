// Spec C3, C4: code counts before the driver loads it (docs/adr/0017).
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>

#include "limiter/hook/test_cubin.h"
#include "tests/limiter/limited_test.h"

namespace hami::limiter::testing {
namespace {

const char* const kModuleLoads[] = {"cuModuleLoad", "cuModuleLoadData", "cuModuleLoadDataEx",
                                    "cuModuleLoadFatBinary"};
const char* const kLibraryLoads[] = {"cuLibraryLoadData", "cuLibraryLoadFromFile"};

class ModuleTest : public LimitedTest {
 protected:
  std::string File(const std::string& content) {
    const std::string path = container_.folder() + "/image" + Text(files_++);
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }
  std::string CubinFile(uint64_t size) { return File(CubinOf(size)); }
  // Its size is the driver's secret.
  std::string OpaqueFile(uint64_t size) { return File("fakegpu-module kib=" + Text(size / 1024)); }
  void ExpectBooked(uint64_t bytes) {
    EXPECT_EQ(Used(), kContext + bytes);
    EXPECT_EQ(container_.CardUsed(0), kContext + bytes);
  }

 private:
  uint64_t files_ = 0;
};

TEST_F(ModuleTest, ACubinIsRefusedBeforeTheDriverLoadsItIfAndOnlyIfItDoesNotFit) {
  const std::string all = CubinFile(kRoom), more = CubinFile(kRoom + 1);
  for (const std::string load : kModuleLoads) {
    EXPECT_EQ(C("module " + load + " " + more), 2) << load;
    const uint64_t module = V("module " + load + " " + all);
    ExpectBooked(kRoom);
    EXPECT_EQ(C("alloc 1"), 2);
    EXPECT_EQ(C("endmodule " + Text(module)), 0);
    ExpectBooked(0);
  }
  for (const std::string load : kLibraryLoads) {
    EXPECT_EQ(C("library " + load + " " + more), 2) << load;
    const uint64_t library = V("library " + load + " " + all);
    ExpectBooked(kRoom);
    V("kernel " + Text(library));
    ExpectBooked(kRoom);
    EXPECT_EQ(C("endlibrary " + Text(library)), 0);
    ExpectBooked(0);
  }
}

TEST_F(ModuleTest, AModuleThatTakesNothingFitsAFullContainer) {
  const std::string cubin = CubinFile(0), opaque = OpaqueFile(0);
  V("alloc " + Text(kRoom));
  for (const std::string& file : {cubin, opaque}) {
    EXPECT_EQ(C("endmodule " + Text(V("module cuModuleLoadData " + file))), 0);
    EXPECT_EQ(C("endlibrary " + Text(V("library cuLibraryLoadData " + file))), 0);
  }
  ExpectBooked(kRoom);
}

TEST_F(ModuleTest, AnImageThatDoesNotTellIsMeasured) {
  const std::string file = OpaqueFile(64 * kMi);
  const uint64_t module = V("module cuModuleLoadData " + file);
  ExpectBooked(64 * kMi);
  const uint64_t library = V("library cuLibraryLoadFromFile " + file);
  ExpectBooked(128 * kMi);
  V("alloc " + Text(kRoom - 128 * kMi));
  EXPECT_EQ(C("endmodule " + Text(module)), 0);
  EXPECT_EQ(C("endlibrary " + Text(library)), 0);
  ExpectBooked(kRoom - 128 * kMi);
}

// What a full container holds without need makes room before the driver loads, not after.
TEST_F(ModuleTest, AnImageThatDoesNotTellFindsTheRoomThatPoolsKeep) {
  const std::string pool = Text(V("pool"));
  EXPECT_EQ(C("freeasync " + Text(V("frompool " + pool + " " + Text(kRoom)))), 0);
  V("module cuModuleLoadData " + OpaqueFile(64 * kMi));
  ExpectBooked(64 * kMi);
}

// "loads allocations refusals failures"
void ExpectStressed(const std::string& answer) {
  std::istringstream in(answer);
  uint64_t loads = 0, allocations = 0, refused = 0, failed = 1;
  in >> loads >> allocations >> refused >> failed;
  EXPECT_GT(loads, 0u) << answer;
  EXPECT_GT(allocations, 0u) << answer;
  EXPECT_GT(refused, 0u) << answer;
  EXPECT_EQ(failed, 0u) << answer;
}

TEST_F(ModuleTest, LoadsBesideAllocationsToTheLimitNeverExceedIt) {
  const std::string file = CubinFile(60 * kMi);
  ExpectStressed(A("modulestress 2 6 " + file + " " + Text(50 * kMi)));
  ExpectBooked(0);
}

TEST(ModulesOfTwoProcessesTest, LoadsBesideAllocationsToTheLimitNeverExceedIt) {
  Container container(Variables{{"CUDA_DEVICE_MEMORY_LIMIT_0", "768m"}});
  const std::string file = container.folder() + "/image";
  std::ofstream(file, std::ios::binary) << CubinOf(60 * kMi);
  auto one = container.Start(), other = container.Start();
  for (Probe* probe : {one.get(), other.get()}) probe->Begin();
  for (Probe* probe : {one.get(), other.get()}) {
    probe->Send("modulestress 2 4 " + file + " " + Text(50 * kMi));
  }
  for (Probe* probe : {one.get(), other.get()}) ExpectStressed(probe->Receive());
  EXPECT_LE(container.CardPeak(0), 768 * kMi);
  EXPECT_EQ(container.Used(0), 2 * kContext);
  EXPECT_EQ(container.CardUsed(0), 2 * kContext);
  EXPECT_EQ(container.region().ext.header.saturated, 0u);
  EXPECT_EQ(container.region().ext.header.unaccounted, 0u);
}

// Compiling takes seconds; what fits beside the module is granted all the same.
TEST_F(ModuleTest, ARequestWaitsForALoadOfUnknownSizeInsteadOfBeingRefused) {
  probe_ = container_.Start({{"FAKEGPU_FAIL", "cuModuleLoadData:latency_us=1500000"}});
  probe_->Begin();
  const std::string file = OpaqueFile(64 * kMi), rest = Text(kRoom - 64 * kMi);
  const std::string answers = A("together module cuModuleLoadData " + file + ";alloc " + rest);
  EXPECT_EQ(answers.substr(0, 2), "0 ") << answers;
  EXPECT_NE(answers.find(";0 "), std::string::npos) << answers;
  ExpectBooked(kRoom);
}

TEST_F(ModuleTest, AContextTakesItsModulesAndLibrariesWithIt) {
  const std::string file = CubinFile(32 * kMi);
  V("module cuModuleLoadData " + file);
  const std::string library = Text(V("library cuLibraryLoadData " + file));
  ExpectBooked(64 * kMi);
  EXPECT_EQ(C("release 0"), 0);
  EXPECT_EQ(Used(), 0u);
  EXPECT_EQ(container_.CardUsed(0), 0u);
  EXPECT_EQ(C("ctx"), 0);
  V("kernel " + library);  // a library outlives its context
  ExpectBooked(32 * kMi);
  EXPECT_EQ(C("endlibrary " + library), 0);
  ExpectBooked(0);
}

// A library loaded without a context is brought into one by whoever asks for its kernels.
TEST_F(ModuleTest, EscapeLazyLibrary_ItCountsWhereItIsFirstUsed) {
  EXPECT_EQ(C("release 0"), 0);
  const std::string big = Text(V("library cuLibraryLoadData " + CubinFile(kRoom + 1)));
  const std::string half = Text(V("library cuLibraryLoadData " + CubinFile(kRoom / 2)));
  const std::string opaque = Text(V("library cuLibraryLoadFromFile " + OpaqueFile(32 * kMi)));
  EXPECT_EQ(C("ctx"), 0);
  ExpectBooked(0);
  EXPECT_EQ(C("kernel " + big), 2);
  V("kernel " + half);
  V("moduleof " + half);
  ExpectBooked(kRoom / 2);
  V("moduleof " + opaque);
  V("kernel " + opaque);
  ExpectBooked(kRoom / 2 + 32 * kMi);
  for (const std::string& library : {big, half, opaque}) EXPECT_EQ(C("endlibrary " + library), 0);
  ExpectBooked(0);
}

TEST_F(ModuleTest, WhatTheDriverRefusesCostsNothingAndKeepsItsCode) {
  Container elsewhere;
  auto bare = elsewhere.StartBare();
  bare->Begin();
  const std::string cut = File(CubinOf(kMi).substr(0, 200));
  for (const std::string& command :
       {"module cuModuleLoad " + container_.folder() + "/nothing", "module cuModuleLoad " + cut,
        "library cuLibraryLoadFromFile " + cut, std::string("endmodule 0"),
        std::string("endlibrary 0"), std::string("kernel 0")}) {
    const int code = C(command);
    EXPECT_EQ(code, bare->Code(command)) << command;
    EXPECT_NE(code, 0) << command;
  }
  ExpectBooked(0);
}

}  // namespace
}  // namespace hami::limiter::testing

// Spec C3, C4: memory that several use is paid for once, by who allocated it, for as long as
// anybody has it from him.
#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <string>

#include "tests/limiter/session.h"

namespace hami::limiter::testing {
namespace {

// Two processes and room for one block.
class ShareTest : public ::testing::Test {
 protected:
  static constexpr uint64_t kBlock = 64 * kMi;
  static constexpr uint64_t kLimit = 2 * kContext + kBlock;

  void SetUp() override {
    probe_->Begin();
    other_->Begin();
  }
  void TearDown() override {
    EXPECT_LE(container_.CardPeak(0), kLimit);
    EXPECT_EQ(container_.region().ext.header.saturated, 0u);
    EXPECT_EQ(container_.region().ext.header.unaccounted, 0u);
  }
  std::string A(const std::string& command) { return probe_->Ask(command); }
  uint64_t V(const std::string& command) { return probe_->Value(command); }
  int C(const std::string& command) { return probe_->Code(command); }
  std::string File(const std::string& name) const { return container_.folder() + "/" + name; }
  std::string Descriptor(const std::string& answer) const {
    return "/proc/" + std::to_string(probe_->pid()) + "/fd/" + answer.substr(2);
  }
  void ExpectBooked(uint64_t bytes) {
    EXPECT_EQ(container_.Used(0), 2 * kContext + bytes);
    EXPECT_EQ(container_.CardUsed(0), 2 * kContext + bytes);
  }

  Container container_{Variables{{"CUDA_DEVICE_MEMORY_LIMIT_0", "576m"}}};
  std::unique_ptr<Probe> probe_ = container_.Start(), other_ = container_.Start();
};

TEST_F(ShareTest, TheExporterPaysForAnIpcHandle) {
  const std::string block = Text(V("alloc " + Text(kBlock)));
  EXPECT_EQ(C("ipcget " + block + " " + File("handle")), 0);
  const std::string opened = Text(other_->Value("ipcopen " + File("handle")));
  const std::string again = Text(other_->Value("ipcopen " + File("handle")));
  EXPECT_EQ(opened, again);
  ExpectBooked(kBlock);
  EXPECT_EQ(other_->Code("alloc 1"), 2);
  EXPECT_EQ(other_->Code("ipcclose " + opened), 0);
  EXPECT_EQ(other_->Code("ipcclose " + opened), 0);
  ExpectBooked(kBlock);
  EXPECT_EQ(C("free " + block), 0);
  ExpectBooked(0);
}

// Spec D2.6: IPC pointers in every free.
TEST_F(ShareTest, FreesOfAnIpcPointerGiveTheDriversCodesAndLeaveTheBooksAlone) {
  Container elsewhere;
  auto bare = elsewhere.StartBare(), bare_other = elsewhere.StartBare();
  bare->Begin();
  bare_other->Begin();
  const auto open = [&](Probe& from, Probe& to, const std::string& file) {
    const std::string block = Text(from.Value("alloc " + Text(kBlock)));
    EXPECT_EQ(from.Code("ipcget " + block + " " + file), 0);
    return Text(to.Value("ipcopen " + file));
  };
  const std::string ours = open(*probe_, *other_, File("ours"));
  const std::string theirs = open(*bare, *bare_other, File("theirs"));
  for (const std::string how :
       {"free ", "freeasync ", "freeasyncptsz ", "ipcclose ", "ipcclose "}) {
    EXPECT_EQ(other_->Code(how + ours), bare_other->Code(how + theirs)) << how;
    ExpectBooked(kBlock);
  }
}

TEST_F(ShareTest, TheExporterPaysForPhysicalMemory) {
  const std::string size = " " + Text(kBlock);
  const std::string block = Text(V("shareable" + size));
  const std::string fd = Descriptor(A("share cuMemExportToShareableHandle " + block));
  const std::string imported = Text(other_->Value("import cuMemImportFromShareableHandle " + fd));
  const std::string mapped = Text(other_->Value("map " + imported + size));
  ExpectBooked(kBlock);
  EXPECT_EQ(other_->Code("drop " + imported), 0);
  EXPECT_EQ(other_->Code("unmap " + mapped + size), 0);
  ExpectBooked(kBlock);
  // An import by the exporter is one reference more.
  const std::string own = Text(V("import cuMemImportFromShareableHandle " + fd));
  EXPECT_EQ(C("drop " + block), 0);
  ExpectBooked(kBlock);
  EXPECT_EQ(C("drop " + own), 0);
  ExpectBooked(0);
}

TEST_F(ShareTest, TheExporterPaysForAPool) {
  const std::string pool = Text(V("sharedpool"));
  const std::string block = Text(V("frompool " + pool + " " + Text(kBlock)));
  const std::string fd = Descriptor(A("share cuMemPoolExportToShareableHandle " + pool));
  EXPECT_EQ(C("exportblock " + block + " " + File("block")), 0);
  const std::string imported =
      Text(other_->Value("import cuMemPoolImportFromShareableHandle " + fd));
  const std::string pointer = Text(other_->Value("importblock " + imported + " " + File("block")));
  ExpectBooked(kBlock);
  EXPECT_EQ(other_->Code("freeasync " + pointer), 0);
  EXPECT_EQ(other_->Code("sync"), 0);
  EXPECT_EQ(other_->Code("endpool " + imported), 0);
  ExpectBooked(kBlock);
  EXPECT_EQ(C("freeasync " + block), 0);
  EXPECT_EQ(C("sync"), 0);
  EXPECT_EQ(C("endpool " + pool), 0);
  ExpectBooked(0);
}

TEST_F(ShareTest, MemoryOfOtherLibrariesCostsNothing) {
  const std::string answer = A("external " + Text(4 * kBlock));
  ASSERT_EQ(answer.substr(0, 2), "0 ") << answer;
  const std::string memory = answer.substr(2, answer.rfind(' ') - 2);
  const std::string pointer = answer.substr(answer.rfind(' ') + 1);
  ExpectBooked(0);
  EXPECT_EQ(C("free " + pointer), 0);
  EXPECT_EQ(C("endexternal " + memory), 0);
  V("alloc " + Text(kBlock));
  ExpectBooked(kBlock);
}

// A green context is a part of the primary one.
TEST_F(ShareTest, AGreenContextCostsThePrimaryOneOnly) {
  const std::string green = Text(V("green"));
  ExpectBooked(0);
  const std::string block = Text(V("alloc " + Text(kBlock / 2)));
  V("take cuModuleLoadData " + Text(kBlock / 4));
  ExpectBooked(kBlock / 2 + kBlock / 4);
  EXPECT_EQ(C("alloc " + Text(kBlock / 4 + 1)), 2);
  EXPECT_EQ(C("endgreen " + green), 0);
  ExpectBooked(kBlock / 2 + kBlock / 4);
  EXPECT_EQ(C("ctx"), 0);
  EXPECT_EQ(C("free " + block), 0);
  ExpectBooked(kBlock / 4);
  EXPECT_EQ(C("release 0"), 0);
  EXPECT_EQ(C("release 0"), 0);
  EXPECT_EQ(container_.Used(0), kContext);
  EXPECT_EQ(container_.CardUsed(0), kContext);
}

TEST(FirstGreenContextTest, ItIsTheContextThatIsReserved) {
  Container container(Variables{{"CUDA_DEVICE_MEMORY_LIMIT_0", "512m"}});
  auto scout = container.Start();
  scout->Begin();  // the size is known from now on
  auto probe = container.Start();
  EXPECT_EQ(probe->Code("init"), 0);
  const std::string green = Text(probe->Value("green"));
  EXPECT_EQ(container.Used(0), 2 * kContext);
  auto third = container.Start();
  EXPECT_EQ(third->Code("init"), 0);
  EXPECT_EQ(third->Code("green"), 2);
  EXPECT_EQ(container.CardPeak(0), 2 * kContext);
  EXPECT_EQ(probe->Code("endgreen " + green), 0);
  EXPECT_EQ(container.Used(0), kContext);
  EXPECT_EQ(container.CardUsed(0), kContext);
}

// Multicast objects take nothing; what is bound to one lives as long as the binding.
TEST(MulticastTest, ABindingKeepsTheChargeOfItsBlock) {
  Container container(Variables{{"CUDA_DEVICE_MEMORY_LIMIT_0", "512m"}});
  const std::string cards = container.folder() + "/cards.yaml";
  std::ofstream(cards) << "defaults: {context_mib: 256}\ncards:\n  - model: NVIDIA H200\n";
  auto probe = container.Start({{"FAKEGPU_CONFIG", cards}});
  probe->Begin();
  const auto expect_booked = [&](uint64_t bytes) {
    EXPECT_EQ(container.Used(0), kContext + bytes);
    EXPECT_EQ(container.CardUsed(0), kContext + bytes);
  };
  const std::string size = " " + Text(64 * kMi),
                    object = Text(probe->Value("multicast " + Text(256 * kMi)));
  const std::string second = " " + Text(64 * kMi), third = " " + Text(128 * kMi);
  expect_booked(0);
  const std::string bound = Text(probe->Value("shareable" + size));
  EXPECT_EQ(probe->Code("bind " + object + " 0 " + bound + size), 0);
  EXPECT_EQ(probe->Code("drop " + bound), 0);
  const std::string mapped = Text(probe->Value("shareable" + size));
  const std::string address = Text(probe->Value("map " + mapped + size));
  EXPECT_EQ(probe->Code("drop " + mapped), 0);
  EXPECT_EQ(probe->Code("bindat " + object + second + " " + address + size), 0);
  EXPECT_EQ(probe->Code("unmap " + address + size), 0);
  expect_booked(128 * kMi);
  EXPECT_EQ(probe->Code("alloc " + Text(128 * kMi + 1)), 2);
  EXPECT_EQ(probe->Code("unbind " + object + " 0" + size), 0);
  expect_booked(64 * kMi);
  const std::string last = Text(probe->Value("shareable" + size));
  EXPECT_EQ(probe->Code("bind " + object + third + " " + last + size), 0);
  EXPECT_EQ(probe->Code("drop " + last), 0);
  expect_booked(128 * kMi);
  EXPECT_EQ(probe->Code("drop " + object), 0);  // takes its bindings with it
  expect_booked(0);
  EXPECT_LE(container.CardPeak(0), 512 * kMi);
}

}  // namespace
}  // namespace hami::limiter::testing

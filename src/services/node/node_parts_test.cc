// The small parts of the service: inventory, journal, host files, registrar, shares, reports.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>

#include "abi/limits_page.h"
#include "services/node/digest.h"
#include "services/node/host_files.h"
#include "services/node/inventory.h"
#include "services/node/journal.h"
#include "services/node/limits.h"
#include "services/node/registrar.h"
#include "services/node/report.h"
#include "services/node/settings.h"
#include "services/node/testing/fake_cluster.h"

namespace hami::node {
namespace {

using std::chrono::seconds;

driver::CardInfo Card(uint32_t index, const std::string& uuid) {
  driver::CardInfo card;
  card.index = index;
  card.uuid = uuid;
  card.model = "NVIDIA A100-PCIE-40GB";
  card.memory = Bytes{40960LL << 20};
  card.device_node = "/dev/nvidia" + std::to_string(index);
  return card;
}
std::string NoFault(const std::string&) { return ""; }

TEST(InventoryTest, RegisterValueIsExactlyTheReferencesText) {
  driver::CardInfo second = Card(1, "GPU-77");
  second.numa = 1;
  const Inventory inventory =
      BuildInventory({second, Card(0, "GPU-5f")}, protocol::NodeSettings{}, NoFault);
  EXPECT_EQ(RegisterValue(inventory),
            R"([{"id":"GPU-5f","count":10,"devmem":40960,"devcore":100,)"
            R"("type":"NVIDIA A100-PCIE-40GB","mode":"hami-core","health":true},)"
            R"({"id":"GPU-77","index":1,"count":10,"devmem":40960,"devcore":100,)"
            R"("type":"NVIDIA A100-PCIE-40GB","numa":1,"mode":"hami-core","health":true}])");
}

TEST(InventoryTest, Trap2_OrderOfDiscoveryDoesNotShow) {
  std::vector<driver::CardInfo> cards;
  for (uint32_t i = 0; i < 8; ++i) cards.push_back(Card(i, "GPU-" + std::to_string(i)));
  const std::string expected =
      RegisterValue(BuildInventory(cards, protocol::NodeSettings{}, NoFault));
  do {
    ASSERT_EQ(RegisterValue(BuildInventory(cards, protocol::NodeSettings{}, NoFault)), expected);
  } while (std::next_permutation(cards.begin(), cards.begin() + 5,
                                 [](const auto& a, const auto& b) { return a.uuid < b.uuid; }));
}

TEST(InventoryTest, Trap6_NoCardsIsAnEmptyList) {
  protocol::NodeSettings settings;
  settings.filter_uuids = {"GPU-a"};
  settings.filter_indexes = {1};
  const Inventory inventory =
      BuildInventory({Card(0, "GPU-a"), Card(1, "GPU-b")}, settings, NoFault);
  EXPECT_EQ(RegisterValue(inventory), "[]");
  EXPECT_EQ(inventory.left_out.size(), 2u);
}

TEST(InventoryTest, RefusedSettingsOfferNoCardAndForgetNone) {
  protocol::NodeSettings settings;
  settings.refusal = "config.json: nodeconfig \"n1\".devicesplitcount: expected more, got 0";
  const Inventory inventory = BuildInventory({Card(0, "GPU-a")}, settings, NoFault);
  EXPECT_NE(RegisterValue(inventory).find("GPU-a"), std::string::npos);
  EXPECT_EQ(RegisterValue(inventory).find("health"), std::string::npos);  // absent: unhealthy
  EXPECT_EQ(inventory.cards[0].fault, settings.refusal);
  for (const auto& id : KubeletDevices(inventory, settings)) EXPECT_FALSE(id.healthy) << id.id;
}

TEST(InventoryTest, FiltersThatFindNoCardAreTold) {
  protocol::NodeSettings settings;
  settings.filter_uuids = {"GPU-a", "GPU-typo"};
  settings.filter_indexes = {0, 7};
  EXPECT_EQ(BuildInventory({Card(0, "GPU-a")}, settings, NoFault).unmatched,
            (std::vector<std::string>{"uuid GPU-typo", "index 7"}));
  // The driver did not answer yet: nobody knows.
  EXPECT_TRUE(BuildInventory({}, settings, NoFault).unmatched.empty());
}

TEST(InventoryTest, ScalingTruncatesAndUnhealthyCardsStayListed) {
  protocol::NodeSettings settings;
  settings.memory_scaling = 1.5001;
  settings.core_scaling = 2;
  settings.split_count = 3;
  const Inventory inventory = BuildInventory(
      {Card(0, "GPU-a")}, settings, [](const std::string&) { return std::string("lost"); });
  const Device& device = inventory.cards[0].device;
  EXPECT_EQ(device.memory.value, 61444);
  EXPECT_EQ(device.cores.value, 200);
  EXPECT_FALSE(device.healthy);
  const auto ids = KubeletDevices(inventory, settings);
  ASSERT_EQ(ids.size(), 3u);
  EXPECT_EQ(ids[2].id, "GPU-a-2");
  EXPECT_FALSE(ids[2].healthy);
}

TEST(InventoryTest, CardsWithoutMemoryNeedTheConfiguredOne) {
  driver::CardInfo card = Card(0, "GPU-a");
  card.memory.reset();
  protocol::NodeSettings settings;
  Inventory none = BuildInventory({card}, settings, NoFault);
  EXPECT_TRUE(none.cards.empty());
  EXPECT_NE(none.left_out[0].find("preConfiguredDeviceMemory"), std::string::npos);
  settings.preconfigured_memory = {122'000};
  EXPECT_EQ(BuildInventory({card}, settings, NoFault).cards[0].device.memory.value, 122'000);
}

TEST(InventoryTest, NumaIsToldOnlyWhenAskedFor) {
  driver::CardInfo card = Card(0, "GPU-a");
  card.numa = 1;
  protocol::NodeSettings settings;
  EXPECT_EQ(KubeletDevices(BuildInventory({card}, settings, NoFault), settings)[0].numa,
            std::nullopt);
  settings.numa_topology = true;
  EXPECT_EQ(KubeletDevices(BuildInventory({card}, settings, NoFault), settings)[0].numa, 1);
}

class DiskTest : public testing::Test {
 protected:
  DiskTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "hami-disk-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
  }
  ~DiskTest() override { std::filesystem::remove_all(root_); }
  void Write(const std::string& path, std::string_view text) {
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    ASSERT_TRUE(RealFileSystem().WriteAtomic(path, text, 0644));
  }
  HostLayout Layout() const { return {.hook_path = root_, .lock_dir = root_ + "/lock"}; }
  std::string root_;
};

TEST_F(DiskTest, JournalSurvivesARestartAndSetsAsideWhatItCannotRead) {
  const Record record{.uid = "u",
                      .pod = {"ns", "p"},
                      .container = "c",
                      .ids = {"GPU-a-0"},
                      .shares = {{"GPU-a", "NVIDIA", {3000}, {30}}},
                      .step = Step::kCommitted};
  {
    Journal journal(RealFileSystem(), root_ + "/state");
    ASSERT_TRUE(journal.Load());
    ASSERT_TRUE(journal.Put(record));
  }
  Write(root_ + "/state/broken_c.json", "{\"v\":1}");
  Write(root_ + "/state/u_c.json.tmp", "half");
  Journal journal(RealFileSystem(), root_ + "/state");
  ASSERT_TRUE(journal.Load());
  ASSERT_EQ(journal.records().size(), 1u);
  EXPECT_EQ(*journal.Find("u", "c"), record);
  EXPECT_EQ(RealFileSystem().List(root_ + "/state")->size(), 1u);
  ASSERT_TRUE(journal.Remove("u", "c"));
  EXPECT_TRUE(RealFileSystem().List(root_ + "/state")->empty());
}

TEST_F(DiskTest, RecordsWithWrongFieldsAreRefusedByName) {
  for (const char* text :
       {R"({"v":2})", R"({"v":1,"podUID":"u"})",
        R"({"v":1,"podUID":"u","name":"p","container":"c","ids":[],"devices":[],"step":2})",
        R"({"v":1,"podUID":"u","name":"p","container":"c","ids":[1],"devices":[],"step":1})",
        R"({"v":1,"podUID":"u","name":"p","container":"c","ids":[],"devices":[{}],"step":1})"}) {
    auto record = DecodeRecord(text);
    ASSERT_FALSE(record.has_value()) << text;
    EXPECT_TRUE(record.error().message.starts_with("journal record: ")) << record.error().message;
  }
}

TEST_F(DiskTest, Trap13_LibraryOfTheSameVersionNeverReplacesAMappedOne) {
  HostFiles files(RealFileSystem(), Layout());
  Write(root_ + "/image/nested/libvgpu.so.v1", "one");
  ASSERT_TRUE(files.Install(root_ + "/image", "1"));
  const std::string first = files.library();
  const auto inode = RealFileSystem().Stat(first)->st_ino;
  ASSERT_TRUE(files.MakeContainer("u", "c"));
  Write(root_ + "/image/nested/libvgpu.so.v1", "two");
  ASSERT_TRUE(files.Install(root_ + "/image", "1"));
  EXPECT_NE(files.library(), first);
  EXPECT_EQ(RealFileSystem().Stat(first)->st_ino, inode);
  EXPECT_EQ(*RealFileSystem().Read(first), "one");
  EXPECT_EQ(*RealFileSystem().Read(root_ + "/vgpu/ld.so.preload"), root_ + "/vgpu/libvgpu.so\n");
  files.RemoveContainer("u", "c");
  ASSERT_TRUE(files.Install(root_ + "/image", "1"));
  EXPECT_FALSE(RealFileSystem().Exists(first));
}

TEST_F(DiskTest, Trap14_LockFolderIsOpenToEverybody) {
  HostFiles files(RealFileSystem(), Layout());
  Write(root_ + "/libvgpu.so", "x");
  ASSERT_TRUE(files.Install(root_ + "/libvgpu.so", "1"));
  EXPECT_EQ(RealFileSystem().Stat(root_ + "/lock")->st_mode & 07777, 01777u);
  std::filesystem::remove_all(root_ + "/lock");  // as a reboot does with /tmp
  ASSERT_TRUE(files.MakeContainer("u", "c"));
  EXPECT_EQ(RealFileSystem().Stat(root_ + "/lock")->st_mode & 07777, 01777u);
  EXPECT_EQ(RealFileSystem().Stat(files.ContainerDir("u", "c"))->st_mode & 07777, 0777u);
}

// Complaint: nobody could tell which value holds while an entry of config.json is wrong.
TEST(ReportTest, TheEventOfAWrongConfigurationSaysWhatHoldsMeanwhile) {
  EXPECT_EQ(ConfigErrorText("config.json: x", true),
            "config.json: x; until this is right, no Pod gets a card here");
  EXPECT_EQ(ConfigErrorText("config.json: x", false),
            "config.json: x; until this is right, the settings of before hold");
}

TEST_F(DiskTest, MissingLibraryNamesTheFlag) {
  HostFiles files(RealFileSystem(), Layout());
  auto installed = files.Install(root_ + "/none", "1");
  ASSERT_FALSE(installed.has_value());
  EXPECT_NE(installed.error().message.find("--limiter-library"), std::string::npos);
}

TEST_F(DiskTest, FoldersGoWithTheirPodsAfterAWhile) {
  HostFiles files(RealFileSystem(), Layout());
  ASSERT_TRUE(files.MakeContainer("live", "c"));
  ASSERT_TRUE(files.MakeContainer("dead", "c"));
  auto alive = [](const std::string& uid) { return uid == "live"; };
  files.Collect(alive, WallTime{});
  EXPECT_TRUE(RealFileSystem().Exists(files.ContainerDir("dead", "c")));
  files.Collect(alive, SystemClock().Now() + std::chrono::hours(1));
  EXPECT_FALSE(RealFileSystem().Exists(files.ContainerDir("dead", "c")));
  EXPECT_TRUE(RealFileSystem().Exists(files.ContainerDir("live", "c")));
}

TEST_F(DiskTest, RemoveAllKeepsWhatLivePodsUse) {
  HostFiles files(RealFileSystem(), Layout());
  Write(root_ + "/libvgpu.so", "x");
  ASSERT_TRUE(files.Install(root_ + "/libvgpu.so", "1"));
  ASSERT_TRUE(files.MakeContainer("live", "c"));
  auto kept = files.RemoveAll([](const std::string&) { return true; });
  ASSERT_TRUE(kept.has_value());
  EXPECT_EQ(kept->size(), 1u);
  EXPECT_TRUE(RealFileSystem().Exists(files.library()));
  ASSERT_TRUE(files.RemoveAll([](const std::string&) { return false; }).has_value());
  EXPECT_FALSE(RealFileSystem().Exists(root_ + "/vgpu"));
  EXPECT_FALSE(RealFileSystem().Exists(root_ + "/lock"));
}

TEST_F(DiskTest, UninstallLeftLimitsPagesOfDeadPodsBesideThoseOfLiveOnes) {
  HostFiles files(RealFileSystem(), Layout());
  Write(root_ + "/libvgpu.so", "x");
  ASSERT_TRUE(files.Install(root_ + "/libvgpu.so", "1"));
  for (const char* uid : {"live", "dead"}) {
    ASSERT_TRUE(files.MakeContainer(uid, "c"));
    Write(files.LimitsPage(uid, "c"), "page");
    Write(files.layout().State() + "/" + uid + "_c.json", "{}");
  }
  Write(files.LimitsPage("long-dead", "c"), "page");  // its folder went before
  auto kept = files.RemoveAll([](const std::string& uid) { return uid == "live"; });
  ASSERT_TRUE(kept.has_value());
  EXPECT_EQ(*kept, (std::vector<std::string>{files.ContainerDir("live", "c"),
                                             files.LimitsPage("live", "c"),
                                             files.layout().State() + "/live_c.json"}));
  for (const std::string& path : *kept) EXPECT_TRUE(RealFileSystem().Exists(path)) << path;
  EXPECT_FALSE(RealFileSystem().Exists(files.ContainerDir("dead", "c")));
  EXPECT_EQ(RealFileSystem().List(files.layout().Limits())->size(), 1u);
  EXPECT_EQ(RealFileSystem().List(files.layout().State())->size(), 1u);
}

TEST_F(DiskTest, LimitsPageAndRegionAreMadeOnceInTheOrderGiven) {
  const LimitsRequest request{
      .region_file = root_ + "/u.cache",
      .region_inside = "/usr/local/vgpu/u.cache",
      .page_file = root_ + "/page",
      .shares = {{.uuid = "GPU-a", .index = 0, .minor = 0, .memory = {3000}, .cores = {30}},
                 {.uuid = "GPU-b", .index = 1, .minor = 1, .memory = {4000}, .cores = {0}}},
      .physical = {{0}, {2000}},
      .priority = 0,
      .disable_core_limit = true,
      .oversubscribe = true,
      .allow_disable_control = false};
  ASSERT_TRUE(MakeContainerLimits(request).has_value());
  const std::string bytes = *RealFileSystem().Read(request.page_file);
  ASSERT_EQ(bytes.size(), sizeof(HamiLimitsPage));
  HamiLimitsPage page;
  std::copy(bytes.begin(), bytes.end(), reinterpret_cast<char*>(&page));
  EXPECT_EQ(page.magic, HAMI_LIMITS_MAGIC);
  EXPECT_EQ(page.generation % 2, 0u);
  EXPECT_EQ(page.device_count, 2u);
  EXPECT_STREQ(page.devices[0].uuid, "GPU-a");
  EXPECT_EQ(page.devices[0].memory_limit, 3000ull << 20);
  EXPECT_EQ(page.devices[0].core_percent, 30u);
  EXPECT_EQ(page.devices[1].phys_share, 2000ull << 20);
  EXPECT_EQ(page.switches, uint32_t{HAMI_LIMITS_OVERSUBSCRIBE});
  EXPECT_EQ(page.policy, uint32_t{HAMI_POLICY_DISABLE});
  EXPECT_STREQ(page.region_path, "/usr/local/vgpu/u.cache");
  EXPECT_TRUE(RealFileSystem().Exists(request.region_file));
  const auto inode = RealFileSystem().Stat(request.page_file)->st_ino;
  ASSERT_TRUE(MakeContainerLimits(request).has_value());
  EXPECT_EQ(RealFileSystem().Stat(request.page_file)->st_ino, inode);
}

class RegistrarTest : public testing::Test {
 protected:
  RegistrarTest() {
    cluster_.view = &view_;
    cluster_.SetNode({{"other", "kept"}});
    executor_.RunReady();
  }
  FakeClock clock_;
  ManualExecutor executor_{clock_};
  FakeCluster cluster_{executor_};
  NodeView view_{[this] { registrar_.Reconcile(); }};
  Registrar registrar_{executor_, cluster_, view_};
};

TEST_F(RegistrarTest, HealthyNodeIsWrittenOnce) {
  registrar_.Want("k", "v");
  executor_.RunReady();
  for (int i = 0; i < 100; ++i) {
    registrar_.Want("k", "v");
    executor_.Advance(seconds(30));
  }
  EXPECT_EQ(cluster_.node_patches, 1);
  EXPECT_EQ(cluster_.gets, 0);
  EXPECT_EQ(cluster_.NodeAnnotation("other"), "kept");
  EXPECT_TRUE(registrar_.in_step());
}

TEST_F(RegistrarTest, Trap1_FailedPatchIsTriedAgain) {
  cluster_.node_patch_errors = {Code::kUnavailable, Code::kInternal, Code::kPermissionDenied};
  registrar_.Want("k", "v");
  executor_.Advance(seconds(10));
  EXPECT_EQ(cluster_.NodeAnnotation("k"), "v");
  EXPECT_EQ(registrar_.failures(), 3u);
}

TEST_F(RegistrarTest, AnnotationThatSomebodyRemovedComesBack) {
  registrar_.Want("k", "v");
  executor_.RunReady();
  cluster_.SetNode({});
  executor_.RunReady();
  EXPECT_EQ(cluster_.NodeAnnotation("k"), "v");
}

TEST_F(RegistrarTest, LastWordsReplaceWhatIsThere) {
  registrar_.Want("k", "v");
  registrar_.Want("l", "w");
  executor_.RunReady();
  cluster_.node_patch_errors = {Code::kConflict};  // somebody wrote the node at that moment
  registrar_.Leave("k", "gone");
  EXPECT_FALSE(registrar_.in_step());
  executor_.Advance(seconds(2));
  EXPECT_TRUE(registrar_.in_step());
  EXPECT_EQ(cluster_.NodeAnnotation("k"), "gone");
  EXPECT_EQ(cluster_.NodeAnnotation("l"), "w");
}

// A plugin that is still stopping while the node is being cleaned leaves nothing behind.
TEST_F(RegistrarTest, LastWordsAreNotSaidOnANodeThatWasCleaned) {
  registrar_.Want("k", "v");
  executor_.RunReady();
  cluster_.view = nullptr;  // the watch tells late
  cluster_.SetNode({});
  registrar_.Leave("k", "gone");
  executor_.Advance(seconds(10));
  EXPECT_FALSE(cluster_.NodeHas("k"));
  EXPECT_FALSE(registrar_.in_step());
  cluster_.view = &view_;
  cluster_.Resync();
  executor_.RunReady();
  EXPECT_TRUE(registrar_.in_step());
  EXPECT_FALSE(cluster_.NodeHas("k"));
}

TEST(DigestTest, SameInputSameUuid) {
  EXPECT_EQ(StableUuid("a/b"), StableUuid("a/b"));
  EXPECT_NE(StableUuid("a/b"), StableUuid("a/c"));
  const std::string uuid = StableUuid("a/b");
  EXPECT_EQ(uuid.size(), 36u);
  EXPECT_EQ(uuid[14], '8');
  EXPECT_EQ(Sha256Hex("abc").substr(0, 16), "ba7816bf8f01cfea");
}

TEST(OlderVersionTest, DecimalTextsCompareAsNumbers) {
  EXPECT_TRUE(OlderVersion("99", "100"));
  EXPECT_FALSE(OlderVersion("100", "99"));
  EXPECT_FALSE(OlderVersion("100", "100"));
  EXPECT_FALSE(OlderVersion("a", "b"));
}

TEST(SettingsTest, Trap29_NodeNameIsNeeded) {
  NodeFlags flags;
  ::unsetenv("NODE_NAME");
  EXPECT_NE(FinishNodeFlags(flags).error().message.find("NODE_NAME"), std::string::npos);
  flags.node_name = "n1";
  flags.hook_path = "/opt/";
  EXPECT_TRUE(FinishNodeFlags(flags).has_value());
  EXPECT_EQ(flags.hook_path, "/opt");
}

TEST(SettingsTest, OnlyGivenTuningOverridesTheFiles) {
  NodeFlags values;
  FlagSet flags("test", "");
  AddNodeFlags(flags, values);
  const char* argv[] = {"test", "--device-split-count=7", "--disable-core-limit=false"};
  ASSERT_TRUE(flags.Parse(3, argv).has_value());
  const driver::Tuning tuning = GivenTuning(flags, values);
  EXPECT_EQ(tuning.split_count, 7);
  EXPECT_EQ(tuning.disable_core_limit, false);
  EXPECT_EQ(tuning.memory_scaling, std::nullopt);
  EXPECT_EQ(tuning.resource, std::nullopt);
}

TEST(ReportTest, MetricsAndAllocationsCanBeRead) {
  protocol::NodeSettings settings;
  settings.filter_uuids = {"GPU-typo"};
  const Inventory inventory = BuildInventory({Card(0, "GPU-a")}, settings, NoFault);
  AllocatorCounters counters;
  counters.refused["no-pod"] = 2;
  const std::map<ContainerRef, Record> records = {
      {{"u", "c"}, {.uid = "u", .pod = {"ns", "p"}, .container = "c"}}};
  const std::map<uint64_t, uint64_t> events = {{79, 1}};
  const ReportInput input{.node = "n1",
                          .resource = "nvidia.com/gpu",
                          .inventory = inventory,
                          .endpoint = {},
                          .counters = counters,
                          .records = records,
                          .driver_events = events};
  const std::string text = MetricsText(input);
  EXPECT_NE(text.find("hami_device_plugin_devices{health=\"healthy\",node=\"n1\""),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("result=\"refused-no-pod\""), std::string::npos);
  EXPECT_NE(text.find("hami_device_plugin_filters_unmatched{node=\"n1\",resource=\"nvidia.com/"
                      "gpu\"} 1"),
            std::string::npos)
      << text;
  auto json = ParseJson(AllocationsJson(input));
  ASSERT_TRUE(json.has_value());
  EXPECT_EQ(StringAt(json->at("allocations").at(0), {"podUID"}), "u");
}

}  // namespace
}  // namespace hami::node

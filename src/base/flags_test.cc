#include "base/flags.h"

#include <gtest/gtest.h>
#include <stdlib.h>

namespace hami {
namespace {

using namespace std::chrono_literals;

struct Fixture {
  FlagSet flags{"prog", "A program for tests."};
  std::string bind = "127.0.0.1:8080";
  bool debug = false;
  int64_t v = 0;
  Duration timeout = 5min;
  std::vector<std::string> strategy{"envvar"};

  Fixture() {
    flags.Add("http_bind", &bind, "listen address");
    flags.Add("debug", &debug, "more words");
    flags.Add("v", &v, "verbosity");
    flags.Add("node-lock-timeout", &timeout, "age of a stale lock", "HAMI_TEST_LOCK");
    flags.Add("device-list-strategy", &strategy, "how devices get in");
    flags.Accept("logtostderr", "klog", false);
  }
  Result<FlagSet::Action> Parse(std::vector<const char*> args) {
    args.insert(args.begin(), "prog");
    return flags.Parse(static_cast<int>(args.size()), args.data());
  }
};

TEST(FlagSet, ReadsGoSpellings) {
  Fixture f;
  ASSERT_TRUE(f.Parse({"--http_bind=0.0.0.0:443", "-v=4", "--debug", "--node-lock-timeout", "28s",
                       "--device-list-strategy=cdi-cri,envvar", "--logtostderr=true"}));
  EXPECT_EQ(f.bind, "0.0.0.0:443");
  EXPECT_EQ(f.v, 4);
  EXPECT_TRUE(f.debug);
  EXPECT_EQ(f.timeout, 28s);
  EXPECT_EQ(f.strategy, (std::vector<std::string>{"cdi-cri", "envvar"}));
  EXPECT_TRUE(f.flags.Given("http_bind"));
}

TEST(FlagSet, BooleansTakeAValueOnlyAfterEquals) {
  Fixture f;
  f.debug = true;
  ASSERT_TRUE(f.Parse({"-debug=false"}));
  EXPECT_FALSE(f.debug);
  Fixture g;
  EXPECT_FALSE(g.Parse({"--debug", "false"}));
}

TEST(FlagSet, UnknownFlagNamesTheNearest) {
  Fixture f;
  auto r = f.Parse({"--htp_bind=x"});
  ASSERT_FALSE(r);
  EXPECT_NE(r.error().message.find("did you mean --http_bind"), std::string::npos);
}

TEST(FlagSet, BadValuesNameFlagValueAndExpectation) {
  Fixture f;
  auto r = f.Parse({"--node-lock-timeout=5"});
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().message,
            "flag --node-lock-timeout: \"5\": expected a duration such as 5m, 28s or 1h30m");
  EXPECT_FALSE(f.Parse({"-v=x"}));
  EXPECT_FALSE(f.Parse({"--http_bind"}));
  EXPECT_FALSE(f.Parse({"stray"}));
}

TEST(FlagSet, FlagBeatsEnvironmentBeatsDefault) {
  setenv("HAMI_TEST_LOCK", "1m", 1);
  Fixture env;
  ASSERT_TRUE(env.Parse({}));
  EXPECT_EQ(env.timeout, 1min);
  EXPECT_TRUE(env.flags.Given("node-lock-timeout"));
  Fixture flag;
  ASSERT_TRUE(flag.Parse({"--node-lock-timeout=2m"}));
  EXPECT_EQ(flag.timeout, 2min);
  setenv("HAMI_TEST_LOCK", "soon", 1);
  Fixture bad;
  auto r = bad.Parse({});
  ASSERT_FALSE(r);
  EXPECT_NE(r.error().message.find("HAMI_TEST_LOCK"), std::string::npos);
  unsetenv("HAMI_TEST_LOCK");
}

TEST(FlagSet, SubcommandsHaveFlagsOfTheirOwn) {
  FlagSet flags("prog", "x");
  std::string host;
  FlagSet& create = flags.Command("certgen", "makes certificates");
  create.Add("host", &host, "names");
  const char* argv[] = {"prog", "certgen", "--host=a,b"};
  ASSERT_TRUE(flags.Parse(3, argv));
  EXPECT_EQ(flags.command(), "certgen");
  EXPECT_EQ(host, "a,b");
}

// Complaint: --version was unknown, and so were help and the plural of a word.
TEST(FlagSet, HelpAndVersionAreUnderstoodAsWordAndAsFlag) {
  auto parse = [](std::vector<const char*> words, std::string& command, std::string& out) {
    FlagSet flags("prog", "does things");
    FlagSet& get = flags.Command("get", "shows things");
    get.Command("card", "shows one card").Command("deep", "deepest");
    get.Alias("cards", "card");
    words.insert(words.begin(), "prog");
    ::testing::internal::CaptureStdout();
    auto action = flags.Parse(static_cast<int>(words.size()), words.data());
    out = ::testing::internal::GetCapturedStdout();
    command = get.command();
    return action;
  };
  std::string command;
  std::string out;
  EXPECT_EQ(*parse({"--version"}, command, out), FlagSet::Action::kExit);
  EXPECT_TRUE(out.starts_with("prog ")) << out;
  EXPECT_EQ(*parse({"get", "card", "--version"}, command, out), FlagSet::Action::kExit);
  EXPECT_TRUE(out.starts_with("prog ") && !out.starts_with("prog get")) << out;
  EXPECT_EQ(*parse({"help"}, command, out), FlagSet::Action::kExit);
  EXPECT_TRUE(out.starts_with("does things")) << out;
  EXPECT_EQ(*parse({"help", "get", "cards"}, command, out), FlagSet::Action::kExit);
  EXPECT_TRUE(out.starts_with("shows one card")) << out;
  EXPECT_EQ(*parse({"get", "help"}, command, out), FlagSet::Action::kExit);
  EXPECT_TRUE(out.starts_with("shows things")) << out;
  EXPECT_FALSE(parse({"help", "got"}, command, out));
  EXPECT_EQ(*parse({"get", "cards"}, command, out), FlagSet::Action::kRun);
  EXPECT_EQ(command, "card");
}

TEST(FlagSet, AProgramsOwnVersionCommandIsWhatTheFlagMeans) {
  FlagSet flags("prog", "x");
  flags.Command("version", "own text");
  const char* argv[] = {"prog", "--version"};
  EXPECT_EQ(*flags.Parse(2, argv), FlagSet::Action::kRun);
  EXPECT_EQ(flags.command(), "version");
}

TEST(FlagSet, AProgramsOwnVersionFlagIsItsOwn) {
  FlagSet flags("shrreg-tool", "x");
  bool version = false;
  flags.Add("version", &version, "size and version of the region");
  const char* argv[] = {"shrreg-tool", "--version"};
  EXPECT_EQ(*flags.Parse(2, argv), FlagSet::Action::kRun);
  EXPECT_TRUE(version);
  EXPECT_EQ(flags.Help().find("which build"), std::string::npos);
}

TEST(FlagSet, HelpNamesEveryFlag) {
  Fixture f;
  std::string help = f.flags.Help();
  for (const char* word : {"--http_bind", "-v int", "HAMI_TEST_LOCK", "(default 5m0s)",
                           "without effect: --logtostderr"}) {
    EXPECT_NE(help.find(word), std::string::npos) << word;
  }
}

}  // namespace
}  // namespace hami

#include "services/cli/cli.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "services/cli/cluster_fixture.h"

namespace hami::cli {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

struct Answer {
  int code = -1;
  std::string out, err;
  std::string connected;  // "kubeconfig|context"
};

Answer Hamictl(FakeApi& api, std::vector<const char*> words, const std::string& ns = "") {
  words.insert(words.begin(), "hamictl");
  Answer answer;
  FakeClock clock;
  Outside outside;
  outside.connect = [&](const std::string& file, const std::string& context,
                        std::string* default_ns) -> Result<ApiCall> {
    answer.connected = file + "|" + context;
    *default_ns = ns;
    return api.call();
  };
  outside.read_file = [](const std::string& path) -> Result<std::string> {
    return Fail(Code::kNotFound, "read " + path + ": No such file or directory");
  };
  outside.out = [&](std::string_view text) { answer.out += text; };
  outside.err = [&](std::string_view text) { answer.err += text; };
  outside.clock = &clock;
  answer.code = RunHamictl(static_cast<int>(words.size()), words.data(), outside);
  return answer;
}

FakeApi WithPod() {
  FakeApi api = FakeApi::Healthy();
  api.objects["/api/v1/namespaces/team-a/pods/train"] = PodJson("train", "3000");
  return api;
}

TEST(HamictlTest, GetCardsAnswersYesWhenThereAreCards) {
  FakeApi api = WithPod();
  Answer answer = Hamictl(api, {"get", "cards"});
  EXPECT_EQ(answer.code, kExitOk) << answer.err;
  EXPECT_THAT(answer.out, HasSubstr("GPU-a0"));
  EXPECT_EQ(Hamictl(api, {"get", "cards", "--node", "n9"}).code, kExitNo);
  EXPECT_EQ(Hamictl(api, {"get", "cards", "-o", "yaml"}).code, kExitUsage);
}

TEST(HamictlTest, ThePodMayBeNamedInThreeWays) {
  FakeApi api = WithPod();
  EXPECT_EQ(Hamictl(api, {"explain", "pod", "team-a/train"}).code, kExitOk);
  EXPECT_EQ(Hamictl(api, {"explain", "pod", "train", "-n", "team-a"}).code, kExitOk);
  EXPECT_EQ(Hamictl(api, {"-n", "team-a", "explain", "pod", "train"}).code, kExitOk);
  EXPECT_EQ(Hamictl(api, {"explain", "pod", "train"}, "team-a").code, kExitOk);
  EXPECT_EQ(Hamictl(api, {"explain", "pod", "team-a/train", "-n", "team-b"}).code, kExitUsage);
}

TEST(HamictlTest, APodThatDoesNotExistIsANoAndNotAnError) {
  FakeApi api = WithPod();
  Answer answer = Hamictl(api, {"explain", "pod", "team-a/nobody"});
  EXPECT_EQ(answer.code, kExitNo);
  EXPECT_EQ(answer.err, "hamictl: pod team-a/nobody does not exist\n");
  EXPECT_EQ(answer.out, "");
}

TEST(HamictlTest, TroubleIsExitCodeOneInBothForms) {
  FakeApi api = WithPod();
  api.objects["/api/v1/namespaces/team-a/pods/train"] = PodJson("train", "99000");
  EXPECT_EQ(Hamictl(api, {"explain", "pod", "team-a/train"}).code, kExitNo);
  Answer json = Hamictl(api, {"explain", "pod", "team-a/train", "-o", "json"});
  EXPECT_EQ(json.code, kExitNo);
  EXPECT_EQ(StringAt(Tree(json.out), {"name"}), "train");
}

TEST(HamictlTest, TheContextIsTheUsersChoiceBeforeOrBehindTheCommand) {
  FakeApi api = WithPod();
  EXPECT_EQ(Hamictl(api, {"get", "cards"}).connected, "|");
  EXPECT_EQ(Hamictl(api, {"get", "cards", "--context", "far"}).connected, "|far");
  EXPECT_EQ(
      Hamictl(api, {"--context=far", "--kubeconfig=f", "explain", "pod", "team-a/train"}).connected,
      "f|far");
}

TEST(HamictlTest, OnlyTheEventsOfThisPodAreAskedFor) {
  FakeApi api = WithPod();
  Hamictl(api, {"explain", "pod", "team-a/train"});
  EXPECT_THAT(api.asked, Contains("/api/v1/namespaces/team-a/events?fieldSelector="
                                  "involvedObject.uid%3Du-1&limit=500"));
}

TEST(HamictlTest, WrongCommandLinesAskNothingOfTheCluster) {
  FakeApi api = WithPod();
  for (std::vector<const char*> words : {std::vector<const char*>{},
                                         {"get"},
                                         {"explain"},
                                         {"explain", "pod"},
                                         {"get", "nodes"},
                                         {"explain", "pod", "a/b/c"},
                                         {"explain", "pod", "a", "b"},
                                         {"explain", "pod", "/"},
                                         {"explain", "pod", "/x"},
                                         {"explain", "pod", "/x", "-n", "u"},
                                         {"get", "cards", "-n", "u"},
                                         {"get", "cards", "--nod", "n1"},
                                         {"describe"}}) {
    Answer answer = Hamictl(api, words);
    EXPECT_EQ(answer.code, kExitUsage) << testing::PrintToString(words);
    EXPECT_THAT(answer.err, HasSubstr("hamictl: "));
  }
  EXPECT_THAT(api.asked, IsEmpty());
}

TEST(HamictlTest, AClusterThatDoesNotAnswerIsExitCodeThree) {
  FakeApi api = WithPod();
  api.down = true;
  for (std::vector<const char*> words :
       {std::vector<const char*>{"get", "cards"}, {"explain", "pod", "team-a/train"}}) {
    Answer answer = Hamictl(api, words);
    EXPECT_EQ(answer.code, kExitUnreachable);
    EXPECT_THAT(answer.err, HasSubstr("connection refused"));
  }
}

TEST(HamictlTest, SingularAndPluralAreTheSame) {
  FakeApi api = WithPod();
  EXPECT_EQ(Hamictl(api, {"get", "card"}).out, Hamictl(api, {"get", "cards"}).out);
  EXPECT_EQ(Hamictl(api, {"explain", "pods", "team-a/train"}).code, kExitOk);
}

TEST(HamictlTest, VersionAndHelpNeedNoCluster) {
  FakeApi api = WithPod();
  for (const char* word : {"version", "--version"}) {
    Answer answer = Hamictl(api, {word});
    EXPECT_EQ(answer.code, kExitOk);
    EXPECT_THAT(answer.out, HasSubstr("hamictl "));
  }
  EXPECT_EQ(Hamictl(api, {"help", "explain", "pod"}).code, kExitOk);
  EXPECT_THAT(api.asked, IsEmpty());
}

}  // namespace
}  // namespace hami::cli

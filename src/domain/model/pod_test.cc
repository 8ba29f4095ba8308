#include "domain/model/pod.h"

#include <gtest/gtest.h>

namespace hami {
namespace {

Pod TwoContainers() {
  Pod pod;
  pod.phase = "Running";
  pod.containers.resize(2);
  return pod;
}

TEST(PodTest, ATerminalPhaseFinishesThePod) {
  Pod pod = TwoContainers();
  pod.phase = "Failed";
  EXPECT_TRUE(pod.Finished());
  pod.phase = "Succeeded";
  EXPECT_TRUE(pod.Finished());
}

TEST(PodTest, ADeletionMarkDoesNotFinishThePod) {
  Pod pod = TwoContainers();
  pod.deleting = true;
  EXPECT_FALSE(pod.Finished());
}

TEST(PodTest, ThePodIsFinishedWhenItsLastContainerHasEnded) {
  Pod pod = TwoContainers();
  pod.containers[0].terminated = true;
  EXPECT_FALSE(pod.Finished());
  pod.containers[1].terminated = true;
  EXPECT_TRUE(pod.Finished());
}

TEST(PodTest, APodWithoutContainersIsNotFinished) { EXPECT_FALSE(Pod{}.Finished()); }

TEST(PodTest, AnAbsentAnnotationReadsAsEmpty) {
  Pod pod;
  pod.annotations["a"] = "1";
  EXPECT_EQ(pod.Annotation("a"), "1");
  EXPECT_EQ(pod.Annotation("b"), "");
}

}  // namespace
}  // namespace hami

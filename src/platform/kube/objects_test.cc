#include "platform/kube/objects.h"

#include <gtest/gtest.h>

namespace hami::kube {
namespace {

TEST(ObjectsTest, PathsEncodeWhatIsNoName) {
  EXPECT_EQ(PodPath("a", "b"), "/api/v1/namespaces/a/pods/b");
  EXPECT_EQ(PodPath("a", "../nodes/x?y"), "/api/v1/namespaces/a/pods/..%2Fnodes%2Fx%3Fy");
  EXPECT_EQ(PodsPath(), "/api/v1/pods");
  EXPECT_EQ(BindingPath("a", "b"), "/api/v1/namespaces/a/pods/b/binding");
  EXPECT_EQ(NodePath("n.1"), "/api/v1/nodes/n.1");
  EXPECT_EQ(LeasePath("k", "l"), "/apis/coordination.k8s.io/v1/namespaces/k/leases/l");
  EXPECT_EQ(EventPath("a", "e"), "/api/v1/namespaces/a/events/e");
}

TEST(ObjectsTest, PatchRemovesWithNullAndCarriesItsPreconditions) {
  MetadataPatch patch;
  patch.annotations = {{"hami.io/b", "x\"y"}, {"hami.io/a", std::nullopt}};
  patch.labels = {{"l", "1"}};
  patch.resource_version = "42";
  patch.uid = "u";
  EXPECT_EQ(MetadataPatchBody(patch),
            R"({"metadata":{"uid":"u","resourceVersion":"42",)"
            R"("annotations":{"hami.io/a":null,"hami.io/b":"x\"y"},"labels":{"l":"1"}}})");
  EXPECT_EQ(MetadataPatchBody({}), R"({"metadata":{}})");
}

TEST(ObjectsTest, BindingCarriesUidAndAnnotations) {
  BindingSpec binding;
  binding.ns = "a";
  binding.pod = "p";
  binding.pod_uid = "u";
  binding.node = "n";
  binding.annotations = {{"k", "v"}};
  EXPECT_EQ(BindingBody(binding),
            R"({"apiVersion":"v1","kind":"Binding","metadata":{"name":"p","namespace":"a",)"
            R"("uid":"u","annotations":{"k":"v"}},)"
            R"("target":{"apiVersion":"v1","kind":"Node","name":"n"}})");
}

}  // namespace
}  // namespace hami::kube

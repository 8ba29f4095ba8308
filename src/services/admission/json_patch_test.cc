#include "services/admission/json_patch.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "services/admission/patch_applier.h"

namespace hami::admission {
namespace {

Json Tree(std::string_view text) { return ParseJson(text).value(); }

TEST(JsonPatchTest, AnAbsentMapComesInOneOperationAndIsFilledByTheNext) {
  JsonPatch patch(Tree(R"({"spec":{"containers":[{"name":"c"}]}})"));
  ASSERT_TRUE(patch.Set({"spec", "containers", "0", "resources", "limits", "a/b"}, Json("1")));
  ASSERT_TRUE(patch.Set({"spec", "containers", "0", "resources", "limits", "c~d"}, Json("2")));
  EXPECT_EQ(patch.Text(),
            R"([{"op":"add","path":"/spec/containers/0/resources","value":{"limits":{"a/b":"1"}}},)"
            R"({"op":"add","path":"/spec/containers/0/resources/limits/c~0d","value":"2"}])");
}

TEST(JsonPatchTest, NullCountsAsAbsentBecauseGoWritesNilMapsSo) {
  JsonPatch patch(Tree(R"({"m":null,"env":null})"));
  ASSERT_TRUE(patch.Set({"m", "k"}, Json("v")));
  ASSERT_TRUE(patch.Append({"env"}, Json("e")));
  EXPECT_EQ(ToJson(patch.document()), R"({"m":{"k":"v"},"env":["e"]})");
  EXPECT_EQ(ApplyPatch(Tree(R"({"m":null,"env":null})"), Tree(patch.Text())).value(),
            patch.document());
}

TEST(JsonPatchTest, AValueThatIsThereAlreadyGivesNoOperation) {
  JsonPatch patch(Tree(R"({"a":"x"})"));
  ASSERT_TRUE(patch.Set({"a"}, Json("x")));
  patch.Remove({"b"});
  patch.Remove({"a", "b"});
  EXPECT_TRUE(patch.empty());
}

TEST(JsonPatchTest, AStepIntoALeafIsAnErrorAndLeavesNoOperation) {
  JsonPatch patch(Tree(R"({"a":"x","list":[1]})"));
  EXPECT_FALSE(patch.Set({"a", "b"}, Json(1)).has_value());
  EXPECT_FALSE(patch.Set({"list", "7"}, Json(1)).has_value());
  EXPECT_FALSE(patch.Append({"a"}, Json(1)).has_value());
  EXPECT_TRUE(patch.empty());
}

// Random objects over few keys, so that edits meet what is there.
Json RandomTree(int depth) {
  const std::vector<std::string> kKeys = {"a", "b", "a/b", "~", "~1", "", "é"};
  switch (*rc::gen::inRange(0, depth > 0 ? 6 : 3)) {
    case 0:
      return nullptr;
    case 1:
      return Json(*rc::gen::element<std::string>("x", "y"));
    case 2:
      return Json(*rc::gen::inRange(0, 3));
    case 3: {
      boost::json::array array;
      for (int n = *rc::gen::inRange(0, 3); n > 0; --n) array.push_back(RandomTree(depth - 1));
      return array;
    }
    default: {
      boost::json::object object;
      for (int n = *rc::gen::inRange(0, 5); n > 0; --n) {
        object[*rc::gen::elementOf(kKeys)] = RandomTree(depth - 1);
      }
      return object;
    }
  }
}

RC_GTEST_PROP(JsonPatchProperty, AppliedToTheInputItGivesTheDocument, ()) {
  const std::vector<std::string> kSteps = {"a", "b", "a/b", "~", "~1", "", "é", "0", "1", "-"};
  boost::json::object root;
  for (const char* key : {"a", "b", "~1"}) root[key] = RandomTree(3);
  Json input = root;
  JsonPatch patch(input);
  for (int n = *rc::gen::inRange(1, 12); n > 0; --n) {
    JsonPath path;
    for (int k = *rc::gen::inRange(1, 5); k > 0; --k) path.push_back(*rc::gen::elementOf(kSteps));
    Json value = RandomTree(1);
    switch (*rc::gen::inRange(0, 3)) {
      case 0:
        if (patch.Set(path, value)) {
          const Json* at = &patch.document();
          for (const std::string& step : path) {
            at = at->is_array() ? &at->get_array()[std::stoul(step)]
                                : at->get_object().if_contains(step);
            RC_ASSERT(at != nullptr);
          }
          RC_ASSERT(*at == value);
        }
        break;
      case 1:
        static_cast<void>(patch.Append(path, value));
        break;
      default:
        patch.Remove(path);
    }
  }
  auto applied = ApplyPatch(input, Tree(patch.Text()));
  RC_ASSERT(applied.has_value());
  RC_ASSERT(*applied == patch.document());
}

}  // namespace
}  // namespace hami::admission

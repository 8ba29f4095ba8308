#include "platform/kube/watch_decode.h"

#include <simdjson.h>

#include <optional>

namespace hami::kube {
namespace {

namespace od = simdjson::ondemand;

tl::unexpected<Error> Bad(std::string_view what, simdjson::error_code code) {
  return Fail(Code::kDataLoss, std::string(what) + ": " + simdjson::error_message(code));
}

std::optional<WatchType> TypeOf(std::string_view name) {
  if (name == "ADDED") return WatchType::kAdded;
  if (name == "MODIFIED") return WatchType::kModified;
  if (name == "DELETED") return WatchType::kDeleted;
  if (name == "BOOKMARK") return WatchType::kBookmark;
  if (name == "ERROR") return WatchType::kError;
  return std::nullopt;
}

std::string TextOr(simdjson::simdjson_result<od::value> value, std::string_view fallback) {
  std::string_view text;
  if (value.get_string().get(text) != simdjson::SUCCESS) return std::string(fallback);
  return std::string(text);
}

}  // namespace

struct WatchDecoder::Impl {
  od::parser parser;
};

WatchDecoder::WatchDecoder() : impl_(std::make_unique<Impl>()) {}
WatchDecoder::~WatchDecoder() = default;

Result<ListPage> WatchDecoder::DecodeList(std::string text) {
  size_t size = text.size();
  text.resize(size + simdjson::SIMDJSON_PADDING);
  ListPage out;
  od::document doc;
  od::object root;
  auto code = impl_->parser.iterate(text.data(), size, text.size()).get(doc);
  if (!code) code = doc.get_object().get(root);
  if (code) return Bad("list", code);
  bool have_metadata = false;
  for (auto field : root) {
    std::string_view key;
    if ((code = field.unescaped_key().get(key))) return Bad("list", code);
    od::value value;
    if ((code = field.value().get(value))) return Bad("list", code);
    if (key == "metadata") {
      od::object metadata;
      if ((code = value.get_object().get(metadata))) return Bad("list metadata", code);
      out.resource_version = TextOr(metadata.find_field_unordered("resourceVersion"), "");
      out.continue_token = TextOr(metadata.find_field_unordered("continue"), "");
      have_metadata = true;
    } else if (key == "items") {
      if (value.is_null()) continue;
      od::array items;
      if ((code = value.get_array().get(items))) return Bad("list items", code);
      for (auto item : items) {
        od::object object;
        std::string_view raw;
        if ((code = item.get_object().get(object))) return Bad("list item", code);
        if ((code = object.raw_json().get(raw))) return Bad("list item", code);
        out.items.emplace_back(raw);
      }
    }
  }
  if (!have_metadata || out.resource_version.empty()) {
    return Fail(Code::kDataLoss, "list: no metadata.resourceVersion");
  }
  return out;
}

Result<WatchEvent> WatchDecoder::DecodeEvent(std::string line) {
  size_t size = line.size();
  line.resize(size + simdjson::SIMDJSON_PADDING);
  od::document doc;
  auto code = impl_->parser.iterate(line.data(), size, line.size()).get(doc);
  if (code) return Bad("watch event", code);
  std::string_view type_name;
  if ((code = doc.find_field_unordered("type").get_string().get(type_name))) {
    return Bad("watch event type", code);
  }
  auto type = TypeOf(type_name);
  if (!type) {
    return Fail(Code::kDataLoss, "watch event of unknown type " + std::string(type_name));
  }
  WatchEvent out;
  out.type = *type;
  od::object object;
  if ((code = doc.find_field_unordered("object").get_object().get(object))) {
    return Bad("watch event object", code);
  }
  if (out.type == WatchType::kError) {
    int64_t status = 0;
    if (object.find_field_unordered("code").get_int64().get(status) == simdjson::SUCCESS) {
      out.status_code = static_cast<int>(status);
    }
    out.status_message = TextOr(object.find_field_unordered("message"), "watch failed");
    return out;
  }
  out.resource_version =
      TextOr(object.find_field_unordered("metadata").find_field_unordered("resourceVersion"), "");
  if (out.resource_version.empty()) {
    return Fail(Code::kDataLoss, "watch event: no metadata.resourceVersion");
  }
  if ((code = object.reset().error())) return Bad("watch event object", code);
  std::string_view raw;
  if ((code = object.raw_json().get(raw))) return Bad("watch event object", code);
  out.object = raw;
  return out;
}

}  // namespace hami::kube

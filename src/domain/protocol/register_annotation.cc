#include "domain/protocol/register_annotation.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <map>
#include <optional>
#include <set>

#include "base/json.h"
#include "base/json_write.h"
#include "domain/protocol/allocation.h"
#include "domain/protocol/names.h"

namespace hami::protocol {
namespace {

std::string Name(size_t i) { return "devices[" + std::to_string(i) + "]"; }

// Reads the fields of one JSON object; the first error sticks.
class Reader {
 public:
  Reader(const Json& item, std::string name) : item_(item), name_(std::move(name)) {}

  int32_t Int32(std::string_view key) {
    return static_cast<int32_t>(Int(key, std::numeric_limits<int32_t>::min(),
                                    std::numeric_limits<int32_t>::max(), "a 32-bit integer"));
  }
  int32_t Count(std::string_view key) {
    return static_cast<int32_t>(
        Int(key, 0, std::numeric_limits<int32_t>::max(), "a 32-bit integer from 0"));
  }
  uint32_t Uint32(std::string_view key) {
    return static_cast<uint32_t>(
        Int(key, 0, std::numeric_limits<uint32_t>::max(), "an unsigned 32-bit integer"));
  }
  std::string String(std::string_view key) {
    const Json* at = Present(key);
    if (at == nullptr) return {};
    if (!at->is_string()) return Wrong(key, *at, "a string"), std::string();
    return std::string(at->get_string());
  }
  bool Bool(std::string_view key) {
    const Json* at = Present(key);
    if (at == nullptr) return false;
    if (!at->is_bool()) return Wrong(key, *at, "true or false"), false;
    return at->get_bool();
  }
  const boost::json::array* Array(std::string_view key) {
    const Json* at = Present(key);
    if (at == nullptr) return nullptr;
    if (!at->is_array()) return Wrong(key, *at, "an array"), nullptr;
    return &at->get_array();
  }
  const Json* Present(std::string_view key) const {
    const Json* at = Find(item_, {key});
    return at == nullptr || at->is_null() ? nullptr : at;
  }
  const std::optional<Error>& error() const { return error_; }

 private:
  int64_t Int(std::string_view key, int64_t low, int64_t high, std::string_view expected) {
    const Json* at = Present(key);
    if (at == nullptr) return 0;
    auto value = IntAt(item_, {key});
    if (!value || *value < low || *value > high) return Wrong(key, *at, expected), 0;
    return *value;
  }
  void Wrong(std::string_view key, const Json& got, std::string_view expected) {
    if (error_) return;
    error_ = Error{Code::kInvalidArgument, name_ + "." + std::string(key) + ": expected " +
                                               std::string(expected) + ", got " +
                                               ToJson(got).substr(0, 64)};
  }

  const Json& item_;
  std::string name_;
  std::optional<Error> error_;
};

Result<MigProfile> TakeProfile(const Json& item, const std::string& name) {
  Reader r(item, name);
  MigProfile out{.name = r.String("name"),
                 .memory = {r.Count("memoryMB")},
                 .core = {r.Count("core")},
                 .slices = r.Count("sliceCount"),
                 .placements = {}};
  if (const auto* list = r.Array("placements")) {
    for (const Json& place : *list) {
      Reader p(place, name + ".placements");
      out.placements.push_back({p.Count("start"), p.Count("size")});
      if (p.error()) return Fail(*p.error());
    }
  }
  if (r.error()) return Fail(*r.error());
  return out;
}

Result<Device> TakeDevice(const Json& item, size_t i) {
  if (!item.is_object()) {
    return Fail(Code::kInvalidArgument, Name(i) + ": expected an object");
  }
  Reader r(item, Name(i));
  Device out{.id = r.String("id"),
             .index = r.Uint32("index"),
             .count = r.Count("count"),
             .memory = {r.Count("devmem")},
             .cores = {r.Count("devcore")},
             .type = r.String("type"),
             .numa = r.Int32("numa"),
             .mode = r.String("mode"),
             .mig_profiles = {},
             .healthy = r.Bool("health"),
             .vendor = r.String("devicevendor"),
             .custom_info = {}};
  if (const Json* info = r.Present("custominfo")) out.custom_info = *info;
  if (const auto* list = r.Array("migProfiles")) {
    for (size_t k = 0; k < list->size(); ++k) {
      TRY_ASSIGN(MigProfile profile,
                 TakeProfile((*list)[k], Name(i) + ".migProfiles[" + std::to_string(k) + "]"));
      out.mig_profiles.push_back(std::move(profile));
    }
  }
  if (r.error()) return Fail(*r.error());
  return out;
}

Result<std::vector<Device>> DecodeFormJ(std::string_view text) {
  TRY_ASSIGN(Json tree, ParseJson(text));
  const auto* list = tree.if_array();
  if (list == nullptr) return Fail(Code::kInvalidArgument, "expected a JSON array");
  std::vector<Device> out;
  out.reserve(list->size());
  for (const Json& item : *list) {
    TRY_ASSIGN(Device device, TakeDevice(item, out.size()));
    out.push_back(std::move(device));
  }
  return out;
}

Result<int64_t> TakeNumber(std::string_view text, std::string_view field, int64_t low, int64_t high,
                           size_t i) {
  int64_t value = 0;
  auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec != std::errc() || end != text.data() + text.size() || value < low || value > high) {
    return Fail(Code::kInvalidArgument, Name(i) + ": invalid " + std::string(field) +
                                            " field: expected an integer from " +
                                            std::to_string(low) + " to " + std::to_string(high) +
                                            ", got \"" + std::string(text) + "\"");
  }
  return value;
}

// Go's strconv.ParseBool.
Result<bool> TakeBool(std::string_view text, size_t i) {
  constexpr std::string_view kFalse[] = {"0", "f", "F", "FALSE", "false", "False"};
  if (ParseGoTrue(text)) return true;
  if (std::ranges::find(kFalse, text) != std::end(kFalse)) return false;
  return Fail(Code::kInvalidArgument, Name(i) +
                                          ": invalid health field: expected true or false, got \"" +
                                          std::string(text) + "\"");
}

Result<Device> TakeSegment(std::string_view segment, size_t i) {
  std::vector<std::string_view> fields;
  for (size_t begin = 0; begin <= segment.size();) {
    size_t end = std::min(segment.find(',', begin), segment.size());
    fields.push_back(segment.substr(begin, end - begin));
    begin = end + 1;
  }
  if (fields.size() == 1) {
    return Fail(Code::kInvalidArgument, Name(i) + ": expected fields separated by commas, got \"" +
                                            std::string(segment) + "\"");
  }
  if (fields.size() != 7 && fields.size() != 9) {
    return Fail(Code::kInvalidArgument,
                Name(i) + ": expected 7 or 9 fields, got " + std::to_string(fields.size()));
  }
  constexpr int64_t kMax = std::numeric_limits<int32_t>::max();
  Device out;
  out.id = fields[0];
  if (out.id.starts_with('[')) {  // written first, it would be read as JSON
    return Fail(Code::kInvalidArgument,
                Name(i) + ".id: expected text that does not begin with [, got \"" + out.id + "\"");
  }
  TRY_ASSIGN(int64_t count, TakeNumber(fields[1], "count", 0, kMax, i));
  TRY_ASSIGN(out.memory.value, TakeNumber(fields[2], "memory", 0, kMax, i));
  TRY_ASSIGN(out.cores.value, TakeNumber(fields[3], "core", 0, kMax, i));
  out.type = fields[4];
  TRY_ASSIGN(int64_t numa, TakeNumber(fields[5], "numa", -kMax - 1, kMax, i));
  TRY_ASSIGN(out.healthy, TakeBool(fields[6], i));
  int64_t index = static_cast<int64_t>(i);
  out.mode = "hami-core";
  if (fields.size() == 9) {
    TRY_ASSIGN(index, TakeNumber(fields[7], "index", 0, kMax, i));
    out.mode = fields[8];
  }
  out.count = static_cast<int32_t>(count);
  out.numa = static_cast<int>(numa);
  out.index = static_cast<uint32_t>(index);
  return out;
}

Result<std::vector<Device>> DecodeFormC(std::string_view text) {
  if (text.find(':') == std::string_view::npos) {
    return Fail(Code::kInvalidArgument, "node annotation missing device separator");
  }
  std::vector<Device> out;
  while (!text.empty()) {
    size_t end = std::min(text.find(':'), text.size());
    std::string_view segment = Trim(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (segment.empty()) continue;
    TRY_ASSIGN(Device device, TakeSegment(segment, out.size()));
    out.push_back(std::move(device));
  }
  return out;
}

// Ids are keys of the ledger and pieces of allocation strings.
Result<void> CheckIds(std::span<const Device> devices) {
  std::set<std::string_view> seen;
  for (size_t i = 0; i < devices.size(); ++i) {
    const std::string& id = devices[i].id;
    if (!IsUsableDeviceId(id)) {
      return Fail(Code::kInvalidArgument,
                  Name(i) + ".id: expected text without , : ; but got \"" + id + "\"");
    }
    if (!seen.insert(id).second) {
      return Fail(Code::kInvalidArgument, Name(i) + ".id: \"" + id + "\" appears twice");
    }
  }
  return {};
}

void WriteProfile(JsonWriter& w, const MigProfile& profile) {
  w.Object([&] {
    w.Key("name").String(profile.name).Key("memoryMB").Int(profile.memory.value);
    w.Key("core").Int(profile.core.value).Key("sliceCount").Int(profile.slices);
    w.Key("placements").Array([&] {
      for (const MigPlacement& p : profile.placements) {
        w.Object([&] { w.Key("start").Int(p.start).Key("size").Int(p.size); });
      }
    });
  });
}

void WriteDevice(JsonWriter& w, const Device& d) {
  auto number = [&](std::string_view key, int64_t value) {
    if (value != 0) w.Key(key).Int(value);
  };
  auto text = [&](std::string_view key, const std::string& value) {
    if (!value.empty()) w.Key(key).String(value);
  };
  w.Object([&] {
    text("id", d.id);
    number("index", d.index);
    number("count", d.count);
    number("devmem", d.memory.value);
    number("devcore", d.cores.value);
    text("type", d.type);
    number("numa", d.numa);
    text("mode", d.mode);
    if (!d.mig_profiles.empty()) {
      w.Key("migProfiles").Array([&] {
        for (const MigProfile& profile : d.mig_profiles) WriteProfile(w, profile);
      });
    }
    if (d.healthy) w.Key("health").Bool(true);
    text("devicevendor", d.vendor);
    if (!d.custom_info.is_null()) w.Key("custominfo").Raw(ToJson(d.custom_info));
  });
}

}  // namespace

Result<std::vector<Device>> DecodeRegister(std::string_view text) {
  std::string_view trimmed = Trim(text);
  auto devices = trimmed.starts_with('[') ? DecodeFormJ(trimmed) : DecodeFormC(trimmed);
  if (!devices) return devices;
  if (devices->empty()) return Fail(Code::kNotFound, "no device in the register annotation");
  TRY(CheckIds(*devices));
  return devices;
}

std::string EncodeRegisterJson(std::span<const Device> devices) {
  JsonWriter w(JsonEscape::kGo);
  w.Array([&] {
    for (const Device& device : devices) WriteDevice(w, device);
  });
  return w.Take();
}

std::string EncodeRegisterCsv(std::span<const Device> devices) {
  std::string out;
  for (const Device& d : devices) {
    out += d.id + ',' + std::to_string(d.count) + ',' + std::to_string(d.memory.value) + ',' +
           std::to_string(d.cores.value) + ',' + d.type + ',' + std::to_string(d.numa) + ',' +
           (d.healthy ? "true" : "false") + ',' + std::to_string(d.index) + ',' + d.mode + ':';
  }
  return out;
}

Result<std::vector<int32_t>> DecodePairScores(std::string_view text,
                                              std::span<const Device> devices) {
  TRY_ASSIGN(Json tree, ParseJson(text));
  const auto* list = tree.if_array();
  if (list == nullptr) return Fail(Code::kInvalidArgument, "expected a JSON array");
  std::map<std::string_view, size_t> position;
  for (size_t i = 0; i < devices.size(); ++i) position.emplace(devices[i].id, i);
  std::vector<int32_t> out(devices.size() * devices.size());
  for (const Json& item : *list) {
    auto row = position.find(StringAt(item, {"uuid"}));
    const Json* scores = Find(item, {"score"});
    if (scores == nullptr || !scores->is_object()) {
      return Fail(Code::kInvalidArgument,
                  "pair scores: expected {\"uuid\": ..., \"score\": {...}}");
    }
    if (row == position.end()) continue;
    for (const auto& [other, value] : scores->get_object()) {
      auto column = position.find(std::string_view(other));
      if (column == position.end()) continue;
      if (!value.is_int64() || value.get_int64() < 0 || value.get_int64() > 1'000'000) {
        return Fail(Code::kInvalidArgument,
                    "pair scores: expected an integer from 0 to 1000000 for " +
                        std::string(row->first) + " and " + std::string(other) + ", got " +
                        ToJson(value));
      }
      out[row->second * devices.size() + column->second] = static_cast<int32_t>(value.get_int64());
    }
  }
  return out;
}

std::string EncodePairScores(std::span<const Device> devices, std::span<const int32_t> scores) {
  CHECK(scores.size() == devices.size() * devices.size());
  JsonWriter w(JsonEscape::kGo);
  w.Array([&] {
    for (size_t i = 0; i < devices.size(); ++i) {
      std::map<std::string_view, int32_t> row;  // Go writes maps sorted
      for (size_t j = 0; j < devices.size(); ++j) {
        if (j != i) row.emplace(devices[j].id, scores[i * devices.size() + j]);
      }
      w.Object([&] {
        w.Key("uuid").String(devices[i].id).Key("score").Object([&] {
          for (const auto& [id, score] : row) w.Key(id).Int(score);
        });
      });
    }
  });
  return w.Take();
}

}  // namespace hami::protocol

#include "services/node/journal.h"

#include "base/json.h"
#include "base/json_write.h"
#include "base/log.h"

namespace hami::node {
namespace {

constexpr int kVersion = 1;
constexpr char kSuffix[] = ".json";

Error Wrong(std::string_view field, std::string_view expected) {
  return {Code::kInvalidArgument,
          "journal record: " + std::string(field) + ": expected " + std::string(expected)};
}

bool IsStep(int64_t step) { return step == 1 || (step >= 3 && step <= 6); }

}  // namespace

std::string EncodeRecord(const Record& r) {
  JsonWriter w;
  w.Object([&] {
    w.Key("v").Int(kVersion);
    w.Key("podUID").String(r.uid);
    w.Key("ns").String(r.pod.ns);
    w.Key("name").String(r.pod.name);
    w.Key("container").String(r.container);
    w.Key("ids").Array([&] {
      for (const std::string& id : r.ids) w.String(id);
    });
    w.Key("devices").Array([&] {
      for (const DeviceShare& share : r.shares) {
        w.Object([&] {
          w.Key("uuid").String(share.uuid);
          w.Key("vendor").String(share.vendor);
          w.Key("mem").Int(share.memory.value);
          w.Key("cores").Int(share.cores.value);
        });
      }
    });
    w.Key("step").Int(static_cast<int>(r.step));
  });
  return w.Take();
}

Result<Record> DecodeRecord(std::string_view text) {
  TRY_ASSIGN(const Json json, ParseJson(text));
  if (IntAt(json, {"v"}) != kVersion) return Fail(Wrong("v", "1"));
  Record r;
  r.uid = StringAt(json, {"podUID"});
  r.pod = {std::string(StringAt(json, {"ns"})), std::string(StringAt(json, {"name"}))};
  r.container = StringAt(json, {"container"});
  if (r.uid.empty() || r.pod.name.empty() || r.container.empty()) {
    return Fail(Wrong("podUID, name, container", "texts"));
  }
  const Json* ids = Find(json, {"ids"});
  const Json* devices = Find(json, {"devices"});
  if (!ids || !ids->is_array() || !devices || !devices->is_array()) {
    return Fail(Wrong("ids, devices", "lists"));
  }
  for (const Json& id : ids->as_array()) {
    if (!id.is_string()) return Fail(Wrong("ids", "texts"));
    r.ids.emplace_back(id.as_string());
  }
  for (const Json& device : devices->as_array()) {
    const auto memory = IntAt(device, {"mem"});
    const auto cores = IntAt(device, {"cores"});
    if (!memory || !cores) return Fail(Wrong("devices", "mem and cores as numbers"));
    r.shares.push_back({.uuid = std::string(StringAt(device, {"uuid"})),
                        .vendor = std::string(StringAt(device, {"vendor"})),
                        .memory = {*memory},
                        .cores = {*cores}});
  }
  const auto step = IntAt(json, {"step"});
  if (!step || !IsStep(*step)) return Fail(Wrong("step", "1, 3, 4, 5 or 6"));
  r.step = static_cast<Step>(*step);
  return r;
}

std::string Journal::PathOf(const std::string& uid, const std::string& container) const {
  return folder_ + "/" + uid + "_" + container + kSuffix;
}

Result<void> Journal::Load() {
  TRY(fs_.MakeDirs(folder_, 0700));
  TRY_ASSIGN(const std::vector<std::string> names, fs_.List(folder_));
  for (const std::string& name : names) {
    if (!name.ends_with(kSuffix)) {
      // Left by a crash between writing and renaming.
      TRY(fs_.Remove(folder_ + "/" + name));
      continue;
    }
    auto text = fs_.Read(folder_ + "/" + name);
    auto record = text ? DecodeRecord(*text) : Fail(text.error());
    if (!record) {
      LOG(kWarn, "journal record set aside").Kv("file", name).Kv("error", record.error().message);
      TRY(fs_.Remove(folder_ + "/" + name));
      continue;
    }
    records_.insert_or_assign({record->uid, record->container}, *std::move(record));
  }
  return {};
}

Result<void> Journal::Put(const Record& record) {
  TRY(fs_.WriteAtomic(PathOf(record.uid, record.container), EncodeRecord(record), 0600));
  records_.insert_or_assign({record.uid, record.container}, record);
  return {};
}

Result<void> Journal::Remove(const std::string& uid, const std::string& container) {
  records_.erase({uid, container});
  return fs_.Remove(PathOf(uid, container));
}

const Record* Journal::Find(const std::string& uid, const std::string& container) const {
  auto it = records_.find({uid, container});
  return it == records_.end() ? nullptr : &it->second;
}

}  // namespace hami::node

// Journal: what was answered to kubelet and how far it got, so that a crash at any point is
// repaired at the next start (spec/device-plugin.md 18.5).
//
// One JSON file per allocation in <hook>/vgpu/state, replaced atomically. Lives on the state
// executor.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/fs.h"
#include "base/result.h"
#include "domain/model/device.h"
#include "domain/model/pod.h"

namespace hami::node {

// In the order in which they are reached; the numbers are on disk.
enum class Step : uint8_t {
  kIntent = 1,     // chosen, nothing done
  kFiles = 3,      // the host's files are there (2 is kept for MIG instances)
  kCommitted = 4,  // decided to answer: from here the allocation is carried through
  kPatched = 5,    // the Pod's annotations say so
  kReleased = 6,   // the node's lock is free again
};

struct Record {
  std::string uid;
  PodKey pod;
  std::string container;
  std::vector<std::string> ids;  // kubelet's, sorted
  std::vector<DeviceShare> shares;
  Step step = Step::kIntent;
  bool operator==(const Record&) const = default;
};

std::string EncodeRecord(const Record& record);
// Errors: kInvalidArgument naming the field.
Result<Record> DecodeRecord(std::string_view json);

class Journal {
 public:
  Journal(FileSystem& fs, std::string folder) : fs_(fs), folder_(std::move(folder)) {}

  // Reads every record; unreadable files are set aside with a log line.
  Result<void> Load();
  // Writes through to disk before it returns.
  Result<void> Put(const Record& record);
  Result<void> Remove(const std::string& uid, const std::string& container);

  const Record* Find(const std::string& uid, const std::string& container) const;
  const std::map<std::pair<std::string, std::string>, Record>& records() const { return records_; }

 private:
  std::string PathOf(const std::string& uid, const std::string& container) const;
  FileSystem& fs_;
  std::string folder_;
  std::map<std::pair<std::string, std::string>, Record> records_;  // by uid, container
};

}  // namespace hami::node

// Where the words of a region stand, whichever of the layouts it has: the one table that reading,
// checking and resizing share. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "abi/region.h"
#include "abi/region_v0.h"
#include "platform/region/region_file.h"

namespace hami::region {

// Offsets from the start of the file; strides of arrays.
struct PrefixLayout {
  size_t size;
  size_t device_num, uuids, limit, sm_limit;
  size_t slots, slot_stride, used, used_stride, slot_status;  // the last three within a slot
  size_t proc_num, utilization_switch, recent_kernel, priority;
};

inline constexpr PrefixLayout kPrefixV1{
    .size = HAMI_V1_SIZE,
    .device_num = offsetof(HamiV1Region, device_num),
    .uuids = offsetof(HamiV1Region, uuids),
    .limit = offsetof(HamiV1Region, limit),
    .sm_limit = offsetof(HamiV1Region, sm_limit),
    .slots = offsetof(HamiV1Region, procs),
    .slot_stride = sizeof(HamiV1Slot),
    .used = offsetof(HamiV1Slot, used),
    .used_stride = sizeof(HamiV1Used),
    .slot_status = offsetof(HamiV1Slot, status),
    .proc_num = offsetof(HamiV1Region, proc_num),
    .utilization_switch = offsetof(HamiV1Region, utilization_switch),
    .recent_kernel = offsetof(HamiV1Region, recent_kernel),
    .priority = offsetof(HamiV1Region, priority)};

inline constexpr PrefixLayout kPrefixV0{
    .size = HAMI_V0_SIZE,
    .device_num = offsetof(HamiV0Region, device_num),
    .uuids = offsetof(HamiV0Region, uuids),
    .limit = offsetof(HamiV0Region, limit),
    .sm_limit = offsetof(HamiV0Region, sm_limit),
    .slots = offsetof(HamiV0Region, procs),
    .slot_stride = sizeof(HamiV0Slot),
    .used = offsetof(HamiV0Slot, used),
    .used_stride = sizeof(HamiV0Used),
    .slot_status = offsetof(HamiV0Slot, status),
    .proc_num = offsetof(HamiV0Region, proc_num),
    .utilization_switch = offsetof(HamiV0Region, utilization_switch),
    .recent_kernel = offsetof(HamiV0Region, recent_kernel),
    .priority = offsetof(HamiV0Region, priority)};

// Both versions' slots begin alike.
static_assert(offsetof(HamiV0Slot, hostpid) == offsetof(HamiV1Slot, hostpid));
static_assert(offsetof(HamiV0Used, data_size) == offsetof(HamiV1Used, data_size));

inline const PrefixLayout& PrefixOf(Layout layout) {
  return layout == Layout::kV0 ? kPrefixV0 : kPrefixV1;
}

// The words of a file's bytes; what lies beyond the end reads as 0.
class WordReader {
 public:
  explicit WordReader(std::string_view bytes) : bytes_(bytes) {}

  template <class T>
  T At(size_t offset) const {
    T value{};
    if (offset <= bytes_.size() && bytes_.size() - offset >= sizeof value) {
      std::memcpy(&value, bytes_.data() + offset, sizeof value);
    }
    return value;
  }
  size_t size() const { return bytes_.size(); }
  // Text up to a NUL, at most `most` characters.
  std::string_view TextAt(size_t offset, size_t most) const {
    if (offset > bytes_.size()) return {};
    const std::string_view field = bytes_.substr(offset, most);
    return field.substr(0, field.find('\0'));
  }

 private:
  std::string_view bytes_;
};

}  // namespace hami::region

// A shared region damaged in ways that the fuzzer chooses: sound at first, then words overwritten
// in the places that matter, then cut or not.
//
// One file per process, below TMPDIR; the target reads it by path.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <vector>

#include "abi/region_init.h"
#include "fuzz/fuzz.h"

namespace hami::fuzz {

class RegionImage {
 public:
  RegionImage() {
    const char* given =
        getenv("TMPDIR");  // tools/fuzz: in memory, and removed whatever happens here
    folder_ = std::string(given != nullptr ? given : "/tmp") + "/hami-fuzz-XXXXXX";
    FUZZ_CHECK(mkdtemp(folder_.data()) != nullptr);
    path_ = folder_ + "/region";
    HamiRegionSeed seed = {};
    seed.device_num = 2;
    seed.priority = 1;
    for (int d = 0; d < 2; ++d) {
      seed.memory_limit[d] = uint64_t{1} << 30;
      seed.sm_percent[d] = 50;
      snprintf(seed.uuids[d], sizeof seed.uuids[d], "GPU-0000000%d", d);
    }
    sound_ = std::make_unique<HamiRegion>();
    HamiInitRegion(sound_.get(), &seed);
    sound_->v1.initialized_flag = HAMI_V1_MAGIC;
    sound_->v1.proc_num = kSlots;
    for (int i = 0; i < kSlots; ++i) {
      HamiExtSlot& slot = sound_->ext.slots[i];
      slot.state = HAMI_SLOT_LIVE;
      slot.epoch = 1;
      slot.pid = sound_->v1.procs[i].pid = 4'000'000 + i;  // nobody
      sound_->v1.procs[i].status = HAMI_V1_RUNNING;
      slot.device[0].bytes[HAMI_KIND_DATA] = 1 << 20;
      sound_->v1.procs[i].used[0].data_size = 1 << 20;
    }
    sound_->ext.header.devices[0].used_total = kSlots << 20;
  }
  ~RegionImage() {
    unlink(path_.c_str());
    rmdir(folder_.c_str());
  }
  RegionImage(const RegionImage&) = delete;
  RegionImage& operator=(const RegionImage&) = delete;

  const std::string& path() const { return path_; }

  // Makes the file anew. Bytes that are left over stay with `input`.
  void Write(FuzzedDataProvider& input) {
    const int fd = open(path_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FUZZ_CHECK(fd >= 0);
    FUZZ_CHECK(ftruncate(fd, HAMI_REGION_FILE_SIZE) == 0);
    const auto* bytes = reinterpret_cast<const char*>(sound_.get());
    static constexpr char kZeros[kPage] = {};
    for (size_t at = 0; at < sizeof(HamiRegion); at += kPage) {
      const size_t size = std::min(kPage, sizeof(HamiRegion) - at);
      if (memcmp(bytes + at, kZeros, size) != 0) Put(fd, at, bytes + at, size);
    }
    const int changes = input.ConsumeIntegralInRange(0, 12);
    for (int i = 0; i < changes; ++i) Damage(fd, input);
    if (input.ConsumeIntegralInRange(0, 7) == 0) {
      const auto size = input.ConsumeIntegralInRange<off_t>(0, HAMI_REGION_FILE_SIZE + kPage);
      FUZZ_CHECK(ftruncate(fd, size) == 0);
    }
    close(fd);
  }

 private:
  static constexpr size_t kPage = 4096;
  static constexpr int kSlots = 3;

  static void Put(int fd, size_t at, const void* bytes, size_t size) {
    FUZZ_CHECK(pwrite(fd, bytes, size, static_cast<off_t>(at)) == static_cast<ssize_t>(size));
  }

  static void Damage(int fd, FuzzedDataProvider& input) {
    struct Area {
      size_t at, size;
    };
    const size_t slot = input.ConsumeIntegralInRange<size_t>(0, kSlots);
    const Area areas[] = {
        {0, offsetof(HamiV1Region, procs)},
        {offsetof(HamiRegion, v1) + offsetof(HamiV1Region, procs) + slot * sizeof(HamiV1Slot),
         sizeof(HamiV1Slot)},
        {offsetof(HamiV1Region, proc_num), sizeof(HamiV1Region) - offsetof(HamiV1Region, proc_num)},
        {offsetof(HamiRegion, ext), 512},
        {offsetof(HamiRegion, ext) + offsetof(HamiExtHeader, devices), sizeof(HamiExtDevice) * 2},
        {offsetof(HamiRegion, ext) + HAMI_EXT_SLOTS_OFFSET + slot * sizeof(HamiExtSlot),
         sizeof(HamiExtSlot)},
        {0, sizeof(HamiRegion)}};
    const Area& area = input.PickValueInArray(areas);
    const auto word = input.ConsumeIntegralInRange<size_t>(0, (area.size - 1) / 4);
    const size_t width = input.ConsumeBool() ? 8 : 4;
    constexpr uint64_t kLoved[] = {0,
                                   1,
                                   2,
                                   3,
                                   0x7fffffff,
                                   0x80000000,
                                   0xffffffff,
                                   ~uint64_t{0},
                                   HAMI_BYTES_MASK,
                                   uint64_t{1} << 63};
    const uint64_t value =
        input.ConsumeBool() ? input.PickValueInArray(kLoved) : input.ConsumeIntegral<uint64_t>();
    Put(fd, area.at + word * 4, &value, width);
  }

  std::string folder_, path_;
  std::unique_ptr<HamiRegion> sound_;
};

}  // namespace hami::fuzz

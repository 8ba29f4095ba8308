// The limiter attaches to a damaged region, accounts in it and leaves: no crash, no hang, and its
// own reservation is never above the limit it reads.
#include <sys/mman.h>

#include "fuzz/region_image.h"
#include "limiter/region/attachment.h"

using hami::limiter::region::Account;
using hami::limiter::region::Attachment;

namespace {

constexpr int kLowestLockFd = 500;
constexpr unsigned kDevices = 2;

void UseDevice(Attachment& attachment, unsigned device, uint64_t bytes) {
  const uint64_t limit = attachment.limits().Memory(device);
  const auto words = attachment.words(device);
  if (!Account<>::Begin(words, bytes, limit)) {
    attachment.Settle(device);
    if (!Account<>::Begin(words, bytes, limit)) return;
  }
  FUZZ_CHECK(limit == 0 || attachment.Used(device) <= limit);
  Account<>::Commit(words, HAMI_KIND_DATA, bytes, bytes / 2);
  Account<>::Release(words, HAMI_KIND_DATA, bytes / 2);
}

}  // namespace

FUZZ_TARGET(text) {
  static hami::fuzz::RegionImage image;
  FuzzedDataProvider input(reinterpret_cast<const uint8_t*>(text.data()), text.size());
  image.Write(input);
  setenv(HAMI_ENV_SHARED_CACHE, image.path().c_str(), 1);
  setenv(HAMI_ENV_LOG_LEVEL, "0", 1);
  Attachment attachment;
  if (attachment.Join()) {
    for (unsigned device = 0; device < kDevices; ++device) {
      UseDevice(attachment, device, input.ConsumeIntegralInRange<uint64_t>(0, uint64_t{1} << 40));
      attachment.InFlight(device);
    }
    attachment.LookAround();
  }
  // An attachment is for life; a thousand of them a second are not.
  if (attachment.Map()) munmap(&attachment.region(), HAMI_REGION_FILE_SIZE);
  for (int fd = kLowestLockFd; close(fd) == 0; ++fd) {
  }
}

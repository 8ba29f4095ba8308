// Memory beyond the physical share (spec C5): what a program asked for as device memory becomes
// managed memory that the driver may move off the card, and keeps answering as device memory.
//
// Any thread; no lock is held across a driver call.
#pragma once

#include "abi/region.h"
#include "limiter/account/records.h"
#include "limiter/hook/cuda_api.h"
#include "limiter/hook/prologue.h"
#include "limiter/region/attachment.h"

namespace hami::limiter::hook {

// Learns whether the card's managed memory can leave it. Without that there is no oversubscription
// on this card: the physical share is the limit, and one line says so.
void LearnPaging(unsigned index, CUdevice ordinal);

// Whether device memory may be replaced by managed memory in this process: no longer once it has
// exported a block to another process, which managed memory cannot be.
bool HasExported();
inline bool MayDisguise() {
  return region::Attachment::Own().limits().oversubscribed() && !HasExported();
}

// Managed memory that prefers the card.
CUresult AllocateDisguised(const Current& current, uint64_t bytes, CUdeviceptr* pointer);
// Marks the record of such a block.
void MarkDisguised(account::Record& record);
inline constexpr uint64_t kDisguised = 1;  // in `link`
inline bool IsDisguised(const account::Record& record) {
  return record.kind == HAMI_KIND_MANAGED && record.space == account::Space::kPointer &&
         record.link == kDisguised;
}
// A disguised block has been freed.
void ForgetDisguised();

}  // namespace hami::limiter::hook

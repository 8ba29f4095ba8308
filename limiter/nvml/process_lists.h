// One rule for every form in which NVML lists the processes on a card (listing.h).
#pragma once

#include "limiter/hook/prologue.h"
#include "limiter/hook/tables.h"
#include "limiter/nvml/handles.h"
#include "limiter/nvml/listing.h"

namespace hami::limiter::nvml {

// What a list is about: our own account knows that a process computes, not that it draws.
enum class About { kCompute, kOther };

// Whether lists are the container's; false: passed through as NVML gives them.
inline bool ListsAreOurs() {
  return !hook::Busy() && hook::Ready() && !region::Attachment::Own().settings().raw_nvml_processes;
}

// Of a MIG instance; both NVML_NO_INSTANCE for a whole card.
struct Instance {
  unsigned gpu = NVML_NO_INSTANCE, compute = NVML_NO_INSTANCE;
};
Instance InstanceOf(nvmlDevice_t device);

inline void Put(const region::Member& member, Instance, nvmlProcessInfo_v1_t& info) {
  info = {member.pid, member.bytes};
}
inline void Put(const region::Member& member, Instance at, nvmlProcessInfo_v2_t& info) {
  info = {member.pid, member.bytes, at.gpu, at.compute};
}
inline void Put(const region::Member& member, Instance at, nvmlProcessDetail_v1_t& info) {
  info = {member.pid, member.bytes, at.gpu, at.compute, 0};
}

// `real(count, infos)` asks NVML for all of them.
template <class Info, class Real>
nvmlReturn_t ListProcesses(nvmlDevice_t device, About about, unsigned* count, Info* infos,
                           Real real) {
  if (count == nullptr || !ListsAreOurs()) return real(count, infos);
  const hook::Inside inside;
  Listing<Info> listed;
  const nvmlReturn_t result = listed.Ask(real);
  if (result != NVML_SUCCESS) return result;
  const Instance instance = InstanceOf(device);
  Shown<Info> shown(count, infos);
  ShowMembers(
      IndexOf(device), listed, shown,
      [&](const region::Member& m) { return about == About::kCompute && m.bytes > 0; },
      [&](const region::Member& m, Info& info) { Put(m, instance, info); });
  return shown.Finish();
}

}  // namespace hami::limiter::nvml

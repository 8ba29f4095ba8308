// Lists of processes as a container sees them: its own, under its own pids (spec A3).
//
// NVML numbers processes as the host does. Where a process's host pid is known its entries are
// taken from NVML and renumbered; where it is not, a process is shown by its own account. Entries
// of anybody else are left out. Any thread; NVML must be initialised.
#pragma once

#include "limiter/nvml/nvml_api.h"
#include "limiter/region/attachment.h"
#include "limiter/region/roster.h"
#include "limiter/sys/syscall.h"

namespace hami::limiter::nvml {

// Everything that NVML lists, however much that is.
template <class Info>
class Listing {
 public:
  Listing() = default;
  ~Listing() { Drop(); }
  Listing(const Listing&) = delete;
  Listing& operator=(const Listing&) = delete;

  // `call(count, infos)` asks NVML.
  template <class Call>
  nvmlReturn_t Ask(Call call) {
    unsigned room = kFirstRoom;
    while (true) {
      if (!Reserve(room)) return NVML_ERROR_MEMORY;
      unsigned count = room;
      const nvmlReturn_t result = call(&count, infos_);
      if (result != NVML_ERROR_INSUFFICIENT_SIZE || room > kMostRoom) {
        count_ = result == NVML_SUCCESS && count <= room ? count : 0;
        return result;
      }
      room = count > 2 * room ? count : 2 * room;
    }
  }

  const Info* begin() const { return infos_; }
  const Info* end() const { return infos_ + count_; }

 private:
  static constexpr unsigned kFirstRoom = 128;
  static constexpr unsigned kMostRoom = 65536;

  bool Reserve(unsigned room) {
    Drop();
    size_ = room * sizeof(Info);
    infos_ = static_cast<Info*>(
        sys::Map(size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1));
    return infos_ != nullptr;
  }
  void Drop() {
    if (infos_ != nullptr) sys::Unmap(infos_, size_);
    infos_ = nullptr;
  }

  Info* infos_ = nullptr;
  size_t size_ = 0;
  unsigned count_ = 0;
};

// The caller's array, filled as far as it reaches and counted beyond.
template <class Info>
class Shown {
 public:
  Shown(unsigned* count, Info* infos)
      : count_(count), infos_(infos), room_(infos == nullptr ? 0 : *count) {}

  // Room for one more entry; nullptr: it is counted only.
  Info* Next() { return found_++ < room_ ? &infos_[found_ - 1] : nullptr; }

  unsigned found() const { return found_; }
  nvmlReturn_t Finish() {
    *count_ = found_;
    return found_ > room_ ? NVML_ERROR_INSUFFICIENT_SIZE : NVML_SUCCESS;
  }

 private:
  unsigned* count_;
  Info* infos_;
  unsigned room_;
  unsigned found_ = 0;
};

// Fills `shown` from what NVML listed. `own(member, entry)` writes a process that NVML does not
// name, and `should_show(member)` says whether it belongs here.
template <class Info, class ShouldShow, class Own>
void ShowMembers(int index, const Listing<Info>& listed, Shown<Info>& shown, ShouldShow should_show,
                 Own own) {
  region::Attachment& attachment = region::Attachment::Own();
  attachment.Glance();
  const unsigned device = index < 0 ? 0 : static_cast<unsigned>(index);
  const auto visit = [&](const region::Member& member) {
    bool named = false;
    for (const Info& info : listed) {
      if (member.host_pid == 0 || info.pid != member.host_pid) continue;
      named = true;
      Info* entry = shown.Next();
      if (entry == nullptr) continue;
      *entry = info;
      entry->pid = member.pid;
    }
    if (named || index < 0 || !should_show(member)) return;
    Info* entry = shown.Next();
    if (entry != nullptr) own(member, *entry);
  };
  region::ForEachMember(attachment.region(), attachment.self(), device, visit);
}

}  // namespace hami::limiter::nvml

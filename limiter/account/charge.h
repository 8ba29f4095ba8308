// Asking for memory and giving it back: the admission rule around every driver call that takes
// device memory.
//
//   Reservation room(device, bytes);            // before the driver call; refused: return 2
//   ... driver call ...
//   room.Keep(kind, actual) or let it go out of scope (the driver failed)
//
// The reservation is in the container's total before the driver acts, so the limit holds at every
// instant and for all processes together. Any thread; no lock is held between the two steps.
#pragma once

#include <cstdint>

namespace hami::limiter::account {

class Reservation {
 public:
  // Exactly `bytes` of the card's own memory, after everything that can make room has been tried.
  // Prints the reference's line `Device D OOM NEW / LIMIT` when refused.
  static Reservation Of(unsigned device, uint64_t bytes);
  // The same where the memory may leave the card, or must be had whatever the physical share is:
  // the limit alone counts.
  static Reservation OfAny(unsigned device, uint64_t bytes);
  // For what the driver alone knows the size of: `most`, or as much as there is room for, but not
  // less than `least`. What is too much of it is missing to others until it is corrected, which
  // may take the driver long: requests of this process wait for that.
  static Reservation UpTo(unsigned device, uint64_t least, uint64_t most);

  Reservation(Reservation&& other) noexcept
      : device_(other.device_),
        bytes_(other.bytes_),
        granted_(other.granted_),
        open_(other.open_),
        unsized_(other.unsized_) {
    other.open_ = other.unsized_ = false;
  }
  Reservation(const Reservation&) = delete;
  Reservation& operator=(const Reservation&) = delete;
  Reservation& operator=(Reservation&&) = delete;
  ~Reservation() {
    if (open_) Abandon();
  }

  bool granted() const { return granted_; }
  uint64_t bytes() const { return bytes_; }
  // Whether the container's memory that cannot leave the card, this included, is within the
  // physical share; true when memory is not oversubscribed.
  bool FitsPhysicalShare() const;

  // The driver took `actual`. False: that is more than was reserved and there is no room for the
  // rest; nothing is booked, and the caller must give the memory back to the driver.
  bool Keep(unsigned kind, uint64_t actual);
  // The same where the memory cannot be given back: booked beyond the limit and counted.
  void KeepAnyway(unsigned kind, uint64_t actual);

 private:
  Reservation(unsigned device, uint64_t bytes, bool granted)
      : device_(device), bytes_(bytes), granted_(granted), open_(granted) {}
  bool Widen(uint64_t actual);
  void Abandon();
  void Close();

  unsigned device_;
  uint64_t bytes_;
  bool granted_;
  bool open_;
  bool unsized_ = false;
};

// The driver has taken `bytes` without having been asked for them: booked, beyond the limit if need
// be, and counted.
void Charge(unsigned device, unsigned kind, uint64_t bytes);

// The driver has freed `bytes` of `kind`.
void Release(unsigned device, unsigned kind, uint64_t bytes);

// Called before a refusal: something that may lower the process's own account (pools that keep
// freed memory). True: it did.
using Relief = bool (*)(unsigned device);
void SetRelief(Relief relief);

// For the child of a fork, in which nothing is under way.
void AfterFork();

}  // namespace hami::limiter::account

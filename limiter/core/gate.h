// The one question of a launch in a container without a core limit: may it go on at once?
//
// Yes if recent_kernel is 2 (not held back, and known as active) and limits_wake and the generation
// of limits.ro are what they were when the limits were last read and found absent. The three are
// added up and compared with what they should be: eight instructions, of which the last is the jump
// to the driver (HAMI_LAUNCH_ENTRY). They are added as 64-bit words, recent_kernel in the lower
// half and the others in the upper one, so that no change of one hides another's. Anything else,
// and the first launch, goes the long way (governor.h), which opens the gate. Any thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "abi/limits_page.h"
#include "abi/region.h"

namespace hami::limiter::core {

struct Gate {
  std::atomic<const char*> words;    // recent_kernel in the region; else zeros, which never match
  std::atomic<const char*> page;     // generation - 4 in limits.ro; else zeros
  std::atomic<uint64_t> expected;    // GateSum with recent_kernel = 2
  std::atomic<const char*> limited;  // as `words`, in a container under a limit; else zeros
};
extern "C" __attribute__((visibility("hidden"))) Gate hami_gate;

inline constexpr int32_t kActive = 2;
// From recent_kernel to the four bytes before limits_wake: the upper half of limits_seq.
inline constexpr size_t kWakeDistance = HAMI_EXT_OFFSET + offsetof(HamiExtHeader, limits_wake) - 4 -
                                        offsetof(HamiV1Region, recent_kernel);
static_assert(kWakeDistance == 316, "the assembly below says so");
static_assert(offsetof(Gate, page) == 8 && offsetof(Gate, expected) == 16);

template <class T>
inline T LoadWord(const void* address) {
  return __atomic_load_n(static_cast<const T*>(address), __ATOMIC_RELAXED);
}

// The sum as the assembly forms it: words of 64 bits at multiples of four.
inline uint64_t GateSum(const char* words, const char* page) {
  struct __attribute__((packed, aligned(4))) Pair {
    volatile uint64_t value;
  };
  const auto pair = [](const char* at) { return reinterpret_cast<const Pair*>(at)->value; };
  return pair(words) + pair(words + kWakeDistance) + pair(page);
}

__attribute__((always_inline)) inline bool SumIsExpected(const char* words) {
  const char* page = hami_gate.page.load(std::memory_order_relaxed);
  return GateSum(words, page) == hami_gate.expected.load(std::memory_order_relaxed);
}

// The same question in C++.
__attribute__((always_inline)) inline bool GateIsOpen() {
  return SumIsExpected(hami_gate.words.load(std::memory_order_acquire));
}

// In a container under a limit: nothing has changed since the limits were last read, and nobody
// holds launches back.
__attribute__((always_inline)) inline bool LimitsAreAsBefore() {
  return SumIsExpected(hami_gate.limited.load(std::memory_order_acquire));
}

// Reads the limits if they may have changed, and opens or closes the gate.
void UpdateGate();
// The library is switched off in this container.
void LeaveGateOpen();

}  // namespace hami::limiter::core

// The exported function `name`: to the driver's (hami_real_<name>) if the gate is open, else to
// hami_long_<name>, both with the caller's arguments untouched. In assembly, because compilers move
// arguments that lie on the stack before a tail call.
#if defined(__x86_64__)
#define HAMI_LAUNCH_ENTRY(name)            \
  __asm__(                                 \
      ".text\n"                            \
      ".p2align 4\n"                       \
      ".globl " #name                      \
      "\n"                                 \
      ".type " #name ", @function\n" #name \
      ":\n"                                \
      "  mov hami_gate(%rip), %rax\n"      \
      "  mov hami_gate+8(%rip), %r10\n"    \
      "  mov (%rax), %r11\n"               \
      "  add 316(%rax), %r11\n"            \
      "  add (%r10), %r11\n"               \
      "  cmp hami_gate+16(%rip), %r11\n"   \
      "  jne hami_long_" #name             \
      "\n"                                 \
      "  jmp *hami_real_" #name            \
      "(%rip)\n"                           \
      ".size " #name ", .-" #name "\n")
#elif defined(__aarch64__)
#define HAMI_LAUNCH_ENTRY(name)                 \
  __asm__(                                      \
      ".text\n"                                 \
      ".p2align 4\n"                            \
      ".globl " #name                           \
      "\n"                                      \
      ".type " #name ", %function\n" #name      \
      ":\n"                                     \
      "  adrp x16, hami_gate\n"                 \
      "  add x16, x16, :lo12:hami_gate\n"       \
      "  ldar x17, [x16]\n"                     \
      "  ldp x9, x10, [x16, #8]\n"              \
      "  ldr x11, [x17]\n"                      \
      "  add x17, x17, #316\n"                  \
      "  ldr x12, [x17]\n"                      \
      "  ldr x13, [x9]\n"                       \
      "  add x11, x11, x12\n"                   \
      "  add x11, x11, x13\n"                   \
      "  cmp x11, x10\n"                        \
      "  b.ne 1f\n"                             \
      "  adrp x16, hami_real_" #name            \
      "\n"                                      \
      "  ldr x16, [x16, :lo12:hami_real_" #name \
      "]\n"                                     \
      "  br x16\n"                              \
      "1: b hami_long_" #name                   \
      "\n"                                      \
      ".size " #name ", .-" #name "\n")
#endif

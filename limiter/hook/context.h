// Contexts: what a process has booked for them.
#pragma once

namespace hami::limiter::hook {

// Contexts that were booked with an estimate, because NVML could not tell their size, take the size
// that has been learned since. True: the account went down.
bool CorrectContexts(unsigned device);

}  // namespace hami::limiter::hook

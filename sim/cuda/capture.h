// What streams and events ask of captures (capture.cc). Each takes graph_mutex itself.
#pragma once

#include "sim/cuda/graph.h"

namespace hami::sim {

void RecordEventInCapture(Driver& driver, CudaEvent* event, const Target& target);

// The stream waits for an event, and one of them belongs to a capture: true, and *code is the
// answer. False: an ordinary wait.
bool WaitInCapture(Driver& driver, const Target& target, CudaEvent* event, int* code);

// For a sync or a query of an event, of a whole context.
int RefuseCapturedEvent(Driver& driver, CudaEvent* event);
int RefuseContextSync(Driver& driver, Context* context);

// The stream ends, and its capture with it.
void ForgetStream(Driver& driver, CudaStream* stream);

}  // namespace hami::sim

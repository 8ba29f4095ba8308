// Stream capture: a stream's operations become nodes of a graph; events carry the capture from one
// stream to another. What must not happen meanwhile is refused with the driver's codes and ends the
// capture's life (invalidated), as the CUDA programming guide rules.
#include "sim/cuda/capture.h"

#include <sys/syscall.h>
#include <unistd.h>

#include "sim/cuda/stream_forms.h"

namespace hami::sim {
namespace {

enum Mode : int { kGlobal = 0, kThreadLocal = 1, kRelaxed = 2 };
enum Status : int { kNone = 0, kActive = 1, kInvalidated = 2 };
constexpr uint32_t kNonBlocking = 1;

Capture* g_captures = nullptr;  // all that go on; guarded by graph_mutex, as what follows
uint64_t g_capture_ids = 0;
__thread int t_mode = kGlobal;  // cuThreadExchangeStreamCaptureMode
__thread int t_thread = 0;

int ThisThread() {
  if (t_thread == 0) t_thread = static_cast<int>(syscall(SYS_gettid));
  return t_thread;
}

bool IsSpecial(const CudaStream* stream) { return stream == &stream->context->legacy_stream; }

// The legacy stream waits for every blocking stream of its context, so it cannot be used while one
// of them captures.
Capture* BlockedBy(const CudaStream* stream) {
  if (!IsSpecial(stream)) return nullptr;
  for (Capture* c = g_captures; c != nullptr; c = c->next) {
    if (c->origin->context == stream->context && (c->origin->flags & kNonBlocking) == 0) return c;
  }
  return nullptr;
}

// Whether every node of the capture is an ancestor of the stream's last ones: what other streams
// captured came back.
void MarkAncestors(GraphNode* node) {
  if (node->mark == 1) return;
  node->mark = 1;
  for (int i = 0; i < node->dependencies.count; ++i) MarkAncestors(node->dependencies.items[i]);
}

bool IsJoined(const Capture& capture) {
  for (GraphNode* n = capture.graph->first; n != nullptr; n = n->next) n->mark = 0;
  const NodeList& tail = capture.origin->tail;
  for (int i = 0; i < tail.count; ++i) MarkAncestors(tail.items[i]);
  for (GraphNode* n = capture.graph->first; n != nullptr; n = n->next) {
    if (n->mark == 0) return false;
  }
  return true;
}

}  // namespace

Capture* FindCapture(uint64_t id) {
  for (Capture* c = g_captures; c != nullptr && id != 0; c = c->next) {
    if (c->id == id) return c;
  }
  return nullptr;
}

int Aim(Driver& driver, CudaStream* handle, bool per_thread, Context* context, Target* target) {
  if (const int code = ResolveStream(handle, per_thread, context, &target->stream); code != 0) {
    return code;
  }
  if (driver.captures.load(std::memory_order_relaxed) == 0) return kCudaSuccess;
  MutexGuard guard(driver.graph_mutex);
  if (Capture* blocking = BlockedBy(target->stream); blocking != nullptr) {
    blocking->invalidated = true;
    return kCudaCaptureImplicit;
  }
  target->capture = target->stream->capture;
  return target->capture != nullptr && target->capture->invalidated ? kCudaCaptureInvalidated
                                                                    : kCudaSuccess;
}

int Record(Driver& driver, const Target& target, NodeType type, CudaNodeParams& params) {
  MutexGuard guard(driver.graph_mutex);
  CudaStream* stream = target.stream;
  GraphNode* node = nullptr;
  const int code = AddNode(driver, target.capture->graph, type, stream->context, stream->tail.items,
                           static_cast<size_t>(stream->tail.count), params, &node);
  if (code != kCudaSuccess) {
    target.capture->invalidated = true;
    return code;
  }
  Assign(stream->tail, &node, 1);
  return kCudaSuccess;
}

int RefuseOnCapture(Driver& driver, CudaStream* stream) {
  if (driver.captures.load(std::memory_order_relaxed) == 0) return kCudaSuccess;
  {
    MutexGuard guard(driver.graph_mutex);
    if (Capture* blocking = BlockedBy(stream); blocking != nullptr) {
      blocking->invalidated = true;
      return kCudaCaptureImplicit;
    }
    if (Capture* capture = stream->capture; capture != nullptr) {
      const bool was = capture->invalidated;
      capture->invalidated = true;
      return was ? kCudaCaptureInvalidated : kCudaCaptureUnsupported;
    }
  }
  return RefuseUnsafe(driver);
}

int RefuseUnsafe(Driver& driver) {
  if (t_mode == kRelaxed) return kCudaSuccess;
  MutexGuard guard(driver.graph_mutex);
  int code = kCudaSuccess;
  for (Capture* c = g_captures; c != nullptr; c = c->next) {
    const bool forbids =
        c->thread == ThisThread() ? c->mode != kRelaxed : c->mode == kGlobal && t_mode == kGlobal;
    if (!forbids) continue;
    c->invalidated = true;
    code = kCudaCaptureUnsupported;
  }
  return code;
}

namespace {

int Begin(Driver& driver, bool per_thread, CudaStream* handle, int mode, Graph* into,
          GraphNode* const* dependencies, size_t count) {
  SIM_CUDA_CONTEXT();
  CudaStream* stream = nullptr;
  if (const int code = ResolveStream(handle, per_thread, context, &stream); code != 0) return code;
  if (mode < kGlobal || mode > kRelaxed) return kCudaInvalidValue;
  MutexGuard guard(driver.graph_mutex);
  if (IsSpecial(stream)) return kCudaCaptureUnsupported;
  if (stream->capture != nullptr) return kCudaIllegalState;
  if (into != nullptr && (!IsLive(into) || into->is_captured)) return kCudaInvalidValue;
  for (size_t i = 0; i < count; ++i) {
    if (into == nullptr || !IsLive(dependencies[i]) || dependencies[i]->graph != into) {
      return kCudaInvalidValue;
    }
  }
  auto* capture = driver.New<Capture>();
  Graph* graph = into != nullptr ? into : driver.New<Graph>();
  if (capture == nullptr || graph == nullptr) return kCudaOutOfMemory;
  capture->id = ++g_capture_ids;
  capture->graph = graph;
  capture->owns_graph = into == nullptr;
  capture->origin = stream;
  capture->mode = mode;
  capture->thread = ThisThread();
  capture->next = g_captures;
  graph->is_captured = true;
  g_captures = capture;
  stream->capture = capture;
  Assign(stream->tail, dependencies, static_cast<int>(count));
  driver.captures.fetch_add(1);
  return kCudaSuccess;
}

// Streams do not list themselves: those of this capture are told by their pointer, which `Delete`
// makes worthless. So the capture's end visits all streams that joined it.
constexpr int kMaxJoined = 256;
CudaStream* g_joined[kMaxJoined];
int g_joined_count = 0;

void LeaveCapture(CudaStream* stream) {
  stream->capture = nullptr;
  Clear(stream->tail);
}

int cuStreamBeginCapture_v2Form(Driver& driver, bool per_thread, CudaStream* stream, int mode) {
  return Begin(driver, per_thread, stream, mode, nullptr, nullptr, 0);
}
int cuStreamBeginCaptureForm(Driver& driver, bool per_thread, CudaStream* stream) {
  return Begin(driver, per_thread, stream, kGlobal, nullptr, nullptr, 0);
}
int cuStreamBeginCaptureToGraphForm(Driver& driver, bool per_thread, CudaStream* stream,
                                    Graph* graph, GraphNode* const* dependencies, const CudaEdge*,
                                    size_t count, int mode) {
  if (graph == nullptr || (count != 0 && dependencies == nullptr)) return kCudaInvalidValue;
  return Begin(driver, per_thread, stream, mode, graph, dependencies, count);
}

int cuStreamEndCaptureForm(Driver& driver, bool per_thread, CudaStream* handle, Graph** out) {
  SIM_CUDA_CONTEXT();
  SIM_CUDA_OUT(out);
  CudaStream* stream = nullptr;
  if (const int code = ResolveStream(handle, per_thread, context, &stream); code != 0) return code;
  MutexGuard guard(driver.graph_mutex);
  Capture* capture = stream->capture;
  if (capture == nullptr) return kCudaIllegalState;
  if (capture->origin != stream) {
    capture->invalidated = true;
    return kCudaCaptureUnmatched;
  }
  if (capture->mode != kRelaxed && capture->thread != ThisThread()) {
    capture->invalidated = true;
    return kCudaCaptureWrongThread;
  }
  int code = capture->invalidated ? kCudaCaptureInvalidated : kCudaSuccess;
  if (code == kCudaSuccess && !IsJoined(*capture)) code = kCudaCaptureUnjoined;
  for (int i = 0; i < g_joined_count; ++i) {
    if (!IsLive(g_joined[i]) || g_joined[i]->capture != capture) continue;
    LeaveCapture(g_joined[i]);
    g_joined[i--] = g_joined[--g_joined_count];
  }
  LeaveCapture(stream);
  Capture** at = &g_captures;
  while (*at != capture) at = &(*at)->next;
  *at = capture->next;
  capture->graph->is_captured = false;
  *out = code == kCudaSuccess ? capture->graph : nullptr;
  if (code != kCudaSuccess && capture->owns_graph) DestroyGraph(driver, capture->graph);
  driver.Delete(capture);
  driver.captures.fetch_sub(1);
  return code;
}

// Answers for one stream; the legacy stream cannot tell while a blocking stream captures.
int Inform(Driver& driver, bool per_thread, CudaStream* handle, int* status, uint64_t* id,
           Graph** graph, GraphNode* const** dependencies, const CudaEdge** edges, size_t* count) {
  SIM_CUDA_CONTEXT();
  SIM_CUDA_OUT(status);
  CudaStream* stream = nullptr;
  if (const int code = ResolveStream(handle, per_thread, context, &stream); code != 0) return code;
  *status = kNone;
  if (driver.captures.load(std::memory_order_relaxed) == 0) return kCudaSuccess;
  MutexGuard guard(driver.graph_mutex);
  if (BlockedBy(stream) != nullptr) return kCudaCaptureImplicit;
  const Capture* capture = stream->capture;
  if (capture == nullptr) return kCudaSuccess;
  *status = capture->invalidated ? kInvalidated : kActive;
  if (id != nullptr) *id = capture->id;
  if (graph != nullptr) *graph = capture->graph;
  if (dependencies != nullptr) *dependencies = stream->tail.items;
  if (edges != nullptr) *edges = nullptr;
  if (count != nullptr) *count = static_cast<size_t>(stream->tail.count);
  return kCudaSuccess;
}

int cuStreamIsCapturingForm(Driver& driver, bool per_thread, CudaStream* stream, int* status) {
  return Inform(driver, per_thread, stream, status, nullptr, nullptr, nullptr, nullptr, nullptr);
}
int cuStreamGetCaptureInfoForm(Driver& driver, bool per_thread, CudaStream* stream, int* status,
                               uint64_t* id) {
  return Inform(driver, per_thread, stream, status, id, nullptr, nullptr, nullptr, nullptr);
}
int cuStreamGetCaptureInfo_v2Form(Driver& driver, bool per_thread, CudaStream* stream, int* status,
                                  uint64_t* id, Graph** graph, GraphNode* const** dependencies,
                                  size_t* count) {
  return Inform(driver, per_thread, stream, status, id, graph, dependencies, nullptr, count);
}
int cuStreamGetCaptureInfo_v3Form(Driver& driver, bool per_thread, CudaStream* stream, int* status,
                                  uint64_t* id, Graph** graph, GraphNode* const** dependencies,
                                  const CudaEdge** edges, size_t* count) {
  return Inform(driver, per_thread, stream, status, id, graph, dependencies, edges, count);
}

int Update(Driver& driver, bool per_thread, CudaStream* handle, GraphNode* const* dependencies,
           size_t count, unsigned flags) {
  SIM_CUDA_CONTEXT();
  Target target;
  if (const int code = Aim(driver, handle, per_thread, context, &target); code != 0) return code;
  constexpr unsigned kAdd = 0, kSet = 1;
  if (flags > kSet || (count != 0 && dependencies == nullptr)) return kCudaInvalidValue;
  if (target.capture == nullptr) return kCudaIllegalState;
  MutexGuard guard(driver.graph_mutex);
  for (size_t i = 0; i < count; ++i) {
    if (!IsLive(dependencies[i]) || dependencies[i]->graph != target.capture->graph) {
      return kCudaInvalidValue;
    }
  }
  if (flags != kAdd) target.stream->tail.count = 0;
  for (size_t i = 0; i < count; ++i) Append(target.stream->tail, dependencies[i]);
  return kCudaSuccess;
}
int cuStreamUpdateCaptureDependenciesForm(Driver& driver, bool per_thread, CudaStream* stream,
                                          GraphNode* const* dependencies, size_t count,
                                          unsigned flags) {
  return Update(driver, per_thread, stream, dependencies, count, flags);
}
int cuStreamUpdateCaptureDependencies_v2Form(Driver& driver, bool per_thread, CudaStream* stream,
                                             GraphNode* const* dependencies, const CudaEdge*,
                                             size_t count, unsigned flags) {
  return Update(driver, per_thread, stream, dependencies, count, flags);
}

}  // namespace

void RecordEventInCapture(Driver& driver, CudaEvent* event, const Target& target) {
  MutexGuard guard(driver.graph_mutex);
  event->capture_id = target.capture->id;
  Assign(event->captured, target.stream->tail.items, target.stream->tail.count);
}

// The stream waits for an event of a capture, or captures and waits for an event of no capture.
// True: that was all, and *code is the answer.
bool WaitInCapture(Driver& driver, const Target& target, CudaEvent* event, int* code) {
  MutexGuard guard(driver.graph_mutex);
  Capture* capture = FindCapture(event->capture_id);
  if (capture == nullptr && target.capture == nullptr) return false;
  if (capture == nullptr) {
    target.capture->invalidated = true;
    *code = kCudaCaptureIsolation;
  } else if (capture->invalidated) {
    *code = kCudaCaptureInvalidated;
  } else if (target.capture != nullptr && target.capture != capture) {
    target.capture->invalidated = capture->invalidated = true;
    *code = kCudaCaptureMerge;
  } else if (target.capture == nullptr && g_joined_count == kMaxJoined) {
    *code = kCudaOutOfMemory;
  } else {
    if (target.capture == nullptr) {
      target.stream->capture = capture;
      g_joined[g_joined_count++] = target.stream;
    }
    for (int i = 0; i < event->captured.count; ++i) {
      Append(target.stream->tail, event->captured.items[i]);
    }
    *code = kCudaSuccess;
  }
  return true;
}

int RefuseCapturedEvent(Driver& driver, CudaEvent* event) {
  if (driver.captures.load(std::memory_order_relaxed) == 0) return kCudaSuccess;
  {
    MutexGuard guard(driver.graph_mutex);
    if (Capture* capture = FindCapture(event->capture_id); capture != nullptr) {
      capture->invalidated = true;
      return kCudaCapturedEvent;
    }
  }
  return RefuseUnsafe(driver);
}

int RefuseContextSync(Driver& driver, Context* context) {
  if (driver.captures.load(std::memory_order_relaxed) == 0) return kCudaSuccess;
  MutexGuard guard(driver.graph_mutex);
  int code = kCudaSuccess;
  for (Capture* c = g_captures; c != nullptr; c = c->next) {
    if (c->origin->context != context) continue;
    c->invalidated = true;
    code = kCudaCaptureUnsupported;
  }
  return code;
}

void ForgetStream(Driver& driver, CudaStream* stream) {
  MutexGuard guard(driver.graph_mutex);
  if (stream->capture != nullptr) stream->capture->invalidated = true;
  for (int i = 0; i < g_joined_count; ++i) {
    if (g_joined[i] == stream) g_joined[i--] = g_joined[--g_joined_count];
  }
  if (Capture* capture = stream->capture; capture != nullptr && capture->origin == stream) {
    Capture** at = &g_captures;
    while (*at != capture) at = &(*at)->next;
    *at = capture->next;
    for (int i = 0; i < g_joined_count; ++i) {
      if (g_joined[i]->capture == capture) LeaveCapture(g_joined[i]);
    }
    capture->graph->is_captured = false;
    if (capture->owns_graph) DestroyGraph(driver, capture->graph);
    driver.Delete(capture);
    driver.captures.fetch_sub(1);
  }
  LeaveCapture(stream);
}

}  // namespace hami::sim

using namespace hami::sim;  // NOLINT: only exported C functions below

SIM_STREAM_FORMS(cuStreamBeginCapture, (CudaStream * stream), SIM_ARGS(stream))
SIM_STREAM_FORMS(cuStreamBeginCapture_v2, (CudaStream * stream, int mode), SIM_ARGS(stream, mode))
SIM_STREAM_FORMS(cuStreamBeginCaptureToGraph,
                 (CudaStream * stream, Graph* graph, GraphNode* const* dependencies,
                  const CudaEdge* edges, size_t count, int mode),
                 SIM_ARGS(stream, graph, dependencies, edges, count, mode))
SIM_STREAM_FORMS(cuStreamEndCapture, (CudaStream * stream, Graph** graph), SIM_ARGS(stream, graph))
SIM_STREAM_FORMS(cuStreamIsCapturing, (CudaStream * stream, int* status), SIM_ARGS(stream, status))
SIM_STREAM_FORMS(cuStreamGetCaptureInfo, (CudaStream * stream, int* status, uint64_t* id),
                 SIM_ARGS(stream, status, id))
SIM_STREAM_FORMS(cuStreamGetCaptureInfo_v2,
                 (CudaStream * stream, int* status, uint64_t* id, Graph** graph,
                  GraphNode* const** dependencies, size_t* count),
                 SIM_ARGS(stream, status, id, graph, dependencies, count))
SIM_STREAM_FORMS(cuStreamGetCaptureInfo_v3,
                 (CudaStream * stream, int* status, uint64_t* id, Graph** graph,
                  GraphNode* const** dependencies, const CudaEdge** edges, size_t* count),
                 SIM_ARGS(stream, status, id, graph, dependencies, edges, count))
SIM_STREAM_FORMS(cuStreamUpdateCaptureDependencies,
                 (CudaStream * stream, GraphNode* const* dependencies, size_t count,
                  unsigned flags),
                 SIM_ARGS(stream, dependencies, count, flags))
SIM_STREAM_FORMS(cuStreamUpdateCaptureDependencies_v2,
                 (CudaStream * stream, GraphNode* const* dependencies, const CudaEdge* edges,
                  size_t count, unsigned flags),
                 SIM_ARGS(stream, dependencies, edges, count, flags))

SIM_CUDA cuThreadExchangeStreamCaptureMode(int* mode) {
  SIM_CUDA_CALL(cuThreadExchangeStreamCaptureMode);
  SIM_CUDA_OUT(mode);
  if (*mode < kGlobal || *mode > kRelaxed) return kCudaInvalidValue;
  const int old = t_mode;
  t_mode = *mode;
  *mode = old;
  return kCudaSuccess;
}

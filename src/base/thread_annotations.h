// Clang's thread-safety annotations; nothing for other compilers.
#pragma once

#if defined(__clang__)
#define HAMI_THREAD_ANNOTATION(x) __attribute__((x))
#else
#define HAMI_THREAD_ANNOTATION(x)
#endif

#ifndef GUARDED_BY  // gRPC's headers bring abseil's, which means the same
#define GUARDED_BY(x) HAMI_THREAD_ANNOTATION(guarded_by(x))
#endif

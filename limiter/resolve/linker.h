// The real dlsym and dlvsym behind our own, found in the loaded objects' symbol tables.
//
// They cannot be imported: a reference to dlsym@GLIBC_x from a library that exports dlsym itself
// binds to itself. So the first object after this one that defines them is searched, which is what
// RTLD_NEXT would give. Any thread, also before any constructor has run; no lock, no allocation.
#pragma once

namespace hami::limiter::resolve {

using Dlsym = void* (*)(void* handle, const char* name);
using Dlvsym = void* (*)(void* handle, const char* name, const char* version);

Dlsym RealDlsym();
Dlvsym RealDlvsym();

// Whether two addresses lie in one loaded object.
bool SameObject(const void* a, const void* b);

}  // namespace hami::limiter::resolve

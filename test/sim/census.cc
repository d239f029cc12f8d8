// SPDX-License-Identifier: GPL-3.0-or-later
//
// Stands in for what the C library offers, in the program that links this and in the libraries it
// loads: each call is counted and passed on. A sanitizer has its own malloc, and tells of each
// block. Not compiled for a sanitizer itself: memcpy is called before that one has begun.
#include "test/sim/census.h"

#include <dlfcn.h>
#include <pthread.h>

#include <cstdlib>

namespace {

using trireme::sim::census;
using trireme::sim::census_counts;

template <typename Function>
void Find(Function*& next, const char* name) {
  next = reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

void CountAllocation() {
  if (census_counts) ++census.allocations;
}

void CountLock() {
  if (census_counts) ++census.locks;
}

void CountCopy(size_t size) {
  if (!census_counts || size == 0) return;
  ++census.copies;
  census.copied_bytes += size;
  if (size >= trireme::sim::Census::kLargeBytes) ++census.large_copies;
}

// ---- copies ----

using CopyFunction = void*(void*, const void*, size_t);
CopyFunction* next_memcpy = nullptr;
CopyFunction* next_memmove = nullptr;

__attribute__((constructor(101))) void FindCopies() {
  Find(next_memcpy, "memcpy");
  Find(next_memmove, "memmove");
}

// Before the others are found, when nobody may be asked. Volatile: no compiler makes a memcpy of
// it.
void* CopySlowly(void* to, const void* from, size_t size) {
  auto* target = static_cast<volatile char*>(to);
  const auto* source = static_cast<const volatile char*>(from);
  if (to <= from) {
    for (size_t i = 0; i < size; ++i) target[i] = source[i];
  } else {
    for (size_t i = size; i > 0; --i) target[i - 1] = source[i - 1];
  }
  return to;
}

}  // namespace

extern "C" {

void* memcpy(void* __restrict to, const void* __restrict from, size_t size) noexcept {
  CountCopy(size);
  return next_memcpy != nullptr ? next_memcpy(to, from, size) : CopySlowly(to, from, size);
}

void* memmove(void* to, const void* from, size_t size) noexcept {
  CountCopy(size);
  return next_memmove != nullptr ? next_memmove(to, from, size) : CopySlowly(to, from, size);
}

// ---- locks ----

#define CENSUS_LOCK(name, Lock)             \
  int name(Lock* lock) noexcept {           \
    static int (*next)(Lock*) = nullptr;    \
    if (next == nullptr) Find(next, #name); \
    CountLock();                            \
    return next(lock);                      \
  }
CENSUS_LOCK(pthread_mutex_lock, pthread_mutex_t)
CENSUS_LOCK(pthread_mutex_trylock, pthread_mutex_t)
CENSUS_LOCK(pthread_rwlock_rdlock, pthread_rwlock_t)
CENSUS_LOCK(pthread_rwlock_wrlock, pthread_rwlock_t)
CENSUS_LOCK(pthread_spin_lock, pthread_spinlock_t)
#undef CENSUS_LOCK

// ---- memory ----

#ifdef TRIREME_CENSUS_SANITIZED

int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void*, size_t),
                                              void (*on_free)(const volatile void*));

#else

// What glibc's own names stand for; dlsym would allocate. Whatever comes from them, free() takes.
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* old, size_t size);
void* __libc_memalign(size_t alignment, size_t size);

void* malloc(size_t size) noexcept {
  CountAllocation();
  return __libc_malloc(size);
}

void* calloc(size_t count, size_t size) noexcept {
  CountAllocation();
  return __libc_calloc(count, size);
}

void* realloc(void* old, size_t size) noexcept {
  CountAllocation();
  return __libc_realloc(old, size);
}

void* memalign(size_t alignment, size_t size) noexcept {
  CountAllocation();
  return __libc_memalign(alignment, size);
}

void* aligned_alloc(size_t alignment, size_t size) noexcept {
  CountAllocation();
  return __libc_memalign(alignment, size);
}

int posix_memalign(void** out, size_t alignment, size_t size) noexcept {
  CountAllocation();
  *out = __libc_memalign(alignment, size);
  return *out == nullptr ? 12 : 0;  // ENOMEM
}

#endif

}  // extern "C"

namespace trireme::sim {

#ifdef TRIREME_CENSUS_SANITIZED
bool Census::linked() {
  static const bool installed = __sanitizer_install_malloc_and_free_hooks(
                                    [](const volatile void*, size_t) { CountAllocation(); },
                                    [](const volatile void*) {}) != 0;
  return installed;
}
#else
bool Census::linked() { return true; }
#endif

}  // namespace trireme::sim

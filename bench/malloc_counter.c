// SPDX-License-Identifier: GPL-3.0-or-later
//
// Counts heap allocations of a program, from outside: LD_PRELOAD this, and set MALLOC_COUNTER_FILE.
// The counts live in that file, which is mapped and shared, so that a reader sees them at any time:
//
//   u64 allocations | u64 frees | 1022 x { u64 caller, u64 count }   little-endian
//
// An allocation is a call of malloc, calloc, realloc, an aligned variant or operator new. Callers
// are return addresses; the table is open-addressed by them. Without the file nothing is counted.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

// What glibc's own names stand for; dlsym would allocate.
void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);
void __libc_free(void *);

enum { kCallers = 1022 };
struct Caller {
  _Atomic uint64_t address;
  _Atomic uint64_t count;
};
struct Page {
  _Atomic uint64_t allocations;
  _Atomic uint64_t frees;
  struct Caller callers[kCallers];
};
static struct Page *page;

__attribute__((constructor)) static void MapFile(void) {
  const char *path = getenv("MALLOC_COUNTER_FILE");
  if (path == NULL) return;
  const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (fd < 0) return;
  if (ftruncate(fd, sizeof(struct Page)) == 0) {
    void *memory = mmap(NULL, sizeof(struct Page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory != MAP_FAILED) page = memory;
  }
  close(fd);
}

static void Count(void *return_address) {
  struct Page *counts = page;
  if (counts == NULL) return;
  atomic_fetch_add_explicit(&counts->allocations, 1, memory_order_relaxed);
  const uint64_t address = (uint64_t)return_address;
  for (unsigned probe = 0; probe < 16; ++probe) {
    struct Caller *caller = &counts->callers[(address * 0x9E3779B97F4A7C15u + probe) % kCallers];
    uint64_t seen = atomic_load_explicit(&caller->address, memory_order_relaxed);
    if (seen == 0 && atomic_compare_exchange_strong(&caller->address, &seen, address)) {
      seen = address;
    }
    if (seen == address) {
      atomic_fetch_add_explicit(&caller->count, 1, memory_order_relaxed);
      return;
    }
  }
}

#define COUNT() Count(__builtin_return_address(0))

void *malloc(size_t size) {
  COUNT();
  return __libc_malloc(size);
}
void *calloc(size_t count, size_t size) {
  COUNT();
  return __libc_calloc(count, size);
}
void *realloc(void *old, size_t size) {
  COUNT();
  return __libc_realloc(old, size);
}
void *memalign(size_t alignment, size_t size) {
  COUNT();
  return __libc_memalign(alignment, size);
}
void *aligned_alloc(size_t alignment, size_t size) {
  COUNT();
  return __libc_memalign(alignment, size);
}
int posix_memalign(void **out, size_t alignment, size_t size) {
  COUNT();
  void *memory = __libc_memalign(alignment, size);
  if (memory == NULL) return 12;  // ENOMEM
  *out = memory;
  return 0;
}
void free(void *memory) {
  if (memory != NULL && page != NULL) {
    atomic_fetch_add_explicit(&page->frees, 1, memory_order_relaxed);
  }
  __libc_free(memory);
}

// operator new and its array and aligned forms, so that the caller is the program, not libstdc++.
static void *OrAbort(void *memory) {
  if (memory == NULL) abort();
  return memory;
}
void *_Znwm(size_t size) {
  COUNT();
  return OrAbort(__libc_malloc(size));
}
void *_Znam(size_t size) {
  COUNT();
  return OrAbort(__libc_malloc(size));
}
void *_ZnwmSt11align_val_t(size_t size, size_t alignment) {
  COUNT();
  return OrAbort(__libc_memalign(alignment, size));
}
void *_ZnamSt11align_val_t(size_t size, size_t alignment) {
  COUNT();
  return OrAbort(__libc_memalign(alignment, size));
}

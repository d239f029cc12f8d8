// SPDX-License-Identifier: GPL-3.0-or-later
//
// Where what cores share costs a core time, for the scaling study (bench/study), which charges its
// simulated cores for it. Compiled to nothing but in builds with -Dmarks=true, as base/marks.h.
//
//   TRIREME_SHARED_WORK(kLock, this);   just before the lock is taken
//
// A hook may let other cores run: nothing of them is held where it is called.
#pragma once

#include <cstdint>

namespace trireme {

enum class SharedWork : uint8_t {
  kMailSent,   // a letter is pushed
  kMailTaken,  // … and has been taken
  kLock,       // a lock that several cores take; `what` says which
};

#ifdef TRIREME_MARKS
inline void (*shared_work_hook)(SharedWork work, const void* what) = nullptr;
#define TRIREME_SHARED_WORK(work, what)                                   \
  (::trireme::shared_work_hook != nullptr                                 \
       ? ::trireme::shared_work_hook(::trireme::SharedWork::work, (what)) \
       : void())
#else
#define TRIREME_SHARED_WORK(work, what) static_cast<void>(0)
#endif

}  // namespace trireme

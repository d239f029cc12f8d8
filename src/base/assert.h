// SPDX-License-Identifier: GPL-3.0-or-later
//
// Asserts: on in every build, for our own bugs only. Input from the network or from a file is never
// asserted; it is answered. A failed assert prints where and what, and aborts: a pooler that has
// lost track of who owns a connection must not go on handing connections out.
#pragma once

namespace trireme {

[[noreturn, gnu::cold, gnu::noinline]] void AssertFailed(const char* condition, const char* file,
                                                         int line);

}  // namespace trireme

#define TRIREME_ASSERT(condition)                    \
  (__builtin_expect(static_cast<bool>(condition), 1) \
       ? static_cast<void>(0)                        \
       : ::trireme::AssertFailed(#condition, __FILE__, __LINE__))

#define TRIREME_UNREACHABLE() ::trireme::AssertFailed("unreachable", __FILE__, __LINE__)

// SPDX-License-Identifier: GPL-3.0-or-later
#include "drain.h"

#include <algorithm>
#include <cstdlib>
#include <vector>

namespace trireme::e2e {

Drained DrainUntilReady(RawClient& client, int times) {
  Drained drained;
  std::vector<char> chunk(1 << 20);
  std::string header;      // of the message that starts, as far as it came
  uint64_t body_left = 0;  // of the message whose header is complete
  for (;;) {
    const size_t got = client.socket().ReadSome(chunk.data(), chunk.size());
    if (got == 0) return drained;
    drained.bytes += got;
    for (size_t at = 0; at < got;) {
      if (header.size() < 5) {
        header += chunk[at++];
        if (header.size() < 5) continue;
        body_left = static_cast<uint64_t>(ReadBe32(header, 1)) - 4;
        drained.rows += header[0] == 'D' || header[0] == 'd';
        drained.errors += header[0] == 'E';
      }
      const size_t step = std::min<uint64_t>(body_left, got - at);
      body_left -= step;
      at += step;
      if (body_left > 0) continue;
      if (header[0] == 'Z' && --times == 0) {
        drained.ready = true;
        return drained;
      }
      header.clear();
    }
  }
}

uint64_t TransferMegabytes(uint64_t usual) {
  const char* text = std::getenv("TRIREME_E2E_MEGABYTES");
  return text != nullptr ? std::stoull(text) : usual;
}

}  // namespace trireme::e2e

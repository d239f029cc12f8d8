// SPDX-License-Identifier: GPL-3.0-or-later
//
// config/units.h and base/socket_address.h: durations, sizes, modes, hosts and addresses as people
// write them.
//
//   input:   the text
//
// Properties: a value that was read and is written is read the same; nothing is negative or beyond
// its range; an address reads as its own text.
#include "config/units.h"

#include "base/socket_address.h"
#include "test/fuzz/input.h"

namespace trireme::fuzz {
namespace {

void CheckAmounts(std::string_view text) {
  if (const std::optional<Duration> duration = ParseDuration(text)) {
    Check(duration->count() >= 0, "a duration is not negative");
    Check(ParseDuration(FormatDuration(*duration)) == duration, "a duration written is the same");
  }
  if (const std::optional<int64_t> size = ParseSize(text)) {
    Check(*size >= 0, "a size is not negative");
    Check(ParseSize(FormatSize(*size)) == size, "a size written is the same");
  }
  if (const std::optional<uint32_t> mode = ParseMode(text)) {
    Check(*mode <= 0777, "a mode has nine bits");
    Check(ParseMode(FormatMode(*mode)) == mode, "a mode written is the same");
  }
}

void CheckHost(std::string_view text) {
  const std::optional<HostConfig> host = ParseHost(text);
  if (!host) return;
  Check(!host->host.empty() && host->port != 0, "a host has a name and a port");
  const std::optional<HostConfig> again = ParseHost(FormatHost(*host));
  Check(again && again->port == host->port, "a host written has the same port");
  CheckEqual(again->host, host->host, "a host written is the same");
}

void CheckAddress(std::string_view text) {
  if (const Result<SocketAddress> address = SocketAddress::Numeric(text, 5432); address.ok()) {
    Check(address->port() == 5432, "an address keeps its port");
    const Result<SocketAddress> again = SocketAddress::Numeric(address->HostText(), 5432);
    Check(again.ok(), "the text of an address is an address");
    CheckEqual(again->Text(), address->Text(), "the text of an address is the same address");
  }
  if (const Result<SocketAddress> address = SocketAddress::Unix(text); address.ok()) {
    Check(address->is_unix() && address->size() <= sizeof(sockaddr_storage), "a path fits");
    CheckEqual(address->HostText(), text, "a path is its own text");
  }
}

void Run(Input input) {
  const std::string_view text = input.RestText();
  CheckAmounts(text);
  CheckHost(text);
  CheckAddress(text);
}

}  // namespace
}  // namespace trireme::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  trireme::fuzz::Run({data, size});
  return 0;
}

// SPDX-License-Identifier: GPL-3.0-or-later
#include "symbols.h"

#include <elf.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>

namespace trireme::bench {
namespace {

std::string Quoted(const std::string& text) {
  std::string out = "'";
  for (char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

// Lines "address size type name" of code symbols.
void ReadNames(const std::string& path, const char* flags, Symbols::Functions* functions) {
  const std::string command =
      std::string("nm -CS --defined-only ") + flags + " " + Quoted(path) + " 2>/dev/null";
  FILE* pipe = popen(command.c_str(), "re");
  if (pipe == nullptr) return;
  char line[4096];
  while (std::fgets(line, sizeof line, pipe) != nullptr) {
    unsigned long long address = 0, size = 0;
    char type = 0;
    int name_at = 0;
    if (std::sscanf(line, "%llx %llx %c %n", &address, &size, &type, &name_at) != 3) continue;
    if (std::strchr("tTwWiu", type) == nullptr) continue;
    std::string name(line + name_at);
    while (!name.empty() && name.back() == '\n') name.pop_back();
    functions->try_emplace(address, Symbols::Function{.size = size, .name = std::move(name)});
  }
  pclose(pipe);
}

// What the linker added to the offset in the file to get the address, for the code segment.
uint64_t CodeAddressMinusOffset(const std::string& path) {
  uint64_t result = 0;
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  Elf64_Ehdr head{};
  if (pread(fd, &head, sizeof head, 0) == sizeof head) {
    for (int i = 0; i < head.e_phnum; ++i) {
      Elf64_Phdr segment{};
      const off_t at = static_cast<off_t>(head.e_phoff) + i * head.e_phentsize;
      if (pread(fd, &segment, sizeof segment, at) != sizeof segment) break;
      if (segment.p_type == PT_LOAD && (segment.p_flags & PF_X) != 0) {
        result = segment.p_vaddr - segment.p_offset;
        break;
      }
    }
  }
  close(fd);
  return result;
}

}  // namespace

Symbols::Symbols(pid_t pid) {
  std::ifstream maps("/proc/" + std::to_string(pid) + "/maps");
  for (std::string line; std::getline(maps, line);) {
    std::istringstream words(line);
    std::string range, rights, offset, device, inode, path;
    words >> range >> rights >> offset >> device >> inode >> std::ws;
    std::getline(words, path);
    if (rights.find('x') == std::string::npos) continue;
    const size_t dash = range.find('-');
    mappings_.push_back({.start = std::stoull(range.substr(0, dash), nullptr, 16),
                         .end = std::stoull(range.substr(dash + 1), nullptr, 16),
                         .file_offset = std::stoull(offset, nullptr, 16),
                         .path = path});
  }
}

Symbols::File& Symbols::Load(const std::string& path) {
  const auto [at, is_new] = files_.try_emplace(path);
  File& file = at->second;
  if (is_new && path.starts_with('/')) {
    ReadNames(path, "", &file.functions);
    ReadNames(path, "-D", &file.functions);
    file.address_minus_offset = CodeAddressMinusOffset(path);
  }
  return file;
}

std::string Symbols::NameOf(uint64_t address) {
  for (const Mapping& mapping : mappings_) {
    if (address < mapping.start || address >= mapping.end) continue;
    File& file = Load(mapping.path);
    const std::string where = "[" + mapping.path.substr(mapping.path.rfind('/') + 1) + "]";
    const uint64_t own = address - mapping.start + mapping.file_offset + file.address_minus_offset;
    auto next = file.functions.upper_bound(own);
    if (next == file.functions.begin()) return "unnamed " + where;
    --next;
    // Stripped files name only what they export: the gaps are somebody else's.
    const bool inside = own < next->first + next->second.size;
    return (inside ? next->second.name : "unnamed") + " " + where;
  }
  return "?";
}

}  // namespace trireme::bench

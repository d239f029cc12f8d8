// SPDX-License-Identifier: GPL-3.0-or-later
//
// Names for code addresses of a running process, from its memory map and what `nm` says of the
// files in it. Code without a symbol is "unnamed".
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace trireme::bench {

class Symbols {
 public:
  struct Function {
    uint64_t size;
    std::string name;
  };
  using Functions = std::map<uint64_t, Function>;  // by start, in the file's own address space

  // Reads the map at once: the process may end afterwards.
  explicit Symbols(pid_t pid);

  // "function [file]"
  std::string NameOf(uint64_t address);

 private:
  struct Mapping {
    uint64_t start, end, file_offset;
    std::string path;
  };
  struct File {
    Functions functions;
    uint64_t address_minus_offset = 0;  // of its code
  };

  File& Load(const std::string& path);

  std::vector<Mapping> mappings_;
  std::map<std::string, File> files_;
};

}  // namespace trireme::bench

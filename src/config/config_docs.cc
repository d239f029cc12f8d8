// SPDX-License-Identifier: GPL-3.0-or-later
//
// Writes what the table of fields says about itself: config_docs <docs directory>.
#include <fstream>
#include <iostream>
#include <string>

#include "config/schema.h"

namespace {

bool Write(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << text;
  file.close();
  if (!file) std::cerr << "config_docs: cannot write " << path << "\n";
  return static_cast<bool>(file);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: config_docs <docs directory>\n"
                 "Writes config.schema.json and configuration.md there.\n";
    return 2;
  }
  const std::string directory = argv[1];
  const bool written = Write(directory + "/config.schema.json", trireme::JsonSchema()) &&
                       Write(directory + "/configuration.md", trireme::OptionsMarkdown());
  return written ? 0 : 1;
}

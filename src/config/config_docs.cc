// SPDX-License-Identifier: GPL-3.0-or-later
//
// Writes what the table of fields says about itself, into docs/ and between the marks of README.md:
// config_docs <project directory>.
#include <fstream>
#include <iostream>
#include <optional>
#include <sstream>
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

bool WriteReadme(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  std::string page = text.str();
  const std::optional<trireme::TextRange> table = trireme::FindOptionsTable(page);
  if (!table) {
    std::cerr << "config_docs: " << path << " has no marks around its table of options\n";
    return false;
  }
  page.replace(table->begin, table->size, trireme::OptionsTable());
  return Write(path, page);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: config_docs <project directory>\n"
                 "Writes docs/config.schema.json, docs/configuration.md and the table of options "
                 "in README.md there.\n";
    return 2;
  }
  const std::string root = argv[1];
  const bool written = Write(root + "/docs/config.schema.json", trireme::JsonSchema()) &&
                       Write(root + "/docs/configuration.md", trireme::OptionsMarkdown()) &&
                       WriteReadme(root + "/README.md");
  return written ? 0 : 1;
}

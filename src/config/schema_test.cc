// SPDX-License-Identifier: GPL-3.0-or-later
#include "config/schema.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "config/section.h"

namespace trireme {
namespace {

constexpr const char* kHowToRegenerate =
    "docs/ or README.md is behind config/fields.cc. Run: ninja -C <build directory> config-docs";

std::string Committed(const std::string& name) {
  std::ifstream file(std::string(TRIREME_DOCS) + "/" + name, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(Schema, TheCommittedFileIsInStep) {
  EXPECT_TRUE(Committed("config.schema.json") == JsonSchema()) << kHowToRegenerate;
}

TEST(Schema, TheCommittedOptionsAreInStep) {
  EXPECT_TRUE(Committed("configuration.md") == OptionsMarkdown()) << kHowToRegenerate;
}

TEST(Schema, TheOptionsInTheReadmeAreInStep) {
  const std::string readme = Committed("../README.md");
  const std::optional<TextRange> table = FindOptionsTable(readme);
  ASSERT_TRUE(table.has_value()) << "README.md has lost the marks around its table of options";
  EXPECT_TRUE(readme.substr(table->begin, table->size) == OptionsTable()) << kHowToRegenerate;
}

// Every $ref leads somewhere, and every object is closed.
void ExpectSound(const Json& node, const Json& root, const std::string& path) {
  if (node.is_object()) {
    if (node.contains("$ref")) {
      const Json::json_pointer target(node["$ref"].get<std::string>().substr(1));
      EXPECT_TRUE(root.contains(target)) << path;
      EXPECT_EQ(node.size(), 1u) << path << ": draft-07 ignores what stands beside a $ref";
    }
    const bool is_object_schema = node.contains("type") && node["type"] == "object";
    if (is_object_schema) {
      EXPECT_TRUE(node.contains("additionalProperties")) << path;
    }
  }
  if (!node.is_structured()) return;
  for (const auto& [key, child] : node.items()) ExpectSound(child, root, path + "/" + key);
}

TEST(Schema, IsSound) {
  const Json schema = Json::parse(JsonSchema());
  ExpectSound(schema, schema, "");
  EXPECT_EQ(schema["additionalProperties"], false);
  EXPECT_EQ(schema["required"].dump(), R"(["listen","storages","users","routes"])");
}

TEST(Schema, DescribesEveryOption) {
  const Json schema = Json::parse(JsonSchema());
  for (const SectionView& section : AllSections().sections) {
    EXPECT_FALSE(section.description.empty()) << section.path;
    for (const OptionView& option : section.options) {
      EXPECT_FALSE(option.info.description.empty()) << section.path << " " << option.info.key;
    }
  }
  const Json& wait_timeout = schema["definitions"]["pool"]["properties"]["wait_timeout"];
  EXPECT_EQ(wait_timeout["default"], "2min");
  EXPECT_EQ(wait_timeout["allOf"][0]["$ref"], "#/definitions/duration");
  EXPECT_EQ(schema["definitions"]["pool"]["properties"]["size"]["default"], 20);
}

}  // namespace
}  // namespace trireme

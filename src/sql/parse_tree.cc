// SPDX-License-Identifier: GPL-3.0-or-later
//
// The tree is read from its packed form (protobuf) as it is asked for, by the field names in the
// library's descriptors.
#include "sql/parse_tree.h"

#include <pg_query.h>
#include <pg_query/pg_query.pb-c.h>

#include <algorithm>
#include <cstdlib>
#include <mutex>
#include <utility>

namespace trireme {
namespace {

enum class Wire : uint32_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

struct Field {
  uint32_t id = 0;
  uint64_t number = 0;
  std::string_view bytes;
};

// Reads the fields of one packed message. Ends early at what no packed message has.
class FieldReader {
 public:
  explicit FieldReader(std::string_view bytes) : rest_(bytes) {}

  std::optional<Field> Next() {
    if (rest_.empty()) return std::nullopt;
    const uint64_t tag = Varint();
    Field field{.id = static_cast<uint32_t>(tag >> 3)};
    switch (static_cast<Wire>(tag & 7)) {
      case Wire::kVarint:
        field.number = Varint();
        return field;
      case Wire::kFixed64:
        field.bytes = Take(8);
        return field;
      case Wire::kFixed32:
        field.bytes = Take(4);
        return field;
      case Wire::kBytes:
        field.bytes = Take(Varint());
        return field;
    }
    return std::nullopt;
  }

 private:
  uint64_t Varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      const auto byte = static_cast<uint8_t>(rest_.front());
      rest_.remove_prefix(1);
      value |= uint64_t{byte & 0x7fu} << shift;
      if ((byte & 0x80) == 0) break;
    }
    return value;
  }

  std::string_view Take(uint64_t size) {
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(taken.size());
    return taken;
  }

  std::string_view rest_;
};

const ProtobufCFieldDescriptor* FieldById(const ProtobufCMessageDescriptor& type, uint32_t id) {
  const ProtobufCFieldDescriptor* end = type.fields + type.n_fields;
  const auto* found = std::lower_bound(
      type.fields, end, id,
      [](const ProtobufCFieldDescriptor& field, uint32_t wanted) { return field.id < wanted; });
  return found != end && found->id == id ? found : nullptr;
}

const ProtobufCMessageDescriptor* MessageType(const ProtobufCFieldDescriptor* field) {
  if (field == nullptr || field->type != PROTOBUF_C_TYPE_MESSAGE) return nullptr;
  return static_cast<const ProtobufCMessageDescriptor*>(field->descriptor);
}

// The library makes its memory contexts when a thread first parses, and remembers how to free them
// in a variable that all threads write.
void PrepareThread() {
  static std::mutex mutex;
  thread_local const bool prepared = [] {
    const std::lock_guard lock(mutex);
    pg_query_init();
    return true;
  }();
  static_cast<void>(prepared);
}

}  // namespace

std::string_view TreeNode::type() const {
  constexpr std::string_view kPackage = "pg_query.";
  if (type_ == nullptr) return {};
  return std::string_view(type_->name).substr(kPackage.size());
}

// A Node is a message around one of all kinds of nodes; an empty one stands for none.
TreeNode TreeNode::Unwrapped() const {
  if (type() != "Node") return *this;
  const std::optional<Field> inner = FieldReader(bytes_).Next();
  if (!inner) return {};
  return {inner->bytes, MessageType(FieldById(*type_, inner->id))};
}

const ProtobufCFieldDescriptor* TreeNode::FindField(std::string_view name) const {
  if (type_ == nullptr) return nullptr;
  const ProtobufCFieldDescriptor* end = type_->fields + type_->n_fields;
  const auto* found =
      std::find_if(type_->fields, end,
                   [name](const ProtobufCFieldDescriptor& field) { return field.name == name; });
  return found == end ? nullptr : found;
}

std::string_view TreeNode::Text(std::string_view field) const {
  const ProtobufCFieldDescriptor* wanted = FindField(field);
  if (wanted == nullptr || wanted->type != PROTOBUF_C_TYPE_STRING) return {};
  FieldReader reader(bytes_);
  while (const std::optional<Field> found = reader.Next()) {
    if (found->id == wanted->id) return found->bytes;
  }
  return {};
}

int64_t TreeNode::Number(std::string_view field) const {
  const ProtobufCFieldDescriptor* wanted = FindField(field);
  if (wanted == nullptr) return 0;
  FieldReader reader(bytes_);
  while (const std::optional<Field> found = reader.Next()) {
    if (found->id == wanted->id) return static_cast<int64_t>(found->number);
  }
  return 0;
}

// The first value of an enumeration, 0, is "undefined" and never written.
std::string_view TreeNode::EnumName(std::string_view field) const {
  const ProtobufCFieldDescriptor* wanted = FindField(field);
  if (wanted == nullptr || wanted->type != PROTOBUF_C_TYPE_ENUM) return {};
  const auto& type = *static_cast<const ProtobufCEnumDescriptor*>(wanted->descriptor);
  const int64_t number = Number(field);
  const ProtobufCEnumValue* end = type.values + type.n_values;
  const auto* found = std::find_if(type.values, end, [number](const ProtobufCEnumValue& value) {
    return value.value == number;
  });
  return found == end ? std::string_view{} : found->name;
}

TreeNode TreeNode::Child(std::string_view field) const {
  const std::vector<TreeNode> children = Children(field);
  return children.empty() ? TreeNode() : children.front();
}

std::vector<TreeNode> TreeNode::Children(std::string_view field) const {
  std::vector<TreeNode> children;
  const ProtobufCFieldDescriptor* wanted = FindField(field);
  const ProtobufCMessageDescriptor* type = MessageType(wanted);
  if (type == nullptr) return children;
  FieldReader reader(bytes_);
  while (const std::optional<Field> found = reader.Next()) {
    if (found->id == wanted->id) children.push_back(TreeNode(found->bytes, type).Unwrapped());
  }
  return children;
}

std::vector<TreeNode> TreeNode::AllChildren() const {
  std::vector<TreeNode> children;
  if (type_ == nullptr) return children;
  FieldReader reader(bytes_);
  while (const std::optional<Field> found = reader.Next()) {
    const ProtobufCMessageDescriptor* type = MessageType(FieldById(*type_, found->id));
    if (type == nullptr) continue;
    if (const TreeNode child = TreeNode(found->bytes, type).Unwrapped()) children.push_back(child);
  }
  return children;
}

std::vector<std::string_view> TreeNode::FieldNames() const {
  std::vector<std::string_view> names;
  if (type_ == nullptr) return names;
  FieldReader reader(bytes_);
  while (const std::optional<Field> found = reader.Next()) {
    const ProtobufCFieldDescriptor* field = FieldById(*type_, found->id);
    if (field != nullptr && (names.empty() || names.back() != field->name)) {
      names.emplace_back(field->name);
    }
  }
  return names;
}

std::optional<ParseTree> ParseTree::Parse(const std::string& sql) {
  PrepareThread();
  PgQueryProtobufParseResult result = pg_query_parse_protobuf(sql.c_str());
  const bool refused = result.error != nullptr || result.parse_tree.data == nullptr;
  const std::string_view packed(result.parse_tree.data, result.parse_tree.len);
  if (!refused) result.parse_tree.data = nullptr;  // the tree's now
  pg_query_free_protobuf_parse_result(result);
  if (refused) return std::nullopt;
  return ParseTree(packed);
}

ParseTree::ParseTree(ParseTree&& other) noexcept : packed_(std::exchange(other.packed_, {})) {}

ParseTree::~ParseTree() { std::free(const_cast<char*>(packed_.data())); }

std::vector<TreeNode> ParseTree::Statements() const {
  std::vector<TreeNode> statements;
  const TreeNode root(packed_, &pg_query__parse_result__descriptor);
  for (const TreeNode& raw : root.Children("stmts")) statements.push_back(raw.Child("stmt"));
  return statements;
}

}  // namespace trireme

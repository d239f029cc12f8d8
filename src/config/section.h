// SPDX-License-Identifier: GPL-3.0-or-later
//
// A section is one struct of config/config.h and the fields that fill it. From the same list come
// the loader, --print-config, SHOW CONFIG, the schema and the documentation, so they cannot
// disagree.
//
//   Section<PoolConfig>
//     └─ Field: key, description ─ member pointer ─ codec
//                                                    └─ Object<…>, ListOf<…>, NamedObjects<…> go
//                                                    deeper
//
// Sections are constants, made on first use and never destroyed; any thread may read them.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/codec.h"
#include "config/print.h"

namespace trireme {

enum class Presence : uint8_t {
  kOptional,
  kRequired,
  kPrintedWhenSet,  // optional, and left out of print while it has its default
};

struct FieldInfo {
  std::string_view key;
  std::string_view description;
  std::string_view pgbouncer = {};  // PgBouncer's name for it, when there is one
  Presence presence = Presence::kOptional;
};

// What the documentation and the "did you mean" advice know about an option.
struct OptionView {
  FieldInfo info;
  std::string form;
  std::string default_text;  // JSON; "" when there is none
  std::string section_path;  // the section that the value is made of; "" for plain values
};

struct SectionView {
  std::string_view path;  // "routes[]"; "" is the whole configuration
  std::string_view description;
  std::vector<OptionView> options;
};

// All sections reachable from Config, outermost first.
struct Catalogue {
  std::vector<SectionView> sections;

  bool Has(std::string_view path) const {
    for (const SectionView& section : sections) {
      if (section.path == path) return true;
    }
    return false;
  }
};

const Catalogue& AllSections();

// The advice after `unknown key "…"`: PgBouncer's name for a known option, the nearest key of the
// section, or where else that key belongs.
std::string UnknownKeyAdvice(std::string_view key, std::span<const std::string> section_keys);

// One row's text: strings bare, lists joined by commas, everything else as JSON.
std::string RowText(const Json& value);

struct RowContext {
  const Config& config;
  std::vector<ConfigRow>& rows;
};

template <typename Codec, typename T>
void AppendRows(const Codec& codec, const std::string& key, const T& value, const T& normal,
                const RowContext& context) {
  if constexpr (requires { codec.Rows(key, value, normal, context); }) {
    codec.Rows(key, value, normal, context);
  } else {
    context.rows.push_back({.key = key,
                            .value = RowText(codec.Print(value, context.config)),
                            .default_value = RowText(codec.Print(normal, context.config))});
  }
}

template <typename Codec>
std::string DescribeCodec(const Codec& codec, Catalogue& catalogue) {
  if constexpr (requires { codec.Describe(catalogue); }) {
    return codec.Describe(catalogue);
  } else {
    return "";
  }
}

template <typename Owner>
class Field {
 public:
  explicit Field(FieldInfo field_info) : info(field_info) {}
  virtual ~Field() = default;
  Field(const Field&) = delete;
  Field& operator=(const Field&) = delete;

  virtual void Read(const JsonValue& json, Reader& reader, Owner& owner) const = 0;
  virtual Json Print(const Owner& owner, const Config& config) const = 0;  // null = leave it out
  virtual Json Schema(SchemaBuilder& schemas) const = 0;
  virtual void Rows(const std::string& key, const Owner& owner, const Owner& normal,
                    const RowContext& context) const = 0;
  virtual OptionView Describe(Catalogue& catalogue) const = 0;

  const FieldInfo info;
};

template <typename Owner, typename T, typename Codec>
class MemberField final : public Field<Owner> {
 public:
  MemberField(T Owner::*member, Codec codec, FieldInfo field_info)
      : Field<Owner>(field_info), member_(member), codec_(std::move(codec)) {}

  void Read(const JsonValue& json, Reader& reader, Owner& owner) const override {
    codec_.Read(json, reader, owner.*member_);
  }
  Json Print(const Owner& owner, const Config& config) const override {
    Json printed = codec_.Print(owner.*member_, config);
    const bool may_hide = this->info.presence == Presence::kPrintedWhenSet;
    if (may_hide && printed == codec_.Print(Owner{}.*member_, config)) return nullptr;
    return printed;
  }
  Json Schema(SchemaBuilder& schemas) const override { return codec_.Schema(schemas); }
  void Rows(const std::string& key, const Owner& owner, const Owner& normal,
            const RowContext& context) const override {
    AppendRows(codec_, key, owner.*member_, normal.*member_, context);
  }
  OptionView Describe(Catalogue& catalogue) const override {
    OptionView view{.info = this->info, .form = codec_.Form()};
    view.section_path = DescribeCodec(codec_, catalogue);
    const bool plain = view.section_path.empty() && this->info.presence != Presence::kRequired;
    const Json normal = plain ? codec_.Print(Owner{}.*member_, Config{}) : Json();
    if (!normal.is_null()) view.default_text = normal.dump();
    return view;
  }

 private:
  T Owner::*member_;
  Codec codec_;
};

// A field whose value is spread over several members.
template <typename Owner, typename Codec>
class WholeField final : public Field<Owner> {
 public:
  WholeField(Codec codec, FieldInfo field_info) : Field<Owner>(field_info), codec_(codec) {}

  void Read(const JsonValue& json, Reader& reader, Owner& owner) const override {
    codec_.Read(json, reader, owner);
  }
  Json Print(const Owner& owner, const Config& config) const override {
    return codec_.Print(owner, config);
  }
  Json Schema(SchemaBuilder& schemas) const override { return codec_.Schema(schemas); }
  void Rows(const std::string& key, const Owner& owner, const Owner& normal,
            const RowContext& context) const override {
    AppendRows(codec_, key, owner, normal, context);
  }
  OptionView Describe(Catalogue&) const override {
    return {.info = this->info,
            .form = codec_.Form(),
            .default_text = codec_.Print(Owner{}, Config{}).dump()};
  }

 private:
  Codec codec_;
};

template <typename Owner>
struct Section {
  std::string_view name;  // of its definition in the schema
  std::string_view path;
  std::string_view description;
  std::vector<std::unique_ptr<const Field<Owner>>> fields;
  // Between the fields of one object, after they have been read: what must hold, and defaults that
  // follow from other fields.
  void (*finish)(const JsonValue& json, Reader& reader, Owner& value) = nullptr;
  Json schema_rules = nullptr;      // the same as JSON Schema, merged into the definition
  std::string_view shorthand = {};  // the field that a value other than an object stands for

  const Field<Owner>* Find(std::string_view key) const {
    for (const auto& field : fields) {
      if (field->info.key == key) return field.get();
    }
    return nullptr;
  }
};

// Specialised for every section in config/fields.cc.
template <typename Owner>
const Section<Owner>& SectionOf();

// The value of a section: a JSON object with exactly the section's keys.
template <typename Owner>
struct Object {
  void Read(const JsonValue& json, Reader& reader, Owner& value) const {
    const Section<Owner>& section = SectionOf<Owner>();
    if (json.kind != JsonValue::Kind::kObject) {
      if (!section.shorthand.empty())
        return section.Find(section.shorthand)->Read(json, reader, value);
      reader.Error(json.position, absl::StrCat("expected an object, found ", FoundType(json)));
      return;
    }
    ReadFields(section, json, reader, value);
    RefuseUnknownKeys(section, json, reader);
    if (section.finish != nullptr) section.finish(json, reader, value);
  }

  Json Print(const Owner& value, const Config& config) const {
    Json object = Json::object();
    for (const auto& field : SectionOf<Owner>().fields) {
      Json printed = field->Print(value, config);
      if (!printed.is_null()) object[std::string(field->info.key)] = std::move(printed);
    }
    return object;
  }

  Json Schema(SchemaBuilder& schemas) const {
    return schemas.Reference(SectionOf<Owner>().name, [&] { return Definition(schemas); });
  }

  // The definition itself; the root schema is one.
  Json Definition(SchemaBuilder& schemas) const {
    const Section<Owner>& section = SectionOf<Owner>();
    Json object{{"type", "object"},
                {"description", std::string(section.description)},
                {"additionalProperties", false}};
    Json required = Json::array();
    for (const auto& field : section.fields) {
      const std::string key(field->info.key);
      object["properties"][key] = Property(*field, schemas);
      if (field->info.presence == Presence::kRequired) required.push_back(key);
    }
    if (!required.empty()) object["required"] = std::move(required);
    if (!section.schema_rules.is_null()) object.update(section.schema_rules);
    if (section.shorthand.empty()) return object;
    Json either = Json::object();
    either["anyOf"].push_back(section.Find(section.shorthand)->Schema(schemas));
    either["anyOf"].push_back(std::move(object));
    return either;
  }

  std::string Form() const { return "object"; }

  void Rows(const std::string& key, const Owner& value, const Owner& normal,
            const RowContext& context) const {
    for (const auto& field : SectionOf<Owner>().fields) {
      if (field->info.key.starts_with('$')) continue;
      const std::string_view dot = key.empty() ? "" : ".";
      field->Rows(absl::StrCat(key, ToAbsl(dot), ToAbsl(field->info.key)), value, normal, context);
    }
  }

  std::string Describe(Catalogue& catalogue) const {
    const Section<Owner>& section = SectionOf<Owner>();
    if (!catalogue.Has(section.path)) {
      const size_t place = catalogue.sections.size();
      catalogue.sections.push_back({.path = section.path, .description = section.description});
      std::vector<OptionView> options;
      for (const auto& field : section.fields) options.push_back(field->Describe(catalogue));
      catalogue.sections[place].options = std::move(options);
    }
    return std::string(section.path);
  }

 private:
  static void ReadFields(const Section<Owner>& section, const JsonValue& json, Reader& reader,
                         Owner& value) {
    // In the order of the table, not of the text: routes look up storages.
    for (const auto& field : section.fields) {
      const JsonMember* member = json.Find(field->info.key);
      if (member != nullptr) {
        const Reader::Step step(reader, field->info.key);
        field->Read(member->value, reader, value);
      } else if (field->info.presence == Presence::kRequired) {
        reader.Error(json.position, absl::StrCat("missing key \"", ToAbsl(field->info.key),
                                                 "\": ", ToAbsl(field->info.description)));
      }
    }
  }

  static void RefuseUnknownKeys(const Section<Owner>& section, const JsonValue& json,
                                Reader& reader) {
    std::vector<std::string> keys;
    for (const auto& field : section.fields) keys.emplace_back(field->info.key);
    for (const JsonMember& member : json.members) {
      if (member.duplicate || section.Find(member.key) != nullptr) continue;
      const Reader::Step step(reader, member.key);
      reader.Error(member.position, absl::StrCat("unknown key \"", member.key, "\"",
                                                 UnknownKeyAdvice(member.key, keys)));
    }
  }

  static Json Property(const Field<Owner>& field, SchemaBuilder& schemas) {
    Json schema = field.Schema(schemas);
    if (schema.contains("$ref")) {  // draft-07 ignores what stands beside a $ref
      Json wrapped = Json::object();
      wrapped["allOf"].push_back(std::move(schema));
      schema = std::move(wrapped);
    }
    schema["description"] = std::string(field.info.description);
    Catalogue unused;
    const OptionView view = field.Describe(unused);
    if (!view.default_text.empty()) schema["default"] = Json::parse(view.default_text);
    return schema;
  }
};

// The element that a list or map starts each entry from.
template <typename T>
T MakeDefault(const Config&) {
  return T{};
}

template <typename T, typename Codec>
struct ListOf {
  Codec codec;
  std::string_view what;  // "hosts"
  size_t least = 0;
  size_t most = 0;
  T (*make)(const Config&) = &MakeDefault<T>;

  void Read(const JsonValue& json, Reader& reader, std::vector<T>& value) const {
    const bool is_list = json.kind == JsonValue::Kind::kArray;
    if (!is_list || json.items.size() < least || json.items.size() > most) {
      const std::string count = absl::StrCat("a list of ", least, " to ", most, " ", ToAbsl(what));
      reader.Error(json.position,
                   absl::StrCat("expected ", count, ", found ",
                                is_list ? absl::StrCat(json.items.size()) : FoundType(json)));
    }
    value.clear();
    for (size_t i = 0; i < json.items.size() && i < most; ++i) {
      const Reader::Step step(reader, std::to_string(i));
      value.push_back(make(reader.config()));
      codec.Read(json.items[i], reader, value.back());
    }
  }
  Json Print(const std::vector<T>& value, const Config& config) const {
    Json list = Json::array();
    for (const T& element : value) list.push_back(codec.Print(element, config));
    return list;
  }
  Json Schema(SchemaBuilder& schemas) const {
    Json schema{{"type", "array"}};
    schema["items"] = codec.Schema(schemas);
    if (least > 0) schema["minItems"] = least;
    schema["maxItems"] = most;
    return schema;
  }
  std::string Form() const { return absl::StrCat("list of ", ToAbsl(what)); }

  void Rows(const std::string& key, const std::vector<T>& value, const std::vector<T>& normal,
            const RowContext& context) const {
    if constexpr (requires(Catalogue catalogue) { codec.Describe(catalogue); }) {
      const T element_normal = make(context.config);
      for (size_t i = 0; i < value.size(); ++i) {
        AppendRows(codec, absl::StrCat(key, ".", i), value[i], element_normal, context);
      }
    } else {
      context.rows.push_back({.key = key,
                              .value = RowText(Print(value, context.config)),
                              .default_value = RowText(Print(normal, context.config))});
    }
  }
  std::string Describe(Catalogue& catalogue) const { return DescribeCodec(codec, catalogue); }
};

// {"name": {…}, …} ⇄ a vector of structs with a `name`.
template <typename T>
struct NamedObjects {
  std::string_view what;
  size_t least = 0;
  size_t most = 0;

  void Read(const JsonValue& json, Reader& reader, std::vector<T>& value) const {
    const bool is_object = json.kind == JsonValue::Kind::kObject;
    if (!is_object || json.members.size() < least || json.members.size() > most) {
      reader.Error(json.position,
                   absl::StrCat("expected an object of ", least, " to ", most, " ", ToAbsl(what),
                                " by name, found ",
                                is_object ? absl::StrCat(json.members.size()) : FoundType(json)));
    }
    value.clear();
    for (const JsonMember& member : json.members) {
      if (member.duplicate || value.size() == most) continue;
      const Reader::Step step(reader, member.key);
      if (member.key.empty() || member.key.find('\0') != member.key.npos) {
        reader.Error(member.position, "expected a name without NUL bytes, not empty");
      }
      T element;
      element.name = member.key;
      Object<T>().Read(member.value, reader, element);
      value.push_back(std::move(element));
    }
  }
  Json Print(const std::vector<T>& value, const Config& config) const {
    Json object = Json::object();
    for (const T& element : value) object[element.name] = Object<T>().Print(element, config);
    return object;
  }
  Json Schema(SchemaBuilder& schemas) const {
    Json schema{{"type", "object"}};
    if (least > 0) schema["minProperties"] = least;
    schema["maxProperties"] = most;
    schema["propertyNames"]["minLength"] = 1;
    schema["additionalProperties"] = Object<T>().Schema(schemas);
    return schema;
  }
  std::string Form() const { return absl::StrCat("object of ", ToAbsl(what), " by name"); }

  void Rows(const std::string& key, const std::vector<T>& value, const std::vector<T>&,
            const RowContext& context) const {
    for (const T& element : value) {
      Object<T>().Rows(absl::StrCat(key, ".", element.name), element, T{}, context);
    }
  }
  std::string Describe(Catalogue& catalogue) const { return Object<T>().Describe(catalogue); }
};

}  // namespace trireme

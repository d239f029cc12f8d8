// SPDX-License-Identifier: GPL-3.0-or-later
//
// A codec knows one form of value: how it is read from JSON, printed, described to an editor and to
// a person. Codecs are small constants that compose: a list of hosts is ListOf<HostAddress>. The
// table of fields (config/fields.cc) pairs each member of Config with a codec; nothing else knows
// the forms.
//
//   void Read(const JsonValue&, Reader&, T& value)   reports and leaves `value` (the default) when
//   wrong Json Print(const T&, const Config&)              what Read takes; null = leave the key
//   out Json Schema(SchemaBuilder&)                      JSON Schema of what Read takes std::string
//   Form()                               "duration, 0 to 1d", for messages and tables
//
// Composed ones also have Rows() and Describe(): see config/section.h.
#pragma once

#include <concepts>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "config/names.h"
#include "config/nearest.h"
#include "config/reader.h"

namespace trireme {

using Json = nlohmann::ordered_json;

// Definitions that schemas refer to by name; each is made once.
class SchemaBuilder {
 public:
  template <typename Make>
  Json Reference(std::string_view name, Make make) {
    const std::string key(name);
    if (!definitions_.contains(key)) {
      definitions_[key] = nullptr;  // keeps the place, and ends recursion
      definitions_[key] = make();
    }
    return Json{{"$ref", absl::StrCat("#/definitions/", key)}};
  }
  Json TakeDefinitions() { return std::move(definitions_); }

 private:
  Json definitions_ = Json::object();
};

// true | false
struct Flag {
  void Read(const JsonValue& json, Reader& reader, bool& value) const;
  Json Print(bool value, const Config&) const { return value; }
  Json Schema(SchemaBuilder&) const { return {{"type", "boolean"}}; }
  std::string Form() const { return "true or false"; }
};

// An integer; T is any unsigned type that holds `most`.
struct Count {
  int64_t least = 0;
  int64_t most = 0;

  template <typename T>
  void Read(const JsonValue& json, Reader& reader, T& value) const {
    if (const std::optional<int64_t> number = Accept(json, reader)) {
      value = static_cast<T>(*number);
    }
  }
  template <typename T>
  Json Print(T value, const Config&) const {
    return value;
  }
  Json Schema(SchemaBuilder&) const;
  std::string Form() const;

 private:
  std::optional<int64_t> Accept(const JsonValue& json, Reader& reader) const;
};

// An integer that is a power of two, for rings and their masks.
struct PowerOfTwo {
  int64_t least = 1;
  int64_t most = 0;

  void Read(const JsonValue& json, Reader& reader, uint32_t& value) const;
  Json Print(uint32_t value, const Config&) const { return value; }
  Json Schema(SchemaBuilder&) const;
  std::string Form() const;
};

// Bytes: "16KiB", or a bare number.
struct ByteSize {
  enum class Shape : uint8_t { kAny, kPowerOfTwo };
  int64_t least = 0;
  int64_t most = 0;
  Shape shape = Shape::kAny;

  void Read(const JsonValue& json, Reader& reader, uint32_t& value) const;
  Json Print(uint32_t value, const Config&) const;
  Json Schema(SchemaBuilder& schemas) const;
  std::string Form() const;
};

// "30s"; 0 needs no unit, everything else does.
struct TimeSpan {
  Duration least{0};
  Duration most{0};
  Duration step{1};  // what the system can tell apart

  void Read(const JsonValue& json, Reader& reader, Duration& value) const;
  Json Print(Duration value, const Config&) const;
  Json Schema(SchemaBuilder& schemas) const;
  std::string Form() const;
};

// A string for PostgreSQL or the system: no NUL byte in it.
struct Text {
  enum class Empty : uint8_t { kRefused, kAllowed };
  Empty empty = Empty::kRefused;
  std::string_view what = "string";

  void Read(const JsonValue& json, Reader& reader, std::string& value) const;
  Json Print(const std::string& value, const Config&) const { return value; }
  Json Schema(SchemaBuilder&) const;
  std::string Form() const { return std::string(what); }
};

// A socket directory: an absolute path that leaves room for "/.s.PGSQL.65535", or "@name".
struct SocketDirectory {
  void Read(const JsonValue& json, Reader& reader, std::string& value) const;
  Json Print(const std::string& value, const Config&) const { return value; }
  Json Schema(SchemaBuilder&) const;
  std::string Form() const { return "absolute path, or \"@name\""; }
};

// File permissions: "0777".
struct FileMode {
  void Read(const JsonValue& json, Reader& reader, uint32_t& value) const;
  Json Print(uint32_t value, const Config&) const;
  Json Schema(SchemaBuilder&) const;
  std::string Form() const { return "octal mode such as \"0777\""; }
};

// "host:port"
struct HostAddress {
  void Read(const JsonValue& json, Reader& reader, HostConfig& value) const;
  Json Print(const HostConfig& value, const Config&) const;
  Json Schema(SchemaBuilder& schemas) const;
  std::string Form() const { return "host:port"; }
};

// "text" | {"file": "path"} | {"env": "NAME"}. No message contains the text.
struct SecretSource {
  void Read(const JsonValue& json, Reader& reader, Secret& value) const;
  Json Print(const Secret& value, const Config&) const;
  Json Schema(SchemaBuilder& schemas) const;
  std::string Form() const { return "secret"; }
};

// The name of a storage ⇄ its index in Config::storages, which have been read before.
struct StorageName {
  void Read(const JsonValue& json, Reader& reader, uint32_t& index) const;
  Json Print(uint32_t index, const Config& config) const;
  Json Schema(SchemaBuilder&) const { return {{"type", "string"}, {"minLength", 1}}; }
  std::string Form() const { return "name of a storage"; }
};

// "auto" | 4 | [0, 2] ⇄ the kind, count and CPUs of CoresConfig.
struct CoreChoice {
  void Read(const JsonValue& json, Reader& reader, CoresConfig& value) const;
  Json Print(const CoresConfig& value, const Config&) const;
  Json Schema(SchemaBuilder&) const;
  std::string Form() const { return "\"auto\", a count, or a list of CPUs"; }
};

// {"name": "value", …} for the server's startup packet.
struct Parameters {
  using Pairs = std::vector<std::pair<std::string, std::string>>;
  void Read(const JsonValue& json, Reader& reader, Pairs& value) const;
  Json Print(const Pairs& value, const Config&) const;
  Json Schema(SchemaBuilder&) const;
  std::string Form() const { return "object of strings"; }
};

// `"a", "b" or "c"`
std::string QuotedAlternatives(std::span<const std::string> names);

// One of an enum's names.
template <typename Enum>
struct Choice {
  void Read(const JsonValue& json, Reader& reader, Enum& value) const {
    for (const EnumName<Enum>& entry : EnumNames<Enum>()) {
      if (json.kind == JsonValue::Kind::kString && json.text == entry.name) {
        value = entry.value;
        return;
      }
    }
    reader.Expected(QuotedAlternatives(Names()), json,
                    json.kind == JsonValue::Kind::kString ? DidYouMean(json.text, Names()) : "");
  }
  Json Print(Enum value, const Config&) const { return NameOf(value); }
  Json Schema(SchemaBuilder&) const { return {{"enum", Names()}}; }
  std::string Form() const { return QuotedAlternatives(Names()); }

 private:
  static std::vector<std::string> Names() {
    std::vector<std::string> names;
    for (const EnumName<Enum>& entry : EnumNames<Enum>()) names.emplace_back(entry.name);
    return names;
  }
};

// A value that may be absent.
template <typename Codec>
struct Maybe {
  Codec codec;

  template <typename T>
  void Read(const JsonValue& json, Reader& reader, std::optional<T>& value) const {
    T read{};
    codec.Read(json, reader, read);
    value = std::move(read);
  }
  template <typename T>
  Json Print(const std::optional<T>& value, const Config& config) const {
    return value ? codec.Print(*value, config) : Json();
  }
  Json Schema(SchemaBuilder& schemas) const { return codec.Schema(schemas); }
  std::string Form() const { return codec.Form(); }
};

}  // namespace trireme

// SPDX-License-Identifier: GPL-3.0-or-later
#include "config/codec.h"

#include <algorithm>
#include <bit>
#include <filesystem>

#include "config/print.h"
#include "config/secret.h"
#include "config/units.h"

namespace trireme {
namespace {

using Kind = JsonValue::Kind;

// Socket paths live in sockaddr_un::sun_path, 108 bytes with the final NUL.
constexpr size_t kSocketPathBytesMax = 107;
constexpr std::string_view kLongestSocketName = "/.s.PGSQL.65535";

constexpr int64_t kCoresMax = 256;
constexpr int64_t kCpuMax = 1023;  // the kernel's cpu_set_t
constexpr Count kCoreCount{.least = 1, .most = kCoresMax};
constexpr Count kCpu{.least = 0, .most = kCpuMax};

constexpr size_t kParametersMax = 64;
constexpr size_t kStoragesNamed = 20;  // in one message

// Permission bits that let everybody read or write.
constexpr uint32_t kWorldBits = 0006;

Json PatternSchema(std::string_view pattern) {
  return {{"type", "string"}, {"pattern", std::string(pattern)}};
}

bool HasNul(std::string_view text) { return text.find('\0') != text.npos; }

}  // namespace

std::string QuotedAlternatives(std::span<const std::string> names) {
  std::string text;
  for (size_t i = 0; i < names.size(); ++i) {
    const std::string_view separator = i == 0 ? "" : i + 1 == names.size() ? " or " : ", ";
    absl::StrAppend(&text, ToAbsl(separator), "\"", names[i], "\"");
  }
  return text;
}

void Flag::Read(const JsonValue& json, Reader& reader, bool& value) const {
  if (json.kind != Kind::kBoolean) return reader.Expected("true or false", json);
  value = json.boolean;
}

// --- numbers

std::optional<int64_t> Count::Accept(const JsonValue& json, Reader& reader) const {
  if (json.kind == Kind::kInteger && json.integer >= least && json.integer <= most) {
    return json.integer;
  }
  reader.Expected(absl::StrCat("an ", Form()), json);
  return std::nullopt;
}

Json Count::Schema(SchemaBuilder&) const {
  return {{"type", "integer"}, {"minimum", least}, {"maximum", most}};
}

std::string Count::Form() const { return absl::StrCat("integer from ", least, " to ", most); }

void PowerOfTwo::Read(const JsonValue& json, Reader& reader, uint32_t& value) const {
  const bool fits = json.kind == Kind::kInteger && json.integer >= least && json.integer <= most;
  if (!fits || !std::has_single_bit(static_cast<uint64_t>(json.integer))) {
    return reader.Expected(absl::StrCat("a ", Form()), json);
  }
  value = static_cast<uint32_t>(json.integer);
}

Json PowerOfTwo::Schema(SchemaBuilder&) const {
  Json powers = Json::array();
  for (int64_t power = least; power <= most; power *= 2) powers.push_back(power);
  return {{"enum", std::move(powers)}};
}

std::string PowerOfTwo::Form() const {
  return absl::StrCat("power of two from ", least, " to ", most);
}

void ByteSize::Read(const JsonValue& json, Reader& reader, uint32_t& value) const {
  std::optional<int64_t> bytes;
  if (json.kind == Kind::kInteger) bytes = json.integer;
  if (json.kind == Kind::kString) bytes = ParseSize(json.text);
  const bool fits = bytes && *bytes >= least && *bytes <= most;
  const bool shaped =
      fits && (shape == Shape::kAny || std::has_single_bit(static_cast<uint64_t>(*bytes)));
  if (!shaped) {
    const bool unreadable = json.kind == Kind::kString && !bytes;
    return reader.Expected(absl::StrCat("a ", Form()), json,
                           unreadable ? "; the units are B, kB, KiB, MB, MiB, GB, GiB" : "");
  }
  value = static_cast<uint32_t>(*bytes);
}

Json ByteSize::Print(uint32_t value, const Config&) const { return FormatSize(value); }

Json ByteSize::Schema(SchemaBuilder& schemas) const {
  return schemas.Reference("size", [] {
    Json either{{"description", "bytes: \"16KiB\", \"1MiB\", \"64kB\", or a number of bytes"}};
    either["anyOf"].push_back(PatternSchema(kSizePattern));
    either["anyOf"].push_back(Json{{"type", "integer"}, {"minimum", 0}});
    return either;
  });
}

std::string ByteSize::Form() const {
  const std::string_view power = shape == Shape::kPowerOfTwo ? ", a power of two" : "";
  return absl::StrCat("size from ", FormatSize(least), " to ", FormatSize(most), ToAbsl(power));
}

// --- time

void TimeSpan::Read(const JsonValue& json, Reader& reader, Duration& value) const {
  const std::string what = absl::StrCat("a ", Form());
  std::optional<Duration> read;
  if (json.kind == Kind::kString) {
    read = ParseDuration(json.text);
    if (!read) {
      return reader.Expected(what, json,
                             "; write it as \"30s\": the units are ns, us, ms, s, min, h, d");
    }
  } else if (json.kind == Kind::kInteger && json.integer == 0) {
    read = Duration{0};
  } else if (json.kind == Kind::kInteger || json.kind == Kind::kNumber) {
    return reader.Expected(
        what, json, absl::StrCat("; write the unit, as in \"", std::string(json.source), "s\""));
  }
  if (!read || *read < least || *read > most || read->count() % step.count() != 0) {
    return reader.Expected(what, json);
  }
  value = *read;
}

Json TimeSpan::Print(Duration value, const Config&) const { return FormatDuration(value); }

Json TimeSpan::Schema(SchemaBuilder& schemas) const {
  return schemas.Reference("duration", [] {
    Json either{{"description", "\"500ms\", \"30s\", \"1h30min\"; units: ns us ms s min h d; 0"}};
    either["anyOf"].push_back(PatternSchema(kDurationPattern));
    either["anyOf"].push_back(Json{{"const", 0}});
    return either;
  });
}

std::string TimeSpan::Form() const {
  const std::string in_steps =
      step.count() > 1 ? absl::StrCat(" in steps of ", FormatDuration(step)) : "";
  return absl::StrCat("duration from ", FormatDuration(least), " to ", FormatDuration(most),
                      in_steps);
}

// --- text

void Text::Read(const JsonValue& json, Reader& reader, std::string& value) const {
  if (json.kind != Kind::kString) return reader.Expected("a string", json);
  if (HasNul(json.text)) return reader.Expected("a string without NUL bytes", json);
  if (json.text.empty() && empty == Empty::kRefused) {
    return reader.Expected("a string that is not empty", json);
  }
  value = json.text;
}

Json Text::Schema(SchemaBuilder&) const {
  Json schema{{"type", "string"}};
  if (empty == Empty::kRefused) schema["minLength"] = 1;
  return schema;
}

void SocketDirectory::Read(const JsonValue& json, Reader& reader, std::string& value) const {
  const bool is_place =
      json.kind == Kind::kString && !HasNul(json.text) &&
      (json.text.starts_with('/') || (json.text.starts_with('@') && json.text.size() > 1));
  if (!is_place) {
    return reader.Expected("an absolute path, or \"@name\" for an abstract socket", json);
  }
  const size_t most = kSocketPathBytesMax - kLongestSocketName.size();
  if (json.text.size() > most) {
    return reader.Expected(absl::StrCat("at most ", most, " bytes (a socket's path is short)"),
                           json);
  }
  value = json.text;
}

Json SocketDirectory::Schema(SchemaBuilder&) const { return PatternSchema("^(/|@.)"); }

void FileMode::Read(const JsonValue& json, Reader& reader, uint32_t& value) const {
  const std::optional<uint32_t> mode =
      json.kind == Kind::kString ? ParseMode(json.text) : std::nullopt;
  if (!mode) return reader.Expected("an octal mode in quotes such as \"0770\"", json);
  value = *mode;
}

Json FileMode::Print(uint32_t value, const Config&) const { return FormatMode(value); }

Json FileMode::Schema(SchemaBuilder&) const { return PatternSchema(kModePattern); }

void HostAddress::Read(const JsonValue& json, Reader& reader, HostConfig& value) const {
  std::optional<HostConfig> host;
  if (json.kind == Kind::kString && !HasNul(json.text)) host = ParseHost(json.text);
  if (host) {
    value = *std::move(host);
    return;
  }
  const bool bare_ipv6 = json.kind == Kind::kString && !json.text.starts_with('[') &&
                         std::count(json.text.begin(), json.text.end(), ':') > 1;
  reader.Expected("\"host:port\" such as \"db.example:5432\" or \"/run/postgresql:5432\"", json,
                  bare_ipv6 ? "; an IPv6 address stands in brackets: \"[::1]:5432\"" : "");
}

Json HostAddress::Print(const HostConfig& value, const Config&) const { return FormatHost(value); }

Json HostAddress::Schema(SchemaBuilder& schemas) const {
  return schemas.Reference("host", [] {
    Json schema = PatternSchema(kHostPattern);
    schema["description"] =
        "\"127.0.0.1:5432\", \"[::1]:5432\", \"db.example:5432\", \"/run/postgresql:5432\"; the "
        "port defaults to 5432";
    return schema;
  });
}

void StorageName::Read(const JsonValue& json, Reader& reader, uint32_t& index) const {
  const std::vector<StorageConfig>& storages = reader.config().storages;
  if (json.kind != Kind::kString) return reader.Expected("the name of a storage", json);
  const auto found = std::find_if(storages.begin(), storages.end(),
                                  [&](const auto& storage) { return storage.name == json.text; });
  if (found != storages.end()) {
    index = static_cast<uint32_t>(found - storages.begin());
    return;
  }
  std::vector<std::string> names;
  for (size_t i = 0; i < storages.size() && i < kStoragesNamed; ++i) {
    names.push_back(storages[i].name);
  }
  const std::string known = names.empty() ? "a name under \"storages\"" : QuotedAlternatives(names);
  reader.Expected(absl::StrCat("a storage: ", known), json, DidYouMean(json.text, names));
}

Json StorageName::Print(uint32_t index, const Config& config) const {
  return index < config.storages.size() ? Json(config.storages[index].name) : Json();
}

void CoreChoice::Read(const JsonValue& json, Reader& reader, CoresConfig& value) const {
  switch (json.kind) {
    case Kind::kString:
      if (json.text != "auto") break;
      value.kind = CoresConfig::Kind::kAuto;
      return;
    case Kind::kInteger:
      value.kind = CoresConfig::Kind::kCount;
      return kCoreCount.Read(json, reader, value.count);
    case Kind::kArray:
      if (json.items.empty() || json.items.size() > kCoresMax) break;
      value.kind = CoresConfig::Kind::kList;
      value.cpus.clear();
      for (size_t i = 0; i < json.items.size(); ++i) {
        const Reader::Step step(reader, std::to_string(i));
        uint32_t cpu = 0;
        kCpu.Read(json.items[i], reader, cpu);
        if (std::find(value.cpus.begin(), value.cpus.end(), cpu) != value.cpus.end()) {
          reader.Error(
              json.items[i].position,
              absl::StrCat("CPU ", cpu, " is listed twice; each core has a CPU of its own"));
        }
        value.cpus.push_back(cpu);
      }
      return;
    case Kind::kNull:
    case Kind::kBoolean:
    case Kind::kNumber:
    case Kind::kObject:
      break;
  }
  reader.Expected("\"auto\", a number of cores, or a list of CPUs such as [0, 2]", json);
}

Json CoreChoice::Print(const CoresConfig& value, const Config&) const {
  switch (value.kind) {
    case CoresConfig::Kind::kAuto:
      return "auto";
    case CoresConfig::Kind::kCount:
      return value.count;
    case CoresConfig::Kind::kList:
      return value.cpus;
  }
  return nullptr;
}

Json CoreChoice::Schema(SchemaBuilder& schemas) const {
  Json cpus{{"type", "array"}, {"minItems", 1}, {"maxItems", kCoresMax}, {"uniqueItems", true}};
  cpus["items"] = kCpu.Schema(schemas);
  Json either = Json::object();
  either["anyOf"].push_back(Json{{"const", "auto"}});
  either["anyOf"].push_back(kCoreCount.Schema(schemas));
  either["anyOf"].push_back(std::move(cpus));
  return either;
}

void Parameters::Read(const JsonValue& json, Reader& reader, Pairs& value) const {
  if (json.kind != Kind::kObject || json.members.size() > kParametersMax) {
    return reader.Expected(
        absl::StrCat("an object of at most ", kParametersMax, " settings and their values"), json);
  }
  value.clear();
  constexpr std::string_view kOwnFields[] = {"user", "database", "replication"};
  for (const JsonMember& member : json.members) {
    if (member.duplicate) continue;
    const Reader::Step step(reader, member.key);
    if (member.key.empty() || HasNul(member.key)) {
      reader.Error(member.position, "expected the name of a setting");
    }
    if (std::find(std::begin(kOwnFields), std::end(kOwnFields), member.key) !=
        std::end(kOwnFields)) {
      reader.Error(member.position, absl::StrCat("\"", member.key,
                                                 "\" is not a setting; use \"storage_user\" and "
                                                 "\"storage_database\" of the route"));
    }
    std::string text;
    Text{.empty = Text::Empty::kAllowed}.Read(member.value, reader, text);
    value.emplace_back(member.key, std::move(text));
  }
}

Json Parameters::Print(const Pairs& value, const Config&) const {
  Json object = Json::object();
  for (const auto& [name, text] : value) object[name] = text;
  return object;
}

Json Parameters::Schema(SchemaBuilder&) const {
  Json schema{{"type", "object"}, {"maxProperties", kParametersMax}};
  schema["additionalProperties"]["type"] = "string";
  return schema;
}

// --- secrets

namespace {

// The file's first line.
std::optional<std::string> SecretFromFile(const JsonValue& json, Reader& reader) {
  std::filesystem::path path(json.text);
  if (path.is_relative()) path = std::filesystem::path(reader.file_name()).parent_path() / path;
  const Result<Environment::File> file = reader.environment().ReadFile(path.string());
  if (!file.ok()) {
    reader.Error(json.position, absl::StrCat("cannot read the secret's file \"", path.string(),
                                             "\": ", file.status().message()));
    return std::nullopt;
  }
  if ((file->mode & kWorldBits) != 0) {
    reader.Warning(json.position, absl::StrCat("the secret's file \"", path.string(),
                                               "\" is open to every user of the system (mode ",
                                               FormatMode(file->mode & 0777), "); chmod 600 it"));
  }
  std::string line = file->text.substr(0, file->text.find('\n'));
  if (line.ends_with('\r')) line.pop_back();
  return line;
}

std::optional<std::string> SecretFromVariable(const JsonValue& json, Reader& reader) {
  std::optional<std::string> text = reader.environment().Variable(json.text);
  if (!text) {
    reader.Error(json.position,
                 absl::StrCat("the environment variable \"", json.text, "\" is not set"));
  }
  return text;
}

// The text of the secret, wherever it is; reports when there is none.
std::optional<std::string> SecretText(const JsonValue& json, Reader& reader) {
  if (json.kind == Kind::kString) return json.text;
  const bool one_source = json.kind == Kind::kObject && json.members.size() == 1 &&
                          json.members[0].value.kind == Kind::kString &&
                          !json.members[0].value.text.empty() &&
                          !HasNul(json.members[0].value.text);
  if (one_source) {
    const JsonMember& source = json.members[0];
    const Reader::Step step(reader, source.key);
    if (source.key == "file") return SecretFromFile(source.value, reader);
    if (source.key == "env") return SecretFromVariable(source.value, reader);
  }
  std::string found = FoundType(json);
  for (const JsonMember& member : json.members) {
    absl::StrAppend(&found, &member == &json.members[0] ? " with " : ", ", "\"", member.key, "\"");
  }
  reader.Error(json.position,
               absl::StrCat("expected a secret: a string, {\"file\": \"path\"} or {\"env\": "
                            "\"NAME\"}, found ",
                            found));
  return std::nullopt;
}

}  // namespace

void SecretSource::Read(const JsonValue& json, Reader& reader, Secret& value) const {
  const std::optional<std::string> text = SecretText(json, reader);
  if (!text) {
    // Something was meant to be here: a second error about a missing secret would mislead.
    value = {.kind = Secret::Kind::kPlaintext, .text = ""};
    return;
  }
  if (*text == kHiddenSecret) {
    reader.Warning(json.position,
                   "\"***\" is what is printed in place of a secret; put the real one here");
  }
  Result<Secret> secret = ParseSecret(*text);
  if (!secret.ok()) {
    reader.Error(json.position,
                 absl::StrCat("expected a secret, found ", secret.status().message()));
    value = {.kind = Secret::Kind::kPlaintext, .text = ""};
    return;
  }
  value = *std::move(secret);
}

Json SecretSource::Print(const Secret& value, const Config&) const {
  return value.kind == Secret::Kind::kNone ? Json() : Json(std::string(kHiddenSecret));
}

Json SecretSource::Schema(SchemaBuilder& schemas) const {
  return schemas.Reference("secret", [] {
    Json either{
        {"description",
         "a password, \"md5…\" or \"SCRAM-SHA-256$…\" as in pg_authid; or where to find it: the "
         "first line of a file, or an environment variable"}};
    const std::string hash_or_text =
        "^(md5[0-9a-f]{32}|SCRAM-SHA-256\\$[0-9]+:[A-Za-z0-9+/=]+\\$[A-Za-z0-9+/=]+:"
        "[A-Za-z0-9+/=]+|(?!md5|SCRAM-SHA-256\\$)[^\\u0000]+)$";
    either["anyOf"].push_back(PatternSchema(hash_or_text));
    for (const char* source : {"file", "env"}) {
      Json object{{"type", "object"}, {"additionalProperties", false}};
      object["required"].push_back(source);
      object["properties"][source] = Json{{"type", "string"}, {"minLength", 1}};
      either["anyOf"].push_back(std::move(object));
    }
    return either;
  });
}

}  // namespace trireme

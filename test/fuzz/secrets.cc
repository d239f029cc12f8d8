// SPDX-License-Identifier: GPL-3.0-or-later
//
// auth/stored_secret.h, config/secret.h, auth/crypto.h (base64): what is known about a password, as
// text.
//
//   input:   the text
//
// Properties: the loader and the login agree about every text: a hash or verifier that the
// configuration accepts is one that logs somebody in; a verifier written again is read the same; no
// error quotes the text; base64 that is accepted is the only spelling of its bytes.
#include "auth/crypto.h"
#include "auth/scram_keys.h"
#include "auth/stored_secret.h"
#include "config/secret.h"
#include "test/fuzz/input.h"

namespace trireme::fuzz {
namespace {

// No message has it by itself, however inputs are made.
constexpr std::string_view kCanary = "5f0c7be1d2a49386";

// A part of the text put into an error would show here, at the front, in the middle, at the end.
void CheckSilent(std::string_view text) {
  for (const size_t at : {size_t{0}, text.size() / 2, text.size()}) {
    std::string marked(text);
    marked.insert(at, kCanary);
    for (const Status& status :
         {ParseSecret(marked).status(), ParseStoredSecret(marked).status()}) {
      Check(FromAbsl(status.message()).find(kCanary) == std::string_view::npos,
            "an error never quotes a secret");
    }
  }
}

void CheckAgreement(std::string_view text, const Result<StoredSecret>& login) {
  const Result<Secret> loaded = ParseSecret(text);
  if (!loaded.ok()) return;
  CheckEqual(loaded->text, text, "a secret is kept as it is");
  Check(login.ok(), "what the configuration accepts can log in");
  switch (loaded->kind) {
    case Secret::Kind::kNone:
      Broken("a text is some secret");
    case Secret::Kind::kPlaintext:
      Check(std::holds_alternative<PlaintextSecret>(*login), "a password is a password");
      return;
    case Secret::Kind::kMd5:
      Check(std::holds_alternative<Md5Hash>(*login), "an md5 hash is an md5 hash");
      return;
    case Secret::Kind::kScram:
      Check(std::holds_alternative<ScramVerifier>(*login), "a verifier is a verifier");
      return;
  }
}

void CheckVerifier(const ScramVerifier& verifier) {
  Check(verifier.iterations >= 1 && verifier.iterations <= kScramIterationsMax &&
            !verifier.salt.empty(),
        "a verifier is usable");
  const Result<ScramVerifier> again = ParseScramVerifier(FormatScramVerifier(verifier));
  Check(again.ok() && *again == verifier, "a verifier written again is the same");
}

void Run(Input input) {
  const std::string_view text = input.RestText();
  const Result<StoredSecret> login = ParseStoredSecret(text);
  if (login.ok() && std::holds_alternative<ScramVerifier>(*login)) {
    CheckVerifier(std::get<ScramVerifier>(*login));
  }
  CheckSilent(text);
  CheckAgreement(text, login);

  if (const std::optional<std::string> bytes = Base64Decode(text)) {
    CheckEqual(Base64Encode(AsBytes(*bytes)), text, "base64 has one spelling");
  }
  const std::string encoded = Base64Encode(AsBytes(text));
  Check(Base64Decode(encoded) == text, "base64 keeps the bytes");
}

}  // namespace
}  // namespace trireme::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  trireme::fuzz::Run({data, size});
  return 0;
}

// SPDX-License-Identifier: GPL-3.0-or-later
//
// auth/scram_client.h against auth/scram_server.h: a valid exchange, with somebody in the middle.
//
//   input:   knowledge 1 (0 = the client knows the password) | iterations 1 | edits:
//            message 1 | operation 1 | position 2 | count 1 | text 1 + n
//
// Properties: without edits who knows the password gets in, and the server is believed; the server
// lets in only who knows the password, and only when every message arrived as it was sent; the
// client believes only a server that got and sent just what the client did. After a failure every
// further message fails.
#include "auth/scram_client.h"
#include "auth/scram_server.h"
#include "test/fuzz/input.h"

namespace trireme::fuzz {
namespace {

constexpr std::string_view kPassword = "x8Qf-2mTz";
constexpr std::string_view kOtherPassword = "x8Qf-2mTy";
constexpr std::string_view kSalt = "0123456789abcdef";

struct Edit {
  uint8_t message;  // client-first, server-first, client-final, server-final
  uint8_t operation;
  uint16_t position;
  uint8_t count;
  std::string_view text;
};

std::vector<Edit> ReadEdits(Input& input) {
  std::vector<Edit> edits;
  while (!input.empty() && edits.size() < 16) {
    Edit edit{.message = static_cast<uint8_t>(input.Byte() % 4),
              .operation = static_cast<uint8_t>(input.Byte() % 4),
              .position = input.Int16(),
              .count = input.Byte(),
              .text = {}};
    edit.text = AsText(input.Take(input.Byte()));
    edits.push_back(edit);
  }
  return edits;
}

void Apply(const Edit& edit, std::string& message) {
  const size_t at = edit.position % (message.size() + 1);
  switch (edit.operation) {
    case 0:
      message.replace(at, edit.text.size(), edit.text);
      return;
    case 1:
      message.insert(at, edit.text);
      return;
    case 2:
      message.erase(at, edit.count);
      return;
    case 3:  // a bit
      if (at < message.size()) message[at] = static_cast<char>(message[at] ^ (1 << edit.count % 8));
      return;
  }
}

class Exchange {
 public:
  Exchange(std::vector<Edit> edits, uint32_t iterations, std::string_view client_password)
      : edits_(std::move(edits)),
        client_password_(client_password),
        keys_(DeriveScramKeys(kPassword, kSalt, iterations)),
        client_({.nonce = "clientNonce0123456789abc"}),
        server_({.verifier = {.iterations = iterations,
                              .salt = std::string(kSalt),
                              .stored_key = StoredKeyOf(keys_.client_key),
                              .server_key = keys_.server_key},
                 .nonce = "serverNonce0123456789abc"}) {}

  void Run() {
    const bool proven = Prove();
    const bool knows = client_password_ == kPassword;
    if (edits_.empty()) {
      Check(proven == knows, "an exchange nobody touched ends as the password says");
    }
    if (proven) Check(knows && intact_, "who lacks the password is not let in");
    std::string server_final = Deliver(3, proven ? server_final_ : std::string());
    const bool believed = !client_.OnServerFinal(server_final);
    Check(believed == client_.verified(), "the client tells whom it believes");
    if (believed) Check(proven && intact_, "a server that proves nothing is not believed");
    if (edits_.empty() && proven) Check(believed, "a server that proved itself is believed");
    if (!believed) {
      Check(client_.OnServerFinal(server_final_).has_value(), "after a failure all fails");
      Check(std::holds_alternative<PgError>(client_.OnServerFirst(server_first_)),
            "after a failure all fails");
    }
  }

 private:
  // The message as it arrives.
  std::string Deliver(uint8_t number, const std::string& sent) {
    std::string message = sent;
    for (const Edit& edit : edits_) {
      if (edit.message == number) Apply(edit, message);
    }
    intact_ &= message == sent;
    return message;
  }

  // Whether the server let the client in.
  bool Prove() {
    PgResult<std::string> first = server_.OnClientFirst(Deliver(0, client_.client_first()));
    if (std::holds_alternative<PgError>(first)) return false;
    server_first_ = std::get<std::string>(first);
    const auto parsed = client_.OnServerFirst(Deliver(1, server_first_));
    if (std::holds_alternative<PgError>(parsed)) return false;
    const auto& challenge = std::get<ScramClient::Challenge>(parsed);
    // No count that is not the server's can lead anywhere: it need not be computed in full.
    const uint32_t iterations = std::min<uint32_t>(challenge.iterations, 64);
    const std::string client_final =
        client_.ProvideKeys(DeriveScramKeys(client_password_, challenge.salt, iterations));
    ScramServer::Verdict verdict = server_.OnClientFinal(Deliver(2, client_final));
    const auto* success = std::get_if<ScramServer::Success>(&verdict);
    if (success == nullptr) return false;
    Check(success->client_key == keys_.client_key, "the keys passed on are the client's");
    server_final_ = success->server_final;
    return true;
  }

  const std::vector<Edit> edits_;
  const std::string_view client_password_;
  const ScramKeys keys_;
  ScramClient client_;
  ScramServer server_;
  std::string server_first_;
  std::string server_final_;
  bool intact_ = true;
};

void Run(Input input) {
  const bool knows = input.Byte() % 4 != 1;
  const uint32_t iterations = 1u + input.Byte() % 8;
  Exchange(ReadEdits(input), iterations, knows ? kPassword : kOtherPassword).Run();
}

}  // namespace
}  // namespace trireme::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  trireme::fuzz::Run({data, size});
  return 0;
}

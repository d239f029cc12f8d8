// SPDX-License-Identifier: GPL-3.0-or-later
//
// auth/client_auth.h: a client that lacks the password tries to log in, by every method.
//
//   input:   method 1 | secret 1 | messages: length 2, body; a byte 1 to 9 of a body stands for
//            something an attacker can have, see Attacker
//
// Properties: only trust lets in who lacks the password; every message is answered by a step; a
// failure is a FATAL error with a SQLSTATE that does not tell whether the user exists; a login
// ends.
#include "auth/client_auth.h"

#include "auth/scram_client.h"
#include "auth/seeded_secret_random.h"
#include "test/fuzz/input.h"

namespace trireme::fuzz {
namespace {

constexpr std::string_view kUser = "app";
constexpr std::string_view kPassword = "x8Qf-2mTz";
constexpr std::string_view kOtherPassword = "x8Qf-2mTy";
constexpr std::string_view kSalt = "0123456789abcdef";
constexpr uint32_t kIterations = 2;
constexpr uint64_t kEarlier = 1;
constexpr uint64_t kNow = 2;

const ScramKeys& Keys() {
  static const ScramKeys keys = DeriveScramKeys(kPassword, kSalt, kIterations);
  return keys;
}

StoredSecret MakeSecret(uint8_t kind) {
  switch (kind % 4) {
    case 1:
      return PlaintextSecret{SecretText(kPassword)};
    case 2:
      return HashMd5Password({.user = kUser, .password = kPassword});
    case 3:
      return ScramVerifier{.iterations = kIterations,
                           .salt = std::string(kSalt),
                           .stored_key = StoredKeyOf(Keys().client_key),
                           .server_key = Keys().server_key};
    default:
      return NoSecret{};
  }
}

// One login at a pooler, from the outside.
class Door {
 public:
  using Step = ClientAuthenticator::Step;

  Door(ClientAuthMethod method, StoredSecret secret, uint64_t seed)
      : random_(seed),
        cache_(16, Digest{}),
        authenticator_({.method = method,
                        .user = std::string(kUser),
                        .secret = std::move(secret),
                        .scram_iterations = kIterations},
                       {.random = random_, .keys = cache_, .salts = salts_}) {}

  Step Begin() { return Follow(authenticator_.Begin()); }
  Step Say(std::string_view body) { return Follow(authenticator_.Feed(AsBytes(body))); }
  const AuthFailure& failure() const { return authenticator_.failure(); }

 private:
  Step Follow(Step step) {
    if (step.kind != Step::Kind::kNeedKeys) return step;
    step = authenticator_.ProvideKeys(ScramKeyJob(authenticator_.key_request()).Run());
    Check(step.kind != Step::Kind::kNeedKeys, "keys are asked for once");
    return step;
  }

  SeededSecretRandom random_;
  ScramKeyCache cache_;
  SaltSecret salts_{Digest{}};
  ClientAuthenticator authenticator_;
};

std::string SaslInitial(std::string_view first) {
  std::string body(kScramMechanism);
  body.append(5, '\0');
  StoreBig32(reinterpret_cast<std::byte*>(body.data() + body.size() - 4),
             static_cast<uint32_t>(first.size()));
  return body.append(first);
}

// An honest login with a password; keeps what went over the wire.
struct Recording {
  std::string client_first;
  std::string client_final;
  bool let_in = false;
};

std::optional<std::string> ClientFinal(ScramClient& client, std::string_view server_first,
                                       std::string_view password) {
  const auto parsed = client.OnServerFirst(server_first);
  const auto* challenge = std::get_if<ScramClient::Challenge>(&parsed);
  if (challenge == nullptr || challenge->iterations > kIterations) return std::nullopt;
  return client.ProvideKeys(DeriveScramKeys(password, challenge->salt, challenge->iterations));
}

Recording RecordScram(std::string_view password, uint64_t seed) {
  Door door(ClientAuthMethod::kScramSha256, MakeSecret(3), seed);
  ScramClient client({.nonce = "clientNonce"});
  Recording recording{.client_first = client.client_first(), .client_final = {}};
  Check(door.Begin().kind == Door::Step::Kind::kSend, "SCRAM begins");
  const Door::Step first = door.Say(SaslInitial(recording.client_first));
  recording.client_final = *ClientFinal(client, AsText(first.payload), password);
  recording.let_in = door.Say(recording.client_final).kind == Door::Step::Kind::kSucceeded;
  return recording;
}

// What somebody without the password can put into a message: a byte 1 to 9 stands for it.
class Attacker {
 public:
  Attacker() : client_({.nonce = "clientNonce"}) {
    static const Recording recording = [] {
      const Recording right = RecordScram(kPassword, kEarlier);
      Check(right.let_in, "who knows the password is let in");
      Check(!RecordScram(kOtherPassword, kEarlier).let_in, "who does not is not");
      return right;
    }();
    recording_ = &recording;
  }

  // The pooler's last message.
  void Hear(AuthenticationCode code, std::string_view payload) {
    heard_ = payload;
    if (code == AuthenticationCode::kMd5Password && payload.size() == salt_.size()) {
      std::copy_n(AsBytes(payload).begin(), salt_.size(), salt_.begin());
    }
  }

  std::string Expand(std::string_view body) {
    std::string expanded;
    for (const char c : body) expanded += Have(c);
    return expanded;
  }

 private:
  std::string Have(char what) {
    switch (what) {
      case 1:  // the first message, as a client would send it
        return SaslInitial(client_.client_first());
      case 2:
        return client_.client_first();
      case 3:  // the last message, with a proof of another password
        if (!final_) final_ = ClientFinal(client_, heard_, kOtherPassword).value_or("");
        return *final_;
      case 4:  // what others said when they logged in
        return SaslInitial(recording_->client_first);
      case 5:
        return recording_->client_final;
      case 6:  // the combined nonce
        return heard_.substr(std::min<size_t>(2, heard_.size()), heard_.find(',') - 2);
      case 7:  // md5 with another password
        return Md5Response(HashMd5Password({.user = kUser, .password = kOtherPassword}), salt_);
      case 8:  // md5 with another salt
        return Md5Response(HashMd5Password({.user = kUser, .password = kPassword}), {});
      case 9:
        return std::string(kOtherPassword);
      default:
        return std::string(1, what);
    }
  }

  const Recording* recording_;
  ScramClient client_;
  Md5Salt salt_{};
  std::string heard_;
  std::optional<std::string> final_;
};

void CheckFailure(const AuthFailure& failure) {
  Check(failure.error.severity == severity::kFatal && failure.error.sqlstate.size() == 5,
        "a failure is FATAL and says what it is");
  for (const std::string* text : {&failure.error.message, &failure.error.detail}) {
    Check(text->find("no secret") == std::string::npos, "nobody learns which users exist");
  }
  for (const std::string* text :
       {&failure.error.message, &failure.error.detail, &failure.error.hint, &failure.log_detail}) {
    Check(text->find(kPassword) == std::string::npos, "no error shows a password");
  }
}

void Run(Input input) {
  const auto method = static_cast<ClientAuthMethod>(input.Byte() % 5);
  const uint8_t secret = input.Byte();
  Door door(method, MakeSecret(secret), kNow);
  Attacker attacker;
  Door::Step step = door.Begin();
  // Three messages are the longest exchange.
  for (int count = 0; step.kind == Door::Step::Kind::kSend; ++count) {
    Check(count < 4, "a login ends");
    attacker.Hear(step.code, AsText(step.payload));
    const std::string message = attacker.Expand(AsText(input.Block()));
    if (message.find(kPassword) != std::string::npos) return;  // guessed: nothing to prove
    step = door.Say(message);
  }
  if (step.kind == Door::Step::Kind::kFailed) return CheckFailure(door.failure());
  Check(step.kind == Door::Step::Kind::kSucceeded, "a login ends in success or failure");
  Check(method == ClientAuthMethod::kTrust, "who lacks the password is not let in");
}

}  // namespace
}  // namespace trireme::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  trireme::fuzz::Run({data, size});
  return 0;
}

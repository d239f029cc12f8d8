// SPDX-License-Identifier: GPL-3.0-or-later
//
// pool/server_login.h and auth/server_auth.h: what a server says while we log in to it, in pieces.
//
//   input:   cut 2 | secret 1 | messages: type 1, length 2, body; a byte 1 to 4 of an
//   Authentication
//            body stands for something only the exchange tells, see Server
//
// Properties: however the bytes are cut, the same is sent and the login ends the same; a password
// goes in the clear only to a server that asks for it; once SCRAM has begun the login succeeds only
// when the server has proved that it knows the user's verifier; a failure is FATAL with a SQLSTATE
// and shows no password, unless the server said it first: libFuzzer puts what it sees compared into
// inputs, and a server's own words are passed on.
#include "pool/server_login.h"

#include "auth/scram_client.h"
#include "auth/seeded_secret_random.h"
#include "test/fuzz/input.h"
#include "test/fuzz/trace.h"
#include "wire/reader.h"

namespace trireme::fuzz {
namespace {

constexpr std::string_view kPassword = "x8Qf-2mTz";
constexpr std::string_view kSalt = "0123456789abcdef";
constexpr uint32_t kIterations = 2;

const ScramKeys& Keys() {
  static const ScramKeys keys = DeriveScramKeys(kPassword, kSalt, kIterations);
  return keys;
}

PoolSettings MakeSettings(uint8_t secret) {
  PoolSettings settings;
  settings.storage_user = "app";
  settings.storage_database = "shop";
  switch (secret % 4) {
    case 1:
      settings.secret = {.kind = Secret::Kind::kPlaintext, .text = std::string(kPassword)};
      break;
    case 2:
      settings.secret = {.kind = Secret::Kind::kMd5, .text = "md5" + std::string(32, 'a')};
      break;
    case 3:
      settings.secret = {.kind = Secret::Kind::kScram,
                         .text = FormatScramVerifier({.iterations = kIterations,
                                                      .salt = std::string(kSalt),
                                                      .stored_key = StoredKeyOf(Keys().client_key),
                                                      .server_key = Keys().server_key})};
      break;
    default:
      break;
  }
  return settings;
}

// Of a client that has logged in; used with a verifier only.
ScramPassThrough PassThrough() {
  return {.keys = Keys(), .iterations = kIterations, .salt = std::string(kSalt)};
}

// What the server knows of the exchange; a byte 1 to 4 stands for it. It does not know the
// verifier, except where `proves_` says that it used the right signature.
class Server {
 public:
  std::string Expand(std::string_view body) {
    std::string expanded;
    for (const char c : body) expanded += Have(c);
    return expanded;
  }

  void Hear(std::string_view message) {
    heard_ = message.substr(std::min(kMessageHeaderBytes, message.size()));
    if (heard_.starts_with(kScramMechanism)) {
      client_first_ = heard_.substr(std::min(heard_.size(), kScramMechanism.size() + 5));
      began_scram_ = true;
    }
  }

  bool began_scram() const { return began_scram_; }
  bool proved() const { return proved_; }

 private:
  std::string Have(char what) {
    switch (what) {
      case 1:  // the client's nonce
        return client_first_.substr(std::min(client_first_.size(), client_first_.find("r=") + 2));
      case 2:  // server-first-message, as a server would send it
        server_first_ = "r=" + Have(1) + "more,s=" + Base64Encode(AsBytes(kSalt)) +
                        ",i=" + std::to_string(kIterations);
        return server_first_;
      case 3:  // a signature with keys of another password
        return Signature(DeriveScramKeys("another", kSalt, kIterations));
      case 4:  // the right signature
        proved_ = true;
        return Signature(Keys());
      default:
        return std::string(1, what);
    }
  }

  std::string Signature(const ScramKeys& keys) const {
    const size_t bare = std::min<size_t>(3, client_first_.size());
    const std::string without_proof = heard_.substr(0, heard_.rfind(",p="));
    return Base64Encode(ScramServerSignature(
        keys.server_key, client_first_.substr(bare) + "," + server_first_ + "," + without_proof));
  }

  std::string heard_;
  std::string client_first_;
  std::string server_first_;
  bool began_scram_ = false;
  bool proved_ = false;
};

struct Message {
  char type;
  std::string_view body;
};

class Feeding {
 public:
  Feeding(const PoolSettings& settings, uint16_t cut)
      : cut_(cut),
        random_(1),
        cache_(16, Digest{}),
        login_(settings, PassThrough(), {.random = random_, .keys = cache_, .salts = salts_}) {}

  std::string Run(const std::vector<Message>& messages) {
    for (const Message& message : messages) {
      Write(message);
      if (!FeedAll()) break;
    }
    return trace_.Take();
  }

 private:
  using Kind = ServerLogin::Step::Kind;

  void Write(const Message& message) {
    const bool authentication = message.type == backend::kAuthentication;
    std::string body(message.body);
    if (authentication && body.size() > 4)
      body.replace(4, body.npos, server_.Expand(body.substr(4)));
    asked_in_the_clear_ |= authentication && body.starts_with(std::string_view("\0\0\0\3", 4));
    stream_ += message.type;
    stream_.append(4, '\0');
    StoreBig32(reinterpret_cast<std::byte*>(stream_.data() + stream_.size() - 4),
               static_cast<uint32_t>(body.size() + 4));
    stream_ += body;
  }

  bool FeedAll() {
    size_t need = 0;
    while (true) {
      const size_t left = stream_.size() - at_;
      if (left < std::max<size_t>(need, 1)) return true;
      const size_t size = std::max(need, cut_.Next(left));
      ServerLogin::Step step = login_.Feed(AsBytes(stream_).subspan(at_, size));
      Check(step.consumed <= size, "a step takes no more than was given");
      at_ += step.consumed;
      need = 0;
      if (step.kind == Kind::kNeedMore) {
        Check(step.consumed > 0 || step.need > size, "a step makes progress or asks for more");
        need = step.need;
      }
      if (!Act(step)) return false;
    }
  }

  bool Act(ServerLogin::Step step) {
    if (step.kind == Kind::kNeedKeys) {
      const ScramKeyRequest& request = login_.key_request();
      // Keys for another count are of no use to anybody, and slow.
      step = login_.ProvideKeys(DeriveScramKeys(request.password, request.salt,
                                                std::min<uint32_t>(request.iterations, 16)));
      Check(step.kind != Kind::kNeedKeys, "keys are asked for once");
    }
    switch (step.kind) {
      case Kind::kNeedMore:
        return true;
      case Kind::kSend:
        Check(step.payload.find(kPassword) == std::string_view::npos || asked_in_the_clear_ ||
                  stream_.find(kPassword) != std::string::npos,
              "a password goes in the clear only when asked for");
        server_.Hear(step.payload);
        trace_.Event("sent " + Printable(step.payload), at_);
        return true;
      case Kind::kDone:
        Check(!server_.began_scram() || server_.proved(),
              "a server that proves nothing is not believed");
        trace_.Event("done", at_);
        trace_.Event("parameters", login_.parameters().hash());
        trace_.Event("key " + Printable(login_.key().secret), login_.key().process_id);
        return false;
      case Kind::kFailed:
        Check(login_.error().severity == severity::kFatal, "a failure is FATAL");
        Check(stream_.find(kPassword) != std::string::npos ||
                  (login_.error().message.find(kPassword) == std::string::npos &&
                   login_.log_detail().find(kPassword) == std::string::npos),
              "no error shows a password");
        trace_.Event("failed " + Printable(ToString(login_.error())), 0);
        return false;
      case Kind::kNeedKeys:
        break;
    }
    Broken("a step without a kind");
  }

  Cut cut_;
  SeededSecretRandom random_;
  ScramKeyCache cache_;
  SaltSecret salts_{Digest{}};
  ServerLogin login_;
  Server server_;
  Trace trace_;
  std::string stream_;
  size_t at_ = 0;
  bool asked_in_the_clear_ = false;
};

// The properties would mean nothing if no login ever succeeded.
void CheckHonestServer() {
  using namespace std::string_view_literals;
  const auto login = [](std::string_view final) {
    const std::vector<Message> messages = {{'R', "\0\0\0\012SCRAM-SHA-256\0\0"sv},
                                           {'R', "\0\0\0\013\2"sv},
                                           {'R', final},
                                           {'R', "\0\0\0\0"sv},
                                           {'Z', "I"}};
    return Feeding(MakeSettings(1), Cut::kWhole).Run(messages);
  };
  Check(login("\0\0\0\014v=\4"sv).find("done") != std::string::npos,
        "a server that proves itself is believed");
  Check(login("\0\0\0\014v=\3"sv).find("failed") != std::string::npos,
        "one with another signature is not");
}

void Run(Input input) {
  [[maybe_unused]] static const bool checked = (CheckHonestServer(), true);
  const uint16_t seed = input.Int16();
  const PoolSettings settings = MakeSettings(input.Byte());
  std::vector<Message> messages;
  while (!input.empty()) {
    const char type = static_cast<char>(input.Byte());
    messages.push_back({.type = type, .body = AsText(input.Block())});
  }
  const std::string whole = Feeding(settings, Cut::kWhole).Run(messages);
  for (const uint16_t cut : {Cut::kSingleBytes, static_cast<uint16_t>(seed | 2)}) {
    CheckEqual(whole, Feeding(settings, cut).Run(messages), "the cut does not matter");
  }
}

}  // namespace
}  // namespace trireme::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  trireme::fuzz::Run({data, size});
  return 0;
}

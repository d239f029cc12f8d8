// SPDX-License-Identifier: GPL-3.0-or-later
#include "auth/client_auth.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "auth/scram_client.h"
#include "auth/seeded_secret_random.h"

namespace trireme {
namespace {

using testing::HasSubstr;
using Step = ClientAuthenticator::Step;
using Kind = ClientAuthenticator::Step::Kind;

constexpr uint32_t kIterations = 2;
constexpr char kVerifier[] =  // "hunter2"
    "SCRAM-SHA-256$2:cw==$hKgKoaruWHZ9dqX175afV5LfidozN/YOZaTp8/Apl9I=:"
    "6nSPlMpT5Ob3PSsV7hwmXiQZscCyorJfM4ke9wk0pIk=";
constexpr char kMd5Secret[] = "md5f1d6e2da5767fddc60c941cf0fa924cf";  // "hunter2" of alice

std::string Password(std::string_view text) { return std::string(text) + '\0'; }

std::string SaslInitial(std::string_view data, std::string_view mechanism = "SCRAM-SHA-256") {
  std::string body = Password(mechanism) + std::string(4, '\0');
  StoreBig32(reinterpret_cast<std::byte*>(body.data() + body.size() - 4),
             static_cast<uint32_t>(data.size()));
  return body + std::string(data);
}

// A client that knows one password and answers whatever it is asked.
class ClientAuth : public testing::Test {
 protected:
  ClientAuthenticator& Login(ClientAuthMethod method, std::string_view secret) {
    auth_ = std::make_unique<ClientAuthenticator>(
        ClientAuthenticator::Setup{.method = method,
                                   .user = "alice",
                                   .secret = *ParseStoredSecret(secret),
                                   .scram_iterations = kIterations},
        AuthResources{.random = random_, .keys = cache_, .salts = salts_});
    return *auth_;
  }

  Step Feed(std::string_view body) { return auth_->Feed(AsBytes(body)); }

  // Plays the exchange to its end; derivations_ counts what went to the side thread.
  Step Play(ClientAuthMethod method, std::string_view secret, std::string_view password) {
    Login(method, secret);
    derivations_ = 0;
    server_first_.clear();
    Step step = auth_->Begin();
    ScramClient scram({.nonce = "clientnonce"});
    for (int round = 0; round < 8; ++round) {
      if (step.kind == Kind::kNeedKeys) {
        ++derivations_;
        step = auth_->ProvideKeys(ScramKeyJob(auth_->key_request()).Run());
        continue;
      }
      if (step.kind != Kind::kSend) break;
      step = Feed(Answer(step, scram, password));
    }
    if (step.kind == Kind::kSucceeded && step.code == AuthenticationCode::kSaslFinal) {
      EXPECT_EQ(scram.OnServerFinal(AsText(step.payload)), std::nullopt);
    }
    return step;
  }

  std::string Answer(const Step& step, ScramClient& scram, std::string_view password) {
    codes_.push_back(step.code);
    if (step.code == AuthenticationCode::kCleartextPassword) return Password(password);
    if (step.code == AuthenticationCode::kMd5Password) {
      Md5Salt salt;
      EXPECT_EQ(step.payload.size(), salt.size());
      std::copy(step.payload.begin(), step.payload.end(), salt.begin());
      return Password(Md5Response(HashMd5Password({.user = "alice", .password = password}), salt));
    }
    if (step.code == AuthenticationCode::kSasl) {
      EXPECT_EQ(AsText(step.payload), std::string_view("SCRAM-SHA-256\0\0", 15));
      return SaslInitial(scram.client_first());
    }
    EXPECT_EQ(step.code, AuthenticationCode::kSaslContinue);
    server_first_ = AsText(step.payload);
    const auto result = scram.OnServerFirst(server_first_);
    const auto& challenge = std::get<ScramClient::Challenge>(result);
    return scram.ProvideKeys(DeriveScramKeys(password, challenge.salt, challenge.iterations));
  }

  std::string salt_shown() const {
    return server_first_.substr(server_first_.find(",s="));  // and the count
  }

  SeededSecretRandom random_{5};
  ScramKeyCache cache_{16, Digest{}};
  SaltSecret salts_{Digest{}};
  std::unique_ptr<ClientAuthenticator> auth_;
  int derivations_ = 0;
  std::string server_first_;
  std::vector<AuthenticationCode> codes_;
};

TEST_F(ClientAuth, TrustsWithoutAsking) {
  EXPECT_EQ(Login(ClientAuthMethod::kTrust, "").Begin().kind, Kind::kSucceeded);
}

TEST_F(ClientAuth, RejectsWithoutAsking) {
  EXPECT_EQ(Login(ClientAuthMethod::kReject, "hunter2").Begin().kind, Kind::kFailed);
  EXPECT_EQ(auth_->failure().error.sqlstate, "28000");
  EXPECT_THAT(auth_->failure().error.message, HasSubstr("\"alice\""));
}

TEST_F(ClientAuth, EveryMethodWithEverySecret) {
  using enum ClientAuthMethod;
  using enum AuthenticationCode;
  struct Case {
    ClientAuthMethod method;
    std::string secret;
    AuthenticationCode asks;
    bool can_succeed;
  };
  for (const Case& c : std::vector<Case>{
           {kPassword, "hunter2", kCleartextPassword, true},
           {kPassword, kMd5Secret, kCleartextPassword, true},
           {kPassword, kVerifier, kCleartextPassword, true},
           {kPassword, "", kCleartextPassword, false},
           {kMd5, "hunter2", kMd5Password, true},
           {kMd5, kMd5Secret, kMd5Password, true},
           {kMd5, kVerifier, kSasl, true},
           {kMd5, "", kMd5Password, false},
           {kScramSha256, "hunter2", kSasl, true},
           {kScramSha256, kMd5Secret, kSasl, false},
           {kScramSha256, kVerifier, kSasl, true},
           {kScramSha256, "", kSasl, false},
       }) {
    SCOPED_TRACE(std::to_string(static_cast<int>(c.method)) + " " + c.secret);
    codes_.clear();
    EXPECT_EQ(Play(c.method, c.secret, "hunter2").kind,
              c.can_succeed ? Kind::kSucceeded : Kind::kFailed);
    EXPECT_EQ(codes_.front(), c.asks);
    for (const std::string_view wrong : {"hunter3", "hunter", "hunter22", " "}) {
      EXPECT_EQ(Play(c.method, c.secret, wrong).kind, Kind::kFailed);
      EXPECT_EQ(auth_->failure().error,
                (PgError{.severity = "FATAL",
                         .sqlstate = "28P01",
                         .message = "password authentication failed for user \"alice\""}));
      EXPECT_NE(auth_->failure().log_detail, "");
      EXPECT_EQ(auth_->pass_through(), std::nullopt);
      EXPECT_EQ(auth_->cleartext_password(), "");
    }
  }
}

TEST_F(ClientAuth, GivesKeysForPassThroughWhenAVerifierIsStored) {
  const ScramPassThrough expected{
      .keys = DeriveScramKeys("hunter2", "s", 2), .iterations = 2, .salt = "s"};
  for (const ClientAuthMethod method :
       {ClientAuthMethod::kScramSha256, ClientAuthMethod::kMd5, ClientAuthMethod::kPassword}) {
    ASSERT_EQ(Play(method, kVerifier, "hunter2").kind, Kind::kSucceeded);
    EXPECT_EQ(auth_->pass_through(), expected);
  }
  ASSERT_EQ(Play(ClientAuthMethod::kScramSha256, "hunter2", "hunter2").kind, Kind::kSucceeded);
  EXPECT_EQ(auth_->pass_through(), std::nullopt) << "the salt is ours, no server has it";
}

TEST_F(ClientAuth, GivesTheCleartextPassword) {
  ASSERT_EQ(Play(ClientAuthMethod::kPassword, kMd5Secret, "hunter2").kind, Kind::kSucceeded);
  EXPECT_EQ(auth_->cleartext_password(), "hunter2");
}

TEST_F(ClientAuth, DerivesAPlaintextSecretOnce) {
  ASSERT_EQ(Play(ClientAuthMethod::kScramSha256, "hunter2", "wrong").kind, Kind::kFailed);
  EXPECT_EQ(derivations_, 1);
  ASSERT_EQ(Play(ClientAuthMethod::kScramSha256, "hunter2", "hunter2").kind, Kind::kSucceeded);
  EXPECT_EQ(derivations_, 0);
}

TEST_F(ClientAuth, RemembersCleartextPasswordsOnlyWhenTheyWereRight) {
  ASSERT_EQ(Play(ClientAuthMethod::kPassword, kVerifier, "wrong").kind, Kind::kFailed);
  EXPECT_EQ(derivations_, 1);
  EXPECT_EQ(cache_.count(), 0u);
  ASSERT_EQ(Play(ClientAuthMethod::kPassword, kVerifier, "hunter2").kind, Kind::kSucceeded);
  EXPECT_EQ(cache_.count(), 1u);
  ASSERT_EQ(Play(ClientAuthMethod::kPassword, kVerifier, "hunter2").kind, Kind::kSucceeded);
  EXPECT_EQ(derivations_, 0);
  ASSERT_EQ(Play(ClientAuthMethod::kPassword, "", "hunter2").kind, Kind::kFailed);
  EXPECT_EQ(derivations_, 1) << "an unknown user costs what a known one costs";
  EXPECT_EQ(cache_.count(), 1u);
}

TEST_F(ClientAuth, UnknownUsersLookTheSameOnEveryAttempt) {
  ASSERT_EQ(Play(ClientAuthMethod::kScramSha256, "", "one").kind, Kind::kFailed);
  const std::string unknown = salt_shown();
  const PgError error = auth_->failure().error;
  ASSERT_EQ(Play(ClientAuthMethod::kScramSha256, "", "two").kind, Kind::kFailed);
  EXPECT_EQ(salt_shown(), unknown);
  EXPECT_EQ(auth_->failure().error, error);
  // The same user with a plaintext secret cannot be told from an unknown one.
  ASSERT_EQ(Play(ClientAuthMethod::kScramSha256, "hunter2", "two").kind, Kind::kFailed);
  EXPECT_EQ(salt_shown(), unknown);
  EXPECT_EQ(auth_->failure().error, error);
}

TEST_F(ClientAuth, TellsOnlyTheLogThatAnMd5HashCannotServeScram) {
  ASSERT_EQ(Play(ClientAuthMethod::kScramSha256, kMd5Secret, "hunter2").kind, Kind::kFailed);
  EXPECT_THAT(auth_->failure().log_detail, HasSubstr("md5 hash"));
  EXPECT_EQ(auth_->failure().error.detail, "");
  EXPECT_EQ(auth_->failure().error.hint, "");
}

TEST_F(ClientAuth, AsksForTheInitialResponseWhenItWasLeftOut) {
  Login(ClientAuthMethod::kScramSha256, kVerifier).Begin();
  Step step = Feed(Password("SCRAM-SHA-256") + "\xff\xff\xff\xff");
  ASSERT_EQ(step.kind, Kind::kSend);
  EXPECT_EQ(step.code, AuthenticationCode::kSaslContinue);
  EXPECT_TRUE(step.payload.empty());
  step = Feed("n,,n=,r=abc");
  ASSERT_EQ(step.kind, Kind::kSend);
  EXPECT_THAT(std::string(AsText(step.payload)), testing::StartsWith("r=abc"));
}

TEST_F(ClientAuth, RefusesMalformedPasswordMessages) {
  for (const ClientAuthMethod method : {ClientAuthMethod::kPassword, ClientAuthMethod::kMd5}) {
    for (const std::string& body :
         {std::string(), std::string("hunter2"), Password("hunter2") + "x",
          Password("hunter2") + Password("")}) {
      Login(method, "hunter2").Begin();
      EXPECT_EQ(Feed(body).kind, Kind::kFailed);
      EXPECT_EQ(auth_->failure().error.sqlstate, "08P01");
    }
    Login(method, "hunter2").Begin();
    EXPECT_EQ(Feed(Password("")).kind, Kind::kFailed);
    EXPECT_EQ(auth_->failure().error.message, "empty password returned by client");
    EXPECT_EQ(auth_->failure().error.sqlstate, "28P01");
  }
}

TEST_F(ClientAuth, RefusesMalformedSaslMessages) {
  const std::string good = SaslInitial("n,,n=,r=abc");
  std::vector<std::string> bodies = {
      SaslInitial("n,,n=,r=abc", "SCRAM-SHA-256-PLUS"),
      SaslInitial("n,,n=,r=abc", ""),
      SaslInitial("n,,n=,r=abc", "PLAIN"),
      good + "x",
      Password("SCRAM-SHA-256") + "\xff\xff\xff\xffx",
      Password("SCRAM-SHA-256") +
          "\xff\xff\xff\xfe"
          "abc",
      SaslInitial("p=tls-unique,,n=,r=abc"),
      SaslInitial(""),
      Password("hunter2"),
  };
  for (size_t size = 0; size < good.size(); ++size) bodies.push_back(good.substr(0, size));
  for (const std::string& body : bodies) {
    Login(ClientAuthMethod::kScramSha256, kVerifier).Begin();
    EXPECT_EQ(Feed(body).kind, Kind::kFailed) << body;
    EXPECT_EQ(auth_->failure().error.sqlstate, "08P01");
  }
}

TEST_F(ClientAuth, RefusesAClientThatSpeaksWhileItsPasswordIsChecked) {
  Login(ClientAuthMethod::kPassword, kVerifier).Begin();
  ASSERT_EQ(Feed(Password("hunter2")).kind, Kind::kNeedKeys);
  EXPECT_EQ(Feed(Password("hunter2")).kind, Kind::kFailed);
  EXPECT_EQ(auth_->failure().error.sqlstate, "08P01");
}

class BrokenRandom final : public SecretRandom {
 public:
  Status Fill(MutableBytes) override { return Unavailable("no entropy"); }
};

TEST_F(ClientAuth, FailsWithoutRandomness) {
  BrokenRandom broken;
  for (const ClientAuthMethod method : {ClientAuthMethod::kMd5, ClientAuthMethod::kScramSha256}) {
    ClientAuthenticator auth(
        {.method = method, .user = "alice", .secret = *ParseStoredSecret("hunter2")},
        {.random = broken, .keys = cache_, .salts = salts_});
    Step step = auth.Begin();
    if (step.kind == Kind::kSend) step = auth.Feed(AsBytes(SaslInitial("n,,n=,r=abc")));
    EXPECT_EQ(step.kind, Kind::kFailed);
    EXPECT_EQ(auth.failure().error.sqlstate, "XX000");
  }
}

}  // namespace
}  // namespace trireme
